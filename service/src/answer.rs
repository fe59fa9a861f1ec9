//! What every answer has in common, refusals included: errors are problem+json whoever made them, and
//! browsers are told to be careful.

use actix_web::{
    Error, ResponseError as _,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    error::InternalError,
    http::header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    },
    middleware::Next,
};

use crate::error::ApiError;

/// Errors that were made by actix itself become problems, too.
pub(crate) async fn complete<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    match next.call(request).await {
        Ok(answer) => Ok(match ApiError::instead_of(answer.response()) {
            Some(error) => answer.into_response(error.error_response()).map_into_right_body(),
            None => answer.map_into_left_body(),
        }),
        Err(error) => {
            let answer = error.as_response_error().error_response();
            let answer = ApiError::instead_of(&answer).map_or(answer, |error| error.error_response());
            Err(InternalError::from_response(error, answer).into())
        }
    }
}

/// Every answer gets the headers that protect browsers, that to a panic too: this is the outermost.
pub(crate) async fn protected<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    match next.call(request).await {
        Ok(mut answer) => {
            protect(answer.headers_mut());
            Ok(answer)
        }
        Err(error) => {
            let mut answer = error.as_response_error().error_response();
            protect(answer.headers_mut());
            Err(InternalError::from_response(error, answer).into())
        }
    }
}

/// Pages load nothing from elsewhere, and nothing frames them.
fn protect(headers: &mut HeaderMap) {
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CONTENT_SECURITY_POLICY, "default-src 'self'; frame-ancestors 'none'"),
        (CACHE_CONTROL, "no-store"),
    ] {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}
