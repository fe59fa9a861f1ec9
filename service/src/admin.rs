//! The second listener, for machines and operators; never published beyond the stack. It is not
//! wrapped in the middleware, so that probes and scrapes do not show up as traffic.

use actix_web::{HttpRequest, HttpResponse, ResponseError, http::header::ContentType, web};
use clap::ValueEnum as _;
use observability::{logs, metrics::Report, traces};
use serde_json::json;

use crate::{
    SERVICE,
    database::Database,
    error::ApiError,
    faults::{Faults, Kind},
    health::Health,
};

/// The listener's routes, with what they need. Without `faults`, they are off.
pub fn routes(
    database: Database,
    health: Health,
    report: Report,
    faults: Option<Faults>,
) -> impl FnOnce(&mut web::ServiceConfig) {
    |service| {
        service
            .app_data(web::Data::new(database))
            .app_data(web::Data::new(health))
            .app_data(web::Data::new(report))
            .app_data(web::Data::new(faults))
            .configure(register)
            .default_service(web::to(async || Err::<HttpResponse, _>(ApiError::NoSuchRoute)));
    }
}

fn register(service: &mut web::ServiceConfig) {
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
        .service(web::resource("/sampling").get(async || text(ratio())).put(set_ratio))
        .service(web::resource("/faults").get(show_faults).delete(end_faults))
        .service(web::resource("/faults/{kind}").put(begin_fault).delete(end_faults));
}

async fn metrics(database: web::Data<Database>, report: web::Data<Report>) -> HttpResponse {
    database.record_pool();
    exposition(report.render())
}

async fn fast_metrics(report: web::Data<Report>, faults: web::Data<Option<Faults>>) -> HttpResponse {
    let offset = Option::as_ref(&faults).map_or(0, Faults::clock);
    exposition(if offset == 0 { report.render_fast() } else { shifted(&report.render_fast(), f64::from(offset)) })
}

/// The same with another clock.
fn shifted(report: &str, offset: f64) -> String {
    let shift = |line: &str| match line.strip_prefix("unix_time_seconds ").map(str::parse::<f64>) {
        Some(Ok(time)) => format!("unix_time_seconds {}\n", time + offset),
        _ => format!("{line}\n"),
    };
    report.lines().map(shift).collect()
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

async fn show_faults(faults: web::Data<Option<Faults>>) -> HttpResponse {
    with(&faults, |_| Ok(()))
}

async fn begin_fault(faults: web::Data<Option<Faults>>, kind: web::Path<String>, how: String) -> HttpResponse {
    with(&faults, |faults| faults.begin(fault(&kind)?, serde_json::from_str(&how).map_err(|error| error.to_string())?))
}

async fn end_faults(faults: web::Data<Option<Faults>>, request: HttpRequest) -> HttpResponse {
    with(&faults, |faults| {
        let kind = request.match_info().get("kind").map(fault).transpose()?;
        faults.end(kind);
        Ok(())
    })
}

fn fault(name: &str) -> Result<Kind, String> {
    Kind::from_str(name, false).map_err(|_| format!("{name} is no fault: see `service admin fault --help`"))
}

/// Answers a change with what is active then.
fn with(faults: &web::Data<Option<Faults>>, change: impl FnOnce(&Faults) -> Result<(), String>) -> HttpResponse {
    let off = || "faults are off here: start the service with FAULTS=on".to_owned();
    match Option::as_ref(faults).ok_or_else(off).and_then(|faults| change(faults).map(|()| faults.list())) {
        Ok(active) => HttpResponse::Ok().json(active),
        Err(message) => ApiError::Malformed(message).error_response(),
    }
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
