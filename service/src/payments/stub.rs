//! A payments provider to try things with: `service payments-stub`. How badly it behaves can be set
//! while it runs, with `PUT /behaviour` or `service admin payments`.

use std::{
    any::Any,
    collections::HashMap,
    net::TcpListener,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, body::BodyStream, rt::net::TcpStream, web};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::Charge;

/// Charges remembered at most: this is a toy, and its memory is bounded.
const REMEMBERED: usize = 100_000;

/// What goes wrong. All fields may be left out.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Behaviour {
    /// Time before an answer.
    latency_ms: u64,
    /// Share of calls that are answered with 500, 0 to 1.
    error_rate: f64,
    /// Every so many calls, one is never answered. 1: none is answered; 0: all are.
    hang_every: u64,
    /// Connections are reset instead of answered.
    reset: bool,
    /// Charges are refused.
    decline: bool,
}

#[derive(Debug, Default)]
struct State {
    behaviour: Behaviour,
    /// What was charged, by idempotency key.
    charges: HashMap<String, Charge>,
    calls: u64,
}

type Shared = web::Data<Mutex<State>>;

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves until it is stopped.
pub async fn serve(listener: TcpListener) -> std::io::Result<()> {
    let state = web::Data::from(Arc::<Mutex<State>>::default());
    HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .route("/v1/payments", web::post().to(pay))
            .route("/behaviour", web::get().to(show))
            .route("/behaviour", web::put().to(set))
            .route("/charges", web::get().to(charges))
            .route("/health/ready", web::get().to(HttpResponse::Ok))
            .wrap(observability::http::observe())
    })
    .on_connect(|connection: &dyn Any, _| {
        // A connection that is dropped before its answer is then seen as reset, not as ended.
        if let Some(stream) = connection.downcast_ref::<TcpStream>() {
            let _ = stream.set_zero_linger();
        }
    })
    .workers(1)
    .shutdown_timeout(1)
    .listen(listener)?
    .run()
    .await
}

async fn pay(request: HttpRequest, state: Shared, charge: web::Json<Charge>) -> HttpResponse {
    let (behaviour, call) = {
        let mut state = lock(&state);
        state.calls += 1;
        (state.behaviour, state.calls)
    };
    sleep(Duration::from_millis(behaviour.latency_ms)).await;
    if behaviour.hang_every > 0 && call.is_multiple_of(behaviour.hang_every) {
        std::future::pending::<()>().await;
    }
    if behaviour.reset {
        let broken = futures_util::stream::once(async { Err::<web::Bytes, _>("reset") });
        return HttpResponse::Ok().body(BodyStream::new(broken));
    }
    if fastrand::f64() < behaviour.error_rate {
        return HttpResponse::InternalServerError().finish();
    }
    let key = request.headers().get("idempotency-key").and_then(|key| key.to_str().ok());
    let Some(key) = key else { return HttpResponse::BadRequest().body("an idempotency-key is needed") };
    if behaviour.decline {
        return HttpResponse::PaymentRequired().finish();
    }
    let mut state = lock(&state);
    if state.charges.len() >= REMEMBERED {
        state.charges.clear();
    }
    match state.charges.insert(key.to_owned(), charge.into_inner()) {
        Some(before) if state.charges.get(key) != Some(&before) => {
            state.charges.insert(key.to_owned(), before);
            HttpResponse::UnprocessableEntity().body("another charge had this key")
        }
        _ => HttpResponse::Created().finish(),
    }
}

async fn show(state: Shared) -> HttpResponse {
    HttpResponse::Ok().json(lock(&state).behaviour)
}

async fn set(state: Shared, body: String) -> HttpResponse {
    match serde_json::from_str::<Behaviour>(&body) {
        Ok(behaviour) => {
            tracing::info!(?behaviour, "behaviour set");
            lock(&state).behaviour = behaviour;
            show(state).await
        }
        Err(error) => HttpResponse::BadRequest().body(error.to_string()),
    }
}

/// How often what was charged, and how many calls that took.
async fn charges(state: Shared) -> HttpResponse {
    let state = lock(&state);
    let orders: Vec<_> = state.charges.values().map(|charge| charge.order_id).collect();
    HttpResponse::Ok().json(serde_json::json!({ "orders": orders, "calls": state.calls }))
}
