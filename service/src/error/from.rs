//! What others' errors mean for the caller: the database's, and those that actix makes before a handler runs.

use actix_web::{
    HttpResponse,
    error::{JsonPayloadError, PathError, PayloadError, QueryPayloadError},
    http::{StatusCode, header::CONTENT_TYPE},
};
use serde_json::error::Category;
use sqlx::error::DatabaseError;

use super::{ApiError, Needs};
use crate::database;

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
                Self::Invalid(Needs(vec![("body", cause.to_string())]))
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

impl ApiError {
    /// What an error's answer should have been, if it was made elsewhere and is no problem+json: that of a CORS
    /// refusal, say. Its cause is only for callers to read when the fault is theirs.
    pub(crate) fn instead_of<B>(answer: &HttpResponse<B>) -> Option<Self> {
        let status = answer.status();
        let is_problem = answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == super::CONTENT);
        if is_problem || !(status.is_client_error() || status.is_server_error()) {
            return None;
        }
        let cause = answer.error().map_or_else(|| status.to_string(), ToString::to_string);
        Some(match status {
            StatusCode::NOT_FOUND => Self::NoSuchRoute,
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedType,
            _ if status.is_client_error() => Self::Malformed(cause),
            _ => Self::Internal(sqlx::Error::Protocol(cause)),
        })
    }
}
