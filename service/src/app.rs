//! The public listener on one screen: limits, routes, what is answered when nothing fits, middleware.

use std::time::Duration;

use actix_web::{
    App, Error, HttpResponse,
    body::MessageBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    middleware::{Next, from_fn},
    web,
};

use crate::{database::Database, error::ApiError, orders, payments::Payments};

/// What one request may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest body, in bytes.
    pub body: usize,
    /// Longest time from the request's head to the answer's head.
    pub time: Duration,
}

/// What requests need.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Orders.
    pub database: Database,
    /// The third party.
    pub payments: Payments,
    /// What one request may cost.
    pub limits: Limits,
}

/// The application that every worker serves.
pub fn app(
    Parts { database, payments, limits }: Parts,
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
        .wrap(from_fn(move |request, next| limit_time(limits.time, request, next)))
        .wrap(observability::http::observe())
}

/// Gives up on a request that takes too long: actix does not notice when its caller has gone.
async fn limit_time(
    limit: Duration,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    tokio::time::timeout(limit, next.call(request)).await.unwrap_or_else(|_| Err(ApiError::TimedOut.into()))
}
