//! Every way a request can fail. This one table makes the enum, the answers, the pages under `/problems/`
//! and what `openapi.json` says of errors.

use std::time::Duration;

use actix_web::http::StatusCode;

use super::Needs;

/// A type of problem, as people read it.
#[derive(Debug)]
pub struct ProblemType {
    /// Last part of its URI, `/problems/<kind>`; a failure type where the fault is ours.
    pub kind: &'static str,
    /// The status it is answered with.
    pub status: StatusCode,
    /// Its name.
    pub title: &'static str,
    /// What has happened.
    pub meaning: &'static str,
    /// What the caller can do.
    pub advice: &'static str,
}

/// A row: what it means, what the caller reads, the variant with what it carries; then its status, type and
/// title, and what to do about it.
macro_rules! problems {
    ($(
        $(#[doc = $meaning:literal])+
        #[error($($message:tt)+)]
        $variant:ident $(($($carries:tt)+))? = $status:ident, $kind:literal, $title:literal: $advice:literal;
    )+) => {
        /// What went wrong. `Display` is what the caller reads; causes stay in the log.
        #[derive(Debug, thiserror::Error)]
        pub enum ApiError {
            $($(#[doc = $meaning])+ #[error($($message)+)] $variant $(($($carries)+))?,)+
        }

        /// All there are, by status.
        pub static PROBLEMS: &[ProblemType] = &[$(problems!(row $status $kind $title $advice $($meaning)+)),+];

        impl ApiError {
            /// Its row of the table.
            pub(super) fn problem(&self) -> &'static ProblemType {
                match self {
                    $(Self::$variant { .. } => const { &problems!(row $status $kind $title $advice $($meaning)+) },)+
                }
            }
        }
    };
    (row $status:ident $kind:literal $title:literal $advice:literal $($meaning:literal)+) => {
        ProblemType {
            kind: $kind,
            status: StatusCode::$status,
            title: $title,
            meaning: concat!($($meaning),+).trim_ascii(),
            advice: $advice,
        }
    };
}

problems! {
    /// Body, path, query or a header cannot be read.
    #[error("{0}")]
    Malformed(String) = BAD_REQUEST, "malformed", "Malformed request":
        "Read `detail`, which names what could not be read and where, and correct the request.";

    /// There is no token, or it does not hold: it has expired, or is for somebody else. Which of these is not told.
    #[error("send a valid token, as authorization: Bearer ...")]
    Unauthorized = UNAUTHORIZED, "unauthorized", "Not signed in":
        "Get a new token where you sign in, and send it as `authorization: Bearer ...`.";

    /// The payments provider refuses the payment. The order is open as before.
    #[error("the payment was declined; the order is still open")]
    PaymentDeclined = PAYMENT_REQUIRED, "payment_declined", "Payment declined":
        "Ask the customer for another way to pay, then pay again; or cancel the order.";

    /// The path is right, but no order has this id.
    #[error("no order has this id")]
    NotFound = NOT_FOUND, "not_found", "Order not found":
        "Check the id. Orders are never deleted, so this one was never made here.";

    /// Nothing is served at this path.
    #[error("nothing is served at this path")]
    NoSuchRoute = NOT_FOUND, "no_such_route", "No such path":
        "Compare the path with the reference at /docs.";

    /// The path is right, the method is not.
    #[error("this path takes {0}")]
    MethodNotAllowed(&'static str) = METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed":
        "Use one of the methods that the header `allow` names.";

    /// The body did not arrive within the time a request may take. A head that takes too long gets 408 with no body.
    #[error("the body did not arrive in time")]
    SlowClient = REQUEST_TIMEOUT, "slow_client", "Body too slow":
        "Send the whole body at once. On a bad connection, try again: nothing was changed.";

    /// The order's status does not allow this step.
    #[error("{0}")]
    Conflict(String) = CONFLICT, "conflict", "Not possible in this state":
        "Get the order to see its status. Only an open order can be paid or cancelled.";

    /// The body is larger than `BODY_LIMIT`.
    #[error("the body is larger than this service takes")]
    TooLarge = PAYLOAD_TOO_LARGE, "too_large", "Body too large":
        "Send less. An order takes well under a kilobyte.";

    /// The query is longer than 2 KiB.
    #[error("the query is longer than this service takes")]
    QueryTooLong = URI_TOO_LONG, "query_too_long", "Query too long":
        "Send only the parameters that /docs names.";

    /// The body is not JSON, or does not say so.
    #[error("send the body as JSON, with content-type application/json")]
    UnsupportedType = UNSUPPORTED_MEDIA_TYPE, "unsupported_type", "Unsupported content type":
        "Send JSON, with the header `content-type: application/json`.";

    /// The request can be read, but its values make no sense.
    #[error("{0}")]
    Invalid(Needs) = UNPROCESSABLE_ENTITY, "invalid", "Invalid values":
        "Read `errors`, which says for each field what it needs, and correct those.";

    /// Another order was sent with this `Idempotency-Key` in the last 24 hours.
    #[error("another order was sent with this idempotency-key; take a new key for a new order")]
    KeyReused = UNPROCESSABLE_ENTITY, "idempotency_key_reused", "Idempotency key used before":
        "Take a new key for each order. Send an old one only with exactly the same order, to try that again.";

    /// This client sends more requests a second than `RATE_LIMIT`.
    #[error("too many requests from this client; slow down")]
    TooMany(Duration) = TOO_MANY_REQUESTS, "too_many_requests", "Too many requests":
        "Wait the seconds that the header `retry-after` names, and spread requests out.";

    /// Path and headers are larger than 16 KiB. More than 96 headers get 431 with no body.
    #[error("the headers are larger than this service takes")]
    HeadTooLarge = REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", "Headers too large":
        "Send fewer headers; cookies of other sites on the same domain are a common reason.";

    /// Something that nobody foresaw failed in this service.
    #[error("something went wrong on our side; quote the request id when you report it")]
    Internal(sqlx::Error) = INTERNAL_SERVER_ERROR, "errors", "Unforeseen error":
        "Report it with `request_id`, which leads to the cause. Whether anything was changed is not known: send an order \
         again only with its `Idempotency-Key`.";

    /// The code that answered this request gave up. Other requests are not affected.
    #[error("the request could not be completed")]
    Panic = INTERNAL_SERVER_ERROR, "panic", "Internal error":
        "Report it with `request_id`, which leads to the cause. Whether anything was changed is not known: send an order \
         again only with its `Idempotency-Key`.";

    /// The request took longer than `REQUEST_TIMEOUT`, or waited half as long for others to be done with the same rows.
    #[error("the request took too long; try again in a moment")]
    TimedOut = SERVICE_UNAVAILABLE, "latency", "Took too long":
        "Try again after the seconds in `retry-after`. Whether anything was changed is not known: send an order again \
         only with its `Idempotency-Key`.";

    /// The database cannot be reached.
    #[error("the database cannot be reached; try again in a moment")]
    DatabaseDown(String) = SERVICE_UNAVAILABLE, "db_down", "Database down":
        "Try again after the seconds in `retry-after`, and ever less often. People have been told.";

    /// The database answers, but takes no writes.
    #[error("orders can be read but not changed at the moment; try again later")]
    DatabaseReadOnly(sqlx::Error) = SERVICE_UNAVAILABLE, "db_readonly", "Database read-only":
        "Reading works. Try again later to change something; nothing was changed. People have been told.";

    /// No connection to the database became free within `DATABASE_ACQUIRE_TIMEOUT`.
    #[error("the service is busy; try again in a moment")]
    PoolExhausted(sqlx::Error) = SERVICE_UNAVAILABLE, "db_pool", "Busy":
        "Try again after the seconds in `retry-after`; nothing was changed.";

    /// More than `CONCURRENCY_LIMIT` requests at a time.
    #[error("the service is busy; try again in a moment")]
    Saturated(usize) = SERVICE_UNAVAILABLE, "saturation", "Too many at a time":
        "Try again after the seconds in `retry-after`; nothing was changed.";

    /// The keys that tokens are checked with cannot be had from whoever issues them.
    #[error("tokens cannot be checked at the moment; try again in a moment")]
    KeysMissing(String) = SERVICE_UNAVAILABLE, "dependency", "Dependency down":
        "Try again after the seconds in `retry-after`; nothing was changed.";
}
