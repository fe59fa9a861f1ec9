//! The player's HTTP side: the webhooks it plays, and what a test or a person asks it.

use std::{io, time::Duration};

use actix_web::{
    HttpResponse, HttpResponseBuilder,
    body::{BodySize, BoxBody, MessageBody},
    http::{StatusCode, header},
    web,
};
use serde_json::Value;

use super::{Behaviour, State, keep, page};

pub(super) fn configure(config: &mut web::ServiceConfig) {
    config
        .route("/", web::get().to(show))
        .route("/messages", web::get().to(messages))
        .route("/behaviour", web::put().to(behave))
        .route("/slack/{token:.+}", web::post().to(slack))
        .route("/second", web::post().to(second))
        .route("/escalation{tail:.*}", web::post().to(escalation))
        .route("/rollback", web::post().to(rollback));
}

async fn show(state: web::Data<State>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"))
        .body(page::render(&state.snapshot()))
}

async fn messages(state: web::Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(state.snapshot())
}

async fn behave(state: web::Data<State>, behaviour: web::Json<Behaviour>) -> HttpResponse {
    state.log().behaviour = behaviour.into_inner();
    HttpResponse::NoContent().finish()
}

async fn slack(state: web::Data<State>, body: web::Bytes) -> HttpResponse {
    let behaviour = state.log().behaviour;
    let body = read(&body);
    match (behaviour, body) {
        (Behaviour::Ok, Ok(body)) => {
            let message = state.message(body);
            keep(&mut state.log().messages, message);
            answer(StatusCode::OK, "ok")
        }
        (Behaviour::Ok, Err(problem)) => {
            state.log().refused += 1;
            answer(StatusCode::BAD_REQUEST, problem)
        }
        (behaviour, _) => {
            state.log().refused += 1;
            refuse(behaviour).await
        }
    }
}

async fn second(state: web::Data<State>, body: web::Bytes) -> HttpResponse {
    let message = state.message(whatever(&body));
    keep(&mut state.log().second, message);
    answer(StatusCode::OK, "ok")
}

async fn escalation(state: web::Data<State>, body: web::Bytes) -> HttpResponse {
    let message = state.message(whatever(&body));
    keep(&mut state.log().escalations, message);
    answer(StatusCode::OK, "ok")
}

async fn rollback(state: web::Data<State>, body: web::Bytes) -> HttpResponse {
    let message = state.message(whatever(&body));
    keep(&mut state.log().rollbacks, message);
    answer(StatusCode::OK, "ok")
}

fn whatever(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned()))
}

async fn refuse(behaviour: Behaviour) -> HttpResponse {
    match behaviour {
        Behaviour::Ok => answer(StatusCode::OK, "ok"),
        Behaviour::Unavailable => answer(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable"),
        Behaviour::TooMany { retry_after_s } => HttpResponse::TooManyRequests()
            .insert_header((header::RETRY_AFTER, retry_after_s.to_string()))
            .body("rate_limited"),
        Behaviour::Error => answer(StatusCode::OK, "{\"ok\":false,\"error\":\"internal_error\"}"),
        Behaviour::Hang => {
            // Longer than any caller may wait; the caller's end of the connection ends this, too.
            tokio::time::sleep(Duration::from_hours(24)).await;
            answer(StatusCode::GATEWAY_TIMEOUT, "")
        }
        Behaviour::Cut => HttpResponse::Ok().body(Broken),
        Behaviour::NoService => answer(StatusCode::NOT_FOUND, "no_service"),
    }
}

/// What Slack refuses by itself.
fn read(body: &[u8]) -> Result<Value, &'static str> {
    let value: Value = serde_json::from_slice(body).map_err(|_| "invalid_payload")?;
    let says_something = ["text", "attachments", "blocks"].iter().any(|key| match value.get(key) {
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        _ => false,
    });
    if says_something { Ok(value) } else { Err("no_text") }
}

fn answer(status: StatusCode, body: &'static str) -> HttpResponse {
    HttpResponseBuilder::new(status).content_type("text/html").body(body)
}

/// Promises the two bytes of `ok` and fails instead, which closes the connection.
struct Broken;

impl MessageBody for Broken {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(2)
    }

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<web::Bytes, io::Error>>> {
        std::task::Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::ConnectionAborted))))
    }

    fn boxed(self) -> BoxBody {
        BoxBody::new(self)
    }
}
