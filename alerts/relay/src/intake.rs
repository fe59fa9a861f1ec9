//! Takes notifications from Alertmanager. It answers 200 when they are on disk, and not before.
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, web};
use observability::http::{Failure, Problem, Severity};
use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;

use crate::alertmanager::{Notification, Status};
use crate::channel::INBOX;
use crate::metrics::{DELIVERY_SECONDS, INTAKE_REQUESTS};
use crate::server::Relay;
use crate::sight::View;
use crate::store::Circumstances;
use crate::time;

const LARGEST: usize = 1024 * 1024;
/// A body that trickles in must not hold a connection for ever.
const READING: Duration = Duration::from_secs(5);
/// Less than Alertmanager waits for an answer, so that it hears "503" and tries again.
const STORING: Duration = Duration::from_secs(2);
const ENDPOINTS: [&str; 2] = ["alertmanager", "heartbeat"];
const OUTCOMES: [&str; 5] = ["accepted", "unauthorized", "malformed", "too_large", "store_failed"];

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/v1/alertmanager").post(alertmanager))
        .service(web::resource("/v1/heartbeat").post(heartbeat));
}

/// Shows every outcome from the start, so that the first one is an increase.
pub(crate) fn declare() {
    for endpoint in ENDPOINTS {
        for outcome in OUTCOMES {
            INTAKE_REQUESTS.zero([endpoint, outcome]);
        }
    }
}

/// Alerts that began or ended.
async fn alertmanager(relay: web::Data<Relay>, request: HttpRequest, body: web::Payload) -> HttpResponse {
    let taken = async {
        let notification = read(&relay, &request, body).await?;
        if notification.truncated_alerts > 0 {
            tracing::warn!(
                alerts = notification.truncated_alerts,
                "Alertmanager left alerts out of this notification: raise max_alerts"
            );
        }
        record(&relay, &notification).await
    };
    let taken = taken.await;
    if matches!(taken, Err(Refusal::StoreFailed(_))) {
        // Alertmanager may give up before the store recovers.
        relay.refused.store(true, Ordering::Relaxed);
    }
    answer("alertmanager", taken)
}

/// Monitoring lives.
async fn heartbeat(relay: web::Data<Relay>, request: HttpRequest, body: web::Payload) -> HttpResponse {
    let taken = async {
        let notification = read(&relay, &request, body).await?;
        if notification.status == Status::Firing {
            relay.heartbeat.beat();
        }
        Ok(())
    };
    answer("heartbeat", taken.await)
}

async fn read(relay: &Relay, request: &HttpRequest, body: web::Payload) -> Result<Notification, Refusal> {
    if !authorized(relay, request) {
        return Err(Refusal::Unauthorized);
    }
    let body = tokio::time::timeout(READING, body.to_bytes_limited(LARGEST)).await;
    let body = body.map_err(|_| Refusal::Malformed("the body did not arrive in time".into()))?;
    let body = body
        .map_err(|_| Refusal::TooLarge)?
        .map_err(|error| Refusal::Malformed(format!("the body cannot be read: {error}")))?;
    Notification::parse(&body).map_err(Refusal::Malformed)
}

fn authorized(relay: &Relay, request: &HttpRequest) -> bool {
    let given = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let given = given.and_then(|value| value.strip_prefix(b"Bearer ")).unwrap_or_default();
    given.ct_eq(relay.token.expose_secret().as_bytes()).into()
}

async fn record(relay: &Relay, notification: &Notification) -> Result<(), Refusal> {
    let ended = notification.alerts.iter().any(|alert| alert.status == Status::Resolved);
    let view = if ended { relay.sight.view().await } else { View::default() };
    let at = Circumstances { policy: &relay.policy, now: time::now(), view: &view };
    let recorded = observability::db::observe("INSERT", "incidents", relay.store.record(notification, at));
    let recorded = tokio::time::timeout(STORING, recorded).await;
    let changes = recorded.map_err(|_| Refusal::StoreFailed("the store did not answer in time".into()))?;
    let changes = changes.map_err(|error| Refusal::StoreFailed(error.to_string()))?;
    for started in &changes.opened {
        DELIVERY_SECONDS.record([INBOX], time::seconds(time::now() - started));
    }
    if !changes.opened.is_empty() || changes.resolved > 0 {
        relay.bell.ring();
        tracing::info!(opened = changes.opened.len(), resolved = changes.resolved, "incidents changed");
    }
    Ok(())
}

/// Why a notification was not taken. Alertmanager tries again on 5xx only.
#[derive(Debug)]
enum Refusal {
    /// 401
    Unauthorized,
    /// 400
    Malformed(String),
    /// 413
    TooLarge,
    /// 503
    StoreFailed(String),
}

fn answer(endpoint: &'static str, taken: Result<(), Refusal>) -> HttpResponse {
    let (outcome, response) = match taken {
        Ok(()) => ("accepted", HttpResponse::Ok().finish()),
        Err(refusal) => refusal.response(),
    };
    INTAKE_REQUESTS.increment([endpoint, outcome]);
    response
}

impl Refusal {
    fn response(self) -> (&'static str, HttpResponse) {
        let problem =
            |kind, status, title, detail: &str| Problem { kind, status, title, detail: detail.to_owned() }.response();
        match self {
            Self::Unauthorized => {
                let detail = "Send `Authorization: Bearer` with the token of RELAY_TOKEN_FILE.";
                let mut response = problem("unauthorized", StatusCode::UNAUTHORIZED, "Not authorized", detail);
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                ("unauthorized", response)
            }
            Self::Malformed(detail) => {
                ("malformed", problem("malformed", StatusCode::BAD_REQUEST, "Not a notification", &detail))
            }
            Self::TooLarge => {
                let detail = "A notification has at most 1 MiB: set max_alerts in Alertmanager's webhook.";
                ("too_large", problem("too_large", StatusCode::PAYLOAD_TOO_LARGE, "Too large", detail))
            }
            Self::StoreFailed(error) => {
                let detail = "The notification could not be stored. Send it again.";
                let mut response = problem("store_failed", StatusCode::SERVICE_UNAVAILABLE, "Not stored", detail);
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
                let failure = Failure {
                    failure_type: "alert_pipeline",
                    severity: Severity::Error,
                    cause: format!("storing a notification: {error}"),
                };
                ("store_failed", failure.attach(response))
            }
        }
    }
}
