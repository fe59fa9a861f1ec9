//! Every way a request can fail, with the one answer each gets: a problem+json body for the caller,
//! and for what is our fault a [`Failure`](observability::http::Failure) that the middleware logs and counts once.

use std::time::Duration;

use actix_web::{
    HttpResponse, ResponseError,
    error::{JsonPayloadError, PathError, PayloadError, QueryPayloadError},
    http::{
        StatusCode,
        header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
    },
};
use observability::http::Problem;
use serde_json::{Map, error::Category, json};
use sqlx::error::DatabaseError;

use crate::{database, failure::FailureType};

/// What went wrong. `Display` is what the caller reads; causes stay in the log.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// 404: the path is right, but no order has this id.
    #[error("no order has this id")]
    NotFound,
    /// 404: nothing is served at this path.
    #[error("nothing is served at this path")]
    NoSuchRoute,
    /// 405: the path is right, the method is not; `Allow` names those that are.
    #[error("this path takes {0}")]
    MethodNotAllowed(&'static str),
    /// 400: body, path or query cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// 413: the body is larger than `BODY_LIMIT`.
    #[error("the body is larger than this service takes")]
    TooLarge,
    /// 415: the body is not JSON, or does not say so.
    #[error("send the body as JSON, with content-type application/json")]
    UnsupportedType,
    /// 422: the body can be read, but its values make no sense. Each field with what it needs.
    #[error("{}", .0.iter().map(|(field, need)| format!("{field}: {need}")).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<(&'static str, String)>),
    /// 409: the order's state does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// 401: no token, or one that does not hold.
    #[error("send a valid token, as authorization: Bearer ...")]
    Unauthorized,
    /// 408: the body came too slowly.
    #[error("the body did not arrive in time")]
    SlowClient,
    /// 414: the query is too long.
    #[error("the query is longer than this service takes")]
    QueryTooLong,
    /// 429: this client sends more than `RATE_LIMIT`; with when to come back.
    #[error("too many requests from this client; slow down")]
    TooMany(Duration),
    /// 431: the headers are too large.
    #[error("the headers are larger than this service takes")]
    HeadTooLarge,
    /// 503: more than `CONCURRENCY_LIMIT` requests at a time.
    #[error("the service is busy; try again in a moment")]
    Saturated(usize),
    /// 503: the keys that tokens are checked with cannot be had.
    #[error("tokens cannot be checked at the moment; try again in a moment")]
    KeysMissing(reqwest::Error),
    /// 402: the payments provider refuses; the order is open as before.
    #[error("the payment was declined; the order is still open")]
    PaymentDeclined,
    /// 422: another order was sent with this `Idempotency-Key`.
    #[error("another order was sent with this idempotency-key; take a new key for a new order")]
    KeyReused,
    /// 503: the request took longer than `REQUEST_TIMEOUT`.
    #[error("the request took too long; try again in a moment")]
    TimedOut,
    /// 503: the database cannot be reached.
    #[error("the database cannot be reached; try again in a moment")]
    DatabaseDown(String),
    /// 503: the database answers, but takes no writes.
    #[error("orders can be read but not changed at the moment; try again later")]
    DatabaseReadOnly(sqlx::Error),
    /// 503: no connection became free within `DATABASE_ACQUIRE_TIMEOUT`.
    #[error("the service is busy; try again in a moment")]
    PoolExhausted(sqlx::Error),
    /// 500: everything else.
    #[error("something went wrong on our side; quote the request id when you report it")]
    Internal(sqlx::Error),
}

