//! The second listener, for machines and operators; never published beyond the stack. It is not
//! wrapped in the middleware, so that probes and scrapes do not show up as traffic.

use actix_web::{HttpResponse, ResponseError, http::header::ContentType, web};
use observability::{logs, metrics::Report, traces};
use serde_json::json;

use crate::{SERVICE, database::Database, error::ApiError, health::Health};

/// Puts the admin routes; expects [`Health`], [`Database`] and [`Report`] as app data.
pub fn register(service: &mut web::ServiceConfig) {
    service
        .route("/metrics", web::get().to(metrics))
        .route("/metrics/fast", web::get().to(fast_metrics))
        .route("/health/live", web::get().to(async || status("alive")))
        .route("/health/ready", web::get().to(ready))
        .route("/health/startup", web::get().to(startup))
        .route("/version", web::get().to(version))
        .service(
            web::resource("/log-level")
                .get(async || text(logs::filter()))
                .put(async |body: String| set(logs::set_filter(body.trim()), logs::filter)),
        )
        .service(web::resource("/sampling").get(async || text(ratio())).put(set_ratio));
}

async fn metrics(database: web::Data<Database>, report: web::Data<Report>) -> HttpResponse {
    database.record_pool();
    exposition(report.render())
}

async fn fast_metrics(report: web::Data<Report>) -> HttpResponse {
    exposition(report.render_fast())
}

fn exposition(body: String) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(body)
}

async fn ready(health: web::Data<Health>) -> HttpResponse {
    health.not_ready().map_or_else(|| status("ready"), not_yet)
}

async fn startup(health: web::Data<Health>) -> HttpResponse {
    if health.started() { status("started") } else { not_yet("starting") }
}

fn status(status: &str) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": status }))
}

fn not_yet(reason: &str) -> HttpResponse {
    HttpResponse::ServiceUnavailable().json(json!({ "status": "not ready", "reason": reason }))
}

async fn version() -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "name": SERVICE.name,
        "version": SERVICE.version,
        "revision": SERVICE.revision,
    }))
}

async fn set_ratio(body: String) -> HttpResponse {
    let outcome = body
        .trim()
        .parse()
        .map_err(|_| "a number from 0 to 1 is needed, for example 0.1".to_owned())
        .and_then(traces::set_ratio);
    set(outcome, ratio)
}

fn ratio() -> String {
    traces::ratio().to_string()
}

/// Answers a change with the value that now holds.
fn set(outcome: Result<(), String>, current: impl FnOnce() -> String) -> HttpResponse {
    match outcome {
        Ok(()) => text(current()),
        Err(message) => ApiError::Malformed(message).error_response(),
    }
}

fn text(body: String) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::plaintext()).body(body)
}
