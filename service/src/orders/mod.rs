//! What an order is, and which values make sense in one. As an example, it belongs to nobody: whoever may use the API
//! sees, pays and cancels all. A real service keeps the user's id with what is theirs, and asks for it in each query.

mod payment;
pub(crate) mod routes;
mod store;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

pub use payment::{finish_due, finish_pending};

/// An order as it is stored and shown.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Order {
    /// Later orders have greater ids.
    id: Uuid,
    /// What was ordered.
    #[schema(example = "coffee")]
    item: String,
    /// How many.
    #[schema(minimum = 1, maximum = 1000, example = 2)]
    quantity: i32,
    /// What the whole order costs, in the currency's minor unit: 1999 EUR is 19.99 €.
    #[schema(minimum = 1, maximum = 100_000_000, example = 1998)]
    amount: i64,
    /// As in ISO 4217.
    #[schema(pattern = "^[A-Z]{3}$", example = "EUR")]
    currency: String,
    status: Status,
    /// When it was placed.
    created_at: DateTime<Utc>,
    /// When its status last changed.
    updated_at: DateTime<Utc>,
}

/// Where an order is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub(crate) enum Status {
    /// Accepted.
    Open,
    /// Being paid; the payments provider has not decided yet.
    PaymentPending,
    /// Paid; final.
    Paid,
    /// Given up by the customer; final.
    Cancelled,
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::PaymentPending => "payment_pending",
            Self::Paid => "paid",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One step of an order's life. There are no others.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Cancel,
    Pay,
    /// The provider has accepted the payment.
    Accept,
    /// The provider has refused the payment.
    Decline,
}

impl Step {
    /// From where, and to where.
    const fn ends(self) -> (Status, Status) {
        match self {
            Self::Cancel => (Status::Open, Status::Cancelled),
            Self::Pay => (Status::Open, Status::PaymentPending),
            Self::Accept => (Status::PaymentPending, Status::Paid),
            Self::Decline => (Status::PaymentPending, Status::Open),
        }
    }
}

/// What a customer asks for.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOrder {
    /// What is ordered: not blank, and without control characters.
    #[schema(
        min_length = 1,
        max_length = 100,
        example = "coffee",
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    item: String,
    /// How many.
    #[schema(minimum = 1, maximum = 1000, example = 2)]
    quantity: i32,
    /// What all of it costs, in the currency's minor unit: 1999 EUR is 19.99 €.
    #[schema(minimum = 1, maximum = 100_000_000, example = 1998)]
    amount: i64,
    /// As in ISO 4217.
    #[schema(pattern = "^[A-Z]{3}$", example = "EUR")]
    currency: String,
}

const MAX_QUANTITY: i32 = 1_000;
const MAX_AMOUNT: i64 = 100_000_000;

impl NewOrder {
    /// Each field that makes no sense, with what it needs.
    fn needs(&self) -> Vec<(&'static str, String)> {
        let item = (1..=100).contains(&self.item.chars().count())
            && !self.item.trim().is_empty()
            && !self.item.chars().any(char::is_control);
        let quantity = (1..=MAX_QUANTITY).contains(&self.quantity);
        let amount = (1..=MAX_AMOUNT).contains(&self.amount);
        let currency = self.currency.len() == 3 && self.currency.bytes().all(|byte| byte.is_ascii_uppercase());
        [
            (item, "item", "1 to 100 printable characters".to_owned()),
            (quantity, "quantity", format!("a number from 1 to {MAX_QUANTITY}")),
            (amount, "amount", format!("minor units from 1 to {MAX_AMOUNT}")),
            (currency, "currency", "three capital letters such as EUR".to_owned()),
        ]
        .into_iter()
        .filter_map(|(fine, field, need)| (!fine).then_some((field, need)))
        .collect()
    }
}
