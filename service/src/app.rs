//! The public listener on one screen: routes, what is answered when nothing fits, middleware.

use actix_cors::Cors;
use actix_web::{
    App, Error, HttpResponse,
    body::MessageBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName},
    middleware::from_fn,
    web,
};

use crate::{
    answer,
    auth::Auth,
    database::Database,
    error::ApiError,
    faults::Faults,
    gate::{Gate, Limits},
    orders,
    pages::{self, Link, Pages},
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
    faults: Option<Faults>,
    pages: Pages,
}

impl Parts {
    /// `origins` are those of browser pages that may use the API.
    #[must_use]
    pub fn new(database: Database, payments: Payments, limits: Limits, auth: Auth, origins: Vec<String>) -> Self {
        Self {
            database,
            payments,
            limits,
            gate: Gate::new(limits, auth),
            origins,
            faults: None,
            pages: Pages::new(vec![]),
        }
    }

    /// Shows ways to the rest of the stack.
    #[must_use]
    pub(crate) fn with_links(self, links: Vec<Link>) -> Self {
        Self { pages: Pages::new(links), ..self }
    }

    /// Lets requests meet these faults.
    #[must_use]
    pub fn with_faults(self, faults: Option<Faults>) -> Self {
        Self { faults, ..self }
    }
}

/// The application that every worker serves.
pub fn app(
    Parts { database, payments, limits, gate, origins, faults, pages }: Parts,
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
        .app_data(web::Data::new(pages))
        .app_data(web::PayloadConfig::new(limits.body))
        .app_data(web::JsonConfig::default().limit(limits.body).error_handler(|error, _| ApiError::from(error).into()))
        .app_data(web::PathConfig::default().error_handler(|error, _| ApiError::from(error).into()))
        .app_data(web::QueryConfig::default().error_handler(|error, _| ApiError::from(error).into()))
        .configure(orders::routes::register)
        .configure(pages::register)
        .default_service(web::to(async || Err::<HttpResponse, _>(ApiError::NoSuchRoute)))
        // The last one is the outermost.
        .wrap(from_fn(move |request, next| gate.clone().pass(faults.clone(), request, next)))
        .wrap(cors(&origins))
        .wrap(from_fn(answer::complete))
        .wrap(observability::http::observe())
        .wrap(from_fn(answer::protected))
}

fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods(["GET", "POST"])
        .allowed_headers([AUTHORIZATION, CONTENT_TYPE, HeaderName::from_static("idempotency-key")])
        .expose_headers(["location", "retry-after", "x-request-id"])
        .max_age(3600);
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
}
