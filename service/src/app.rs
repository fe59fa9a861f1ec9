//! The public listener on one screen: routes, what is answered when nothing fits, middleware.

use actix_cors::Cors;
use actix_web::{
    App, Error, HttpResponse,
    body::MessageBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    error::InternalError,
    http::header::{
        AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
        REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    },
    middleware::{Next, from_fn},
    web,
};

use crate::{
    auth::Auth,
    database::Database,
    error::ApiError,
    gate::{Gate, Limits},
    orders,
    payments::Payments,
};

/// What requests need; the workers share it.
#[derive(Clone, Debug)]
pub struct Parts {
    database: Database,
    payments: Payments,
    limits: Limits,
    gate: Gate,
    origins: Vec<String>,
}

impl Parts {
    /// `origins` are those of browser pages that may use the API.
    #[must_use]
    pub fn new(database: Database, payments: Payments, limits: Limits, auth: Auth, origins: Vec<String>) -> Self {
        Self { database, payments, limits, gate: Gate::new(limits, auth), origins }
    }
}

/// The application that every worker serves.
pub fn app(
    Parts { database, payments, limits, gate, origins }: Parts,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    App::new()
        .app_data(web::Data::new(database))
        .app_data(web::Data::new(payments))
        .app_data(web::PayloadConfig::new(limits.body))
        .app_data(web::JsonConfig::default().limit(limits.body).error_handler(|error, _| ApiError::from(error).into()))
        .app_data(web::PathConfig::default().error_handler(|error, _| ApiError::from(error).into()))
        .app_data(web::QueryConfig::default().error_handler(|error, _| ApiError::from(error).into()))
        .configure(orders::routes::register)
        .default_service(web::to(async || Err::<HttpResponse, _>(ApiError::NoSuchRoute)))
        // The last one is the outermost.
        .wrap(from_fn(move |request, next| gate.clone().pass(request, next)))
        .wrap(cors(&origins))
        .wrap(from_fn(secure))
        .wrap(observability::http::observe())
}

fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods(["GET", "POST"])
        .allowed_headers([AUTHORIZATION, CONTENT_TYPE, HeaderName::from_static("idempotency-key")])
        .expose_headers(["location", "retry-after", "x-request-id"])
        .max_age(3600);
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
}

/// Headers of every answer, refusals included. Pages load nothing from elsewhere, and nothing frames them.
async fn secure(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    fn add(headers: &mut HeaderMap) {
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
    match next.call(request).await {
        Ok(mut answer) => {
            add(answer.headers_mut());
            Ok(answer)
        }
        Err(error) => {
            let mut answer = error.as_response_error().error_response();
            add(answer.headers_mut());
            Err(InternalError::from_response(error, answer).into())
        }
    }
}
