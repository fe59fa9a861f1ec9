//! The second listener: what monitoring and probes ask. Never published.
use actix_web::http::header::ContentType;
use actix_web::{HttpResponse, web};
use observability::metrics::Report;

use crate::metrics;
use crate::server::Relay;

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/metrics").get(report))
        .service(web::resource("/health/live").get(live))
        .service(web::resource("/health/ready").get(ready));
}

async fn report(relay: web::Data<Relay>, report: web::Data<Report>) -> HttpResponse {
    metrics::refresh(&relay).await;
    let text = report.render() + &report.render_fast();
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text)
}

async fn live() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::plaintext()).body("alive\n")
}

/// Ready means that a notification could be stored now.
async fn ready(relay: web::Data<Relay>) -> HttpResponse {
    let (mut response, text) = match relay.store.check().await {
        Ok(()) => (HttpResponse::Ok(), "ready\n".to_owned()),
        Err(error) => (HttpResponse::ServiceUnavailable(), format!("the store cannot be written to: {error}\n")),
    };
    response.content_type(ContentType::plaintext()).body(text)
}
