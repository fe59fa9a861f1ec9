//! The payments provider does not answer: now and then, or not at all.

use std::time::Duration;

use anyhow::Context;
use futures_util::future::BoxFuture;
use serde_json::json;

use super::runner::{Fault, Injury, Scene, Window};

/// More than the 5 % of the rule, and never in a row, which would open the breaker.
pub(super) const TIMEOUTS: Fault = Fault {
    shows: r#""error_type":"timeout""#,
    ..Fault::new(
        "dependency",
        "dependency",
        "DependencyTimeouts",
        &Provider { hang_every: 8 },
        // However long the window, the fifth timeout comes after some 5 s.
        Window { range: 300, fill: 15, lasting: 120, keep: 0, steps: Window::SLOW },
    )
};

/// No call is answered, and the breaker opens.
pub(super) const BREAKER: Fault = Fault::new(
    "breaker",
    "breaker",
    "CircuitBreakerOpen",
    &Provider { hang_every: 1 },
    // The first calls run into their time limit before the breaker opens.
    Window { range: 15, fill: 15, lasting: 30, keep: 15, steps: 10 + Window::SLOW },
);

const PAYMENTS_PER_SECOND: u32 = 8;

/// It leaves one in `hang_every` calls unanswered.
#[derive(Clone, Copy, Debug)]
struct Provider {
    hang_every: u64,
}

impl Injury for Provider {
    fn inflict<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<String>> {
        Box::pin(async move {
            let at = scene.stack().endpoints();
            let client = crate::http::client(Duration::from_secs(10))?;
            scene.hold(pay(client.clone(), at.service.clone()));
            behave(&client, &at.payments, self.hang_every).await?;
            Ok(match self.hang_every {
                1 => "the payments provider answers nothing".to_owned(),
                n => format!("the payments provider answers all but one in {n} calls"),
            })
        })
    }

    fn remedy(&self) -> String {
        "the payments provider answers".to_owned()
    }

    fn repair<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(async move {
            let client = crate::http::client(Duration::from_secs(10))?;
            behave(&client, &scene.stack().endpoints().payments, 0).await
        })
    }
}

async fn behave(client: &reqwest::Client, payments: &str, hang_every: u64) -> anyhow::Result<()> {
    let request = client.put(format!("{payments}/behaviour")).json(&json!({ "hang_every": hang_every }));
    request.send().await?.error_for_status().context("the payments provider does not obey")?;
    Ok(())
}

/// Orders that are paid for, until the drill ends.
async fn pay(client: reqwest::Client, service: String) {
    let mut clock = tokio::time::interval(Duration::from_secs(1) / PAYMENTS_PER_SECOND);
    let mut under_way = tokio::task::JoinSet::new();
    loop {
        clock.tick().await;
        while under_way.try_join_next().is_some() {}
        under_way.spawn(order_and_pay(client.clone(), service.clone()));
    }
}

async fn order_and_pay(client: reqwest::Client, service: String) -> Option<()> {
    let order = json!({ "item": "tea", "quantity": 1, "amount": 450, "currency": "EUR" });
    let made = client.post(format!("{service}/v1/orders")).json(&order).send().await.ok()?;
    let made: serde_json::Value = made.json().await.ok()?;
    let id = made.get("id")?.as_str()?.to_owned();
    client.post(format!("{service}/v1/orders/{id}/payment")).send().await.ok()?;
    Some(())
}
