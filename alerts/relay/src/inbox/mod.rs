//! The inbox: a web page that works when every chat is down.
mod act;
mod api;
mod events;
mod logs;
mod pages;
mod parts;
mod session;

use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use actix_web::middleware::DefaultHeaders;
use actix_web::{HttpResponse, web};
use maud::Markup;
use observability::http::{Failure, Problem, Severity};
use serde::Deserialize;

pub(crate) use session::{Door, guard, sessions};

use crate::incident::Incident;
use crate::runbooks;
use crate::server::Relay;
use crate::store::Filter;

const SHOWN_OPEN: u32 = 200;
const SHOWN_RECENT: u32 = 50;
/// Only our own files: whatever an alert's text smuggles in stays text.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/").get(list))
        .service(web::resource("/fragments/incidents").get(list_fragment))
        .service(web::resource("/incidents/{code}").get(incident))
        .service(web::resource("/fragments/incidents/{code}").get(incident_fragment))
        .service(web::resource("/incidents/{code}/logs").get(logs::logs))
        .service(web::resource("/act/{token}").get(act::ask).post(act::act))
        .service(web::resource("/sign-in").get(session::form).post(session::sign_in))
        .service(web::resource("/sign-out").post(session::sign_out))
        .service(web::resource("/runbooks").get(runbook_list))
        .service(web::resource("/runbooks/{failure_type}").get(runbook))
        .service(web::resource("/events").get(events::stream))
        .service(web::resource("/v1/incidents").get(api::incidents))
        .service(
            web::resource("/assets/inbox.css")
                .get(async || asset("text/css; charset=utf-8", include_str!("assets/inbox.css"))),
        )
        .service(
            web::resource("/assets/inbox.js")
                .get(async || asset("text/javascript; charset=utf-8", include_str!("assets/inbox.js"))),
        )
        .service(
            web::resource("/assets/icon.svg").get(async || asset("image/svg+xml", include_str!("assets/icon.svg"))),
        );
}

/// On every answer of the listener.
pub(crate) fn headers() -> DefaultHeaders {
    DefaultHeaders::new()
        .add(("Content-Security-Policy", POLICY))
        .add(("X-Content-Type-Options", "nosniff"))
        .add(("Referrer-Policy", "no-referrer"))
        .add(("Cache-Control", "no-store"))
}

pub(crate) async fn nothing_here() -> HttpResponse {
    missing("There is nothing at this address. The inbox is at /.")
}

/// What the list is narrowed to.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Narrow {
    /// Open, acknowledged or over; empty for all.
    #[serde(default)]
    state: String,
    #[serde(default)]
    failure_type: String,
    /// Words that have to stand in the labels or the summary.
    #[serde(default)]
    q: String,
}

async fn list(relay: web::Data<Relay>, narrow: web::Query<Narrow>) -> HttpResponse {
    show(overview(&relay, &narrow).await.map(|list| Some(pages::inbox(&narrow, &list))))
}

async fn list_fragment(relay: web::Data<Relay>, narrow: web::Query<Narrow>) -> HttpResponse {
    show(overview(&relay, &narrow).await.map(Some))
}

async fn incident(relay: web::Data<Relay>, code: web::Path<String>) -> HttpResponse {
    show(detail(&relay, &code).await.map(|detail| detail.map(|detail| pages::incident(&code, &detail))))
}

async fn incident_fragment(relay: web::Data<Relay>, code: web::Path<String>) -> HttpResponse {
    show(detail(&relay, &code).await)
}

async fn runbook_list() -> HttpResponse {
    show(Ok(Some(pages::runbooks(&runbooks::all()))))
}

async fn runbook(failure_type: web::Path<String>) -> HttpResponse {
    show(Ok(runbooks::find(&failure_type).map(pages::runbook)))
}

async fn overview(relay: &Relay, narrow: &Narrow) -> sqlx::Result<Markup> {
    let mut open = relay.store.list(Filter::Open(SHOWN_OPEN)).await?;
    let mut recent = relay.store.list(Filter::Resolved(SHOWN_RECENT)).await?;
    open.retain(|entry| narrow.fits(&entry.incident));
    recent.retain(|entry| narrow.fits(&entry.incident));
    Ok(parts::overview(&banners(relay), &open, &recent))
}

impl Narrow {
    fn fits(&self, incident: &Incident) -> bool {
        let text = format!("{} {} {}", incident.labels, incident.summary, incident.code).to_lowercase();
        (self.state.is_empty() || incident.state().name() == self.state)
            && (self.failure_type.is_empty() || incident.failure_type == self.failure_type)
            && self.q.to_lowercase().split_whitespace().all(|word| text.contains(word.trim_start_matches('#')))
    }
}

async fn detail(relay: &Relay, code: &str) -> sqlx::Result<Option<Markup>> {
    let entry = relay.store.incident(code).await?;
    Ok(entry.map(|entry| {
        let token = relay.actions.token(code, crate::time::now());
        parts::detail(&entry, &relay.links, &token, relay.loki.is_some())
    }))
}

/// What a reader has to know before trusting an empty list.
fn banners(relay: &Relay) -> Vec<String> {
    let mut banners: Vec<String> = relay.warnings.iter().cloned().chain(relay.health.said()).collect();
    if relay.heartbeat.overdue() {
        let age = crate::time::spoken(relay.heartbeat.age());
        banners.insert(
            0,
            format!("Monitoring is silent: no heartbeat for {age}. Faults may go unnoticed until it is back."),
        );
    }
    banners
}

fn show(page: sqlx::Result<Option<Markup>>) -> HttpResponse {
    match page {
        Ok(Some(page)) => HttpResponse::Ok().content_type(ContentType::html()).body(page.into_string()),
        Ok(None) => missing("It does not exist, or is so old that it was forgotten."),
        Err(error) => unreadable(&error),
    }
}

fn missing(detail: &str) -> HttpResponse {
    problem("not_found", 404, "Not found", detail)
}

fn problem(kind: &'static str, status: u16, title: &'static str, detail: &str) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Problem { kind, status, title, detail: detail.to_owned() }.response()
}

fn unreadable(error: &sqlx::Error) -> HttpResponse {
    let detail = "The store cannot be read at the moment.".to_owned();
    let response = Problem {
        kind: "store_failed",
        status: StatusCode::SERVICE_UNAVAILABLE,
        title: "No answer from the store",
        detail,
    }
    .response();
    Failure { failure_type: "alert_pipeline", severity: Severity::Error, cause: format!("reading incidents: {error}") }
        .attach(response)
}

fn asset(kind: &'static str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok().content_type(kind).body(text)
}