impl ApiError {
    /// Problem type, status and title.
    fn describe(&self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::NotFound => ("not_found", S::NOT_FOUND, "Order not found"),
            Self::NoSuchRoute => ("no_such_route", S::NOT_FOUND, "No such path"),
            Self::MethodNotAllowed(_) => ("method_not_allowed", S::METHOD_NOT_ALLOWED, "Method not allowed"),
            Self::Malformed(_) => ("malformed", S::BAD_REQUEST, "Malformed request"),
            Self::TooLarge => ("too_large", S::PAYLOAD_TOO_LARGE, "Body too large"),
            Self::UnsupportedType => ("unsupported_type", S::UNSUPPORTED_MEDIA_TYPE, "Unsupported content type"),
            Self::Invalid(_) => ("invalid", S::UNPROCESSABLE_ENTITY, "Invalid values"),
            Self::Conflict(_) => ("conflict", S::CONFLICT, "Not possible in this state"),
            Self::Unauthorized => ("unauthorized", S::UNAUTHORIZED, "Not signed in"),
            Self::SlowClient => ("slow_client", S::REQUEST_TIMEOUT, "Body too slow"),
            Self::QueryTooLong => ("query_too_long", S::URI_TOO_LONG, "Query too long"),
            Self::TooMany(_) => ("too_many_requests", S::TOO_MANY_REQUESTS, "Too many requests"),
            Self::HeadTooLarge => ("head_too_large", S::REQUEST_HEADER_FIELDS_TOO_LARGE, "Headers too large"),
            Self::KeysMissing(_) => (self.kind(), S::SERVICE_UNAVAILABLE, "Dependency down"),
            Self::PaymentDeclined => ("payment_declined", S::PAYMENT_REQUIRED, "Payment declined"),
            Self::KeyReused => ("idempotency_key_reused", S::UNPROCESSABLE_ENTITY, "Idempotency key used before"),
            Self::TimedOut => (self.kind(), S::SERVICE_UNAVAILABLE, "Took too long"),
            Self::DatabaseDown(_) => (self.kind(), S::SERVICE_UNAVAILABLE, "Database down"),
            Self::DatabaseReadOnly(_) => (self.kind(), S::SERVICE_UNAVAILABLE, "Database read-only"),
            Self::PoolExhausted(_) | Self::Saturated(_) => (self.kind(), S::SERVICE_UNAVAILABLE, "Busy"),
            Self::Internal(_) => (self.kind(), S::INTERNAL_SERVER_ERROR, "Internal error"),
        }
    }

    /// What to log and count: nothing for the caller's mistakes, they stand in the closing line.
    fn failure(&self) -> Option<(FailureType, String)> {
        Some(match self {
            Self::TimedOut => (FailureType::Latency, "the request ran into its time limit".into()),
            Self::DatabaseDown(cause) => (FailureType::DbDown, cause.clone()),
            Self::DatabaseReadOnly(cause) => (FailureType::DbReadonly, cause.to_string()),
            Self::PoolExhausted(cause) => (FailureType::DbPool, cause.to_string()),
            Self::Saturated(inside) => (FailureType::Saturation, format!("{inside} requests are being answered")),
            Self::KeysMissing(cause) => (FailureType::Dependency, cause.to_string()),
            Self::Internal(cause) => (FailureType::Errors, cause.to_string()),
            _ => return None,
        })
    }

    /// A failure's problem type is its failure type.
    fn kind(&self) -> &'static str {
        self.failure().map_or("errors", |(failure_type, _)| failure_type.as_str())
    }

    /// Logs it where no request ends that could: in background work.
    pub(crate) fn log(&self, consequence: &'static str) {
        if let Some((failure_type, cause)) = self.failure() {
            tracing::error!(failure_type = failure_type.as_str(), cause, "{consequence}");
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.describe().1
    }

    fn error_response(&self) -> HttpResponse {
        let (kind, status, title) = self.describe();
        let mut members = Map::new();
        if let Self::Invalid(fields) = self {
            let errors: Map<_, _> = fields.iter().map(|(field, need)| ((*field).to_owned(), json!(need))).collect();
            members.insert("errors".to_owned(), errors.into());
        }
        let problem = Problem { kind, status, title, detail: self.to_string() };
        let mut response = problem.response_with(members);
        if let Self::MethodNotAllowed(methods) = self {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
        }
        match self {
            Self::TooMany(wait) => {
                response.headers_mut().insert(RETRY_AFTER, wait.as_secs().saturating_add(1).into());
            }
            Self::Unauthorized => {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ if status == StatusCode::SERVICE_UNAVAILABLE => {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        match self.failure() {
            Some((failure_type, cause)) => failure_type.with(cause).attach(response),
            None => response,
        }
    }
}

/// The one place that says what an error of the database means for the caller.
impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(DatabaseError::code);
        match (&error, code.as_deref()) {
            (sqlx::Error::RowNotFound, _) => Self::NotFound,
            (sqlx::Error::PoolTimedOut, _) | (_, Some("53300")) => Self::PoolExhausted(error),
            // Cancelled by statement_timeout, or by lock_timeout.
            (_, Some("57014" | "55P03")) => Self::TimedOut,
            (_, Some("25006" | "53100")) => Self::DatabaseReadOnly(error),
            _ if database::is_lost(&error) => Self::DatabaseDown(error.to_string()),
            _ => Self::Internal(error),
        }
    }
}

impl From<JsonPayloadError> for ApiError {
    fn from(error: JsonPayloadError) -> Self {
        match &error {
            JsonPayloadError::Overflow { .. }
            | JsonPayloadError::OverflowKnownLength { .. }
            | JsonPayloadError::Payload(PayloadError::Overflow) => Self::TooLarge,
            JsonPayloadError::ContentType => Self::UnsupportedType,
            JsonPayloadError::Deserialize(cause) if cause.classify() == Category::Data => {
                Self::Invalid(vec![("body", cause.to_string())])
            }
            _ => Self::Malformed(error.to_string()),
        }
    }
}

impl From<PathError> for ApiError {
    fn from(error: PathError) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl From<QueryPayloadError> for ApiError {
    fn from(error: QueryPayloadError) -> Self {
        Self::Malformed(error.to_string())
    }
}
