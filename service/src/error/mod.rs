//! How a failed request is answered: with problem+json for the caller, and for what is our fault with a
//! [`Failure`] that the middleware logs and counts once.

mod from;
mod table;

use std::{error::Error, fmt};

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
    },
};
use observability::http::{Failure, Problem};
use serde_json::{Map, json};

use crate::failure::FailureType;

pub use table::{ApiError, PROBLEMS, ProblemType};

/// The content type of every error's answer.
pub(crate) const CONTENT: &str = "application/problem+json";

/// Fields whose values make no sense, each with what it needs.
#[derive(Debug)]
pub struct Needs(pub(crate) Vec<(&'static str, String)>);

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let needs: Vec<_> = self.0.iter().map(|(field, need)| format!("{field}: {need}")).collect();
        f.write_str(&needs.join("; "))
    }
}

impl ApiError {
    /// What to log and count: nothing for the caller's mistakes, they stand in the closing line.
    fn failure(&self) -> Option<Failure> {
        let failure_type = FailureType::named(self.problem().kind)?;
        let cause = match self {
            Self::DatabaseDown(cause) | Self::KeysMissing(cause) => cause.clone(),
            Self::DatabaseReadOnly(cause) | Self::PoolExhausted(cause) | Self::Internal(cause) => cause.to_string(),
            Self::Saturated(inside) => format!("{inside} requests are being answered"),
            _ => self.to_string(),
        };
        Some(failure_type.with(cause))
    }

    /// Logs it where no request ends that could: in background work.
    pub(crate) fn log(&self, consequence: &'static str) {
        if let Some(Failure { failure_type, cause, .. }) = self.failure() {
            tracing::error!(failure_type, cause, "{consequence}");
        }
    }
}

/// An error of reqwest names its causes nowhere else.
pub(crate) fn chain(error: &dyn Error) -> String {
    std::iter::successors(Some(error), |&error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.problem().status
    }

    fn error_response(&self) -> HttpResponse {
        let &ProblemType { kind, status, title, .. } = self.problem();
        let mut members = Map::new();
        if let Self::Invalid(Needs(fields)) = self {
            let errors: Map<_, _> = fields.iter().map(|(field, need)| ((*field).to_owned(), json!(need))).collect();
            members.insert("errors".to_owned(), errors.into());
        }
        let mut response = Problem { kind, status, title, detail: self.to_string() }.response_with(members);
        let header = match self {
            Self::MethodNotAllowed(methods) => Some((ALLOW, HeaderValue::from_static(methods))),
            Self::Unauthorized => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            Self::TooMany(wait) => Some((RETRY_AFTER, wait.as_secs().saturating_add(1).into())),
            _ if status == StatusCode::SERVICE_UNAVAILABLE => Some((RETRY_AFTER, HeaderValue::from_static("1"))),
            _ => None,
        };
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, value);
        }
        match self.failure() {
            Some(failure) => failure.attach(response),
            None => response,
        }
    }
}
