//! Paying, with a provider that answers, refuses, is slow, breaks off, or is not there.

use std::time::{Duration, Instant};

use actix_web::{http::StatusCode, test::TestRequest};
use observability::testing::Capture;
use serde_json::{Value, json};
use service::{
    app::Parts,
    database::Database,
    metrics,
    orders::{finish_due, finish_pending},
    payments::Payments,
};
use sqlx::PgPool;

use crate::support::{
    api::{LIMITS, no_payments, parts, provider, start_with},
    eventually,
    program::{Program, exchange, run},
};

/// The provider's process.
struct Provider(Program);

impl Provider {
    fn start() -> Self {
        Self(Program::payments_stub())
    }

    fn payments(&self) -> Payments {
        provider(&format!("http://{}", self.0.public))
    }

    fn parts(&self, pool: &PgPool) -> Parts {
        parts(Database::fixed(pool.clone()), self.payments(), LIMITS)
    }

    fn behave(&self, behaviour: &Value) {
        assert_eq!(exchange(&self.0.public, "PUT", "/behaviour", &behaviour.to_string()).unwrap().0, 200);
    }

    /// Which orders were charged, and how many calls there were.
    fn charges(&self) -> (Vec<String>, u64) {
        let answer: Value = serde_json::from_str(&exchange(&self.0.public, "GET", "/charges", "").unwrap().1).unwrap();
        let orders = answer["orders"].as_array().unwrap();
        (orders.iter().map(|id| id.as_str().unwrap().to_owned()).collect(), answer["calls"].as_u64().unwrap())
    }
}

async fn pending(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from pending_payments").fetch_one(pool).await.unwrap()
}

#[sqlx::test]
async fn an_order_is_paid_once(pool: PgPool) {
    let capture = Capture::with("info", 1.0, metrics::ALL);
    let provider = Provider::start();
    let api = start_with(provider.parts(&pool)).await;
    let id = api.an_order().await;

    let paid = api.pay(&id).await;
    assert_eq!((paid.status, &paid.body["status"]), (StatusCode::OK, &json!("paid")));
    assert_eq!(api.get(&format!("/v1/orders/{id}")).await.body, paid.body);
    assert_eq!(pending(&pool).await, 0);

    for answer in [api.pay(&id).await, api.cancel(&id).await] {
        assert_eq!((answer.status, &answer.body["detail"]), (StatusCode::CONFLICT, &json!("the order is paid")));
    }
    assert_eq!(provider.charges(), (vec![id], 1));
    assert!(capture.report().contains("order_payments_total{outcome=\"paid\"} 1"), "{}", capture.report());
}

#[sqlx::test]
async fn an_order_whose_payment_is_declined_stays_open(pool: PgPool) {
    let provider = Provider::start();
    let api = start_with(provider.parts(&pool)).await;
    let id = api.an_order().await;
    provider.behave(&json!({ "decline": true }));

    let declined = api.pay(&id).await;
    assert_eq!(
        (declined.status, &declined.body["type"]),
        (StatusCode::PAYMENT_REQUIRED, &json!("/problems/payment_declined"))
    );
    provider.behave(&json!({}));
    assert_eq!(api.pay(&id).await.status, StatusCode::OK);
}

#[sqlx::test]
async fn what_the_provider_leaves_open_is_a_warning_and_is_finished_later_once(pool: PgPool) {
    for (behaviour, calls) in [
        (json!({ "hang": true }), 2),
        (json!({ "latency_ms": 5000 }), 2),
        (json!({ "error_rate": 1.0 }), 2),
        (json!({ "reset": true }), 2),
    ] {
        let provider = Provider::start();
        let (database, payments) = (Database::fixed(pool.clone()), provider.payments());
        let api = start_with(parts(database.clone(), payments.clone(), LIMITS)).await;
        let id = api.an_order().await;
        provider.behave(&behaviour);

        let capture = Capture::with("info", 1.0, metrics::ALL);
        let asked = Instant::now();
        let answer = api.pay(&id).await;
        assert!(asked.elapsed() < Duration::from_secs(2), "{behaviour}: {:?}", asked.elapsed());
        assert_eq!((answer.status, &answer.body["status"]), (StatusCode::ACCEPTED, &json!("payment_pending")));
        assert_eq!(provider.charges(), (vec![], calls), "{behaviour}");
        let lines = capture.lines();
        let line = lines.last().unwrap();
        assert_eq!((&line["level"], &line["failure_type"]), (&json!("WARN"), &json!("dependency")), "{line}");
        let count = "app_errors_total{failure_type=\"dependency\",severity=\"warning\"} 1";
        assert!(capture.report().contains(count), "{}", capture.report());
        for answer in [api.pay(&id).await, api.cancel(&id).await] {
            assert_eq!(answer.status, StatusCode::CONFLICT, "{answer:?}");
        }

        provider.behave(&json!({}));
        // As many instances would, all at a time.
        let tries = (0..5).map(|_| finish_due(&database, &payments));
        let tried: usize = futures_util::future::join_all(tries).await.into_iter().map(Result::unwrap).sum();
        assert!(tried >= 1);
        assert_eq!(api.get(&format!("/v1/orders/{id}")).await.body["status"], "paid");
        assert_eq!(provider.charges().0, [id]);
        assert_eq!(pending(&pool).await, 0);
        assert!(capture.report().contains("order_payments_total{outcome=\"paid\"} 1"), "{}", capture.report());
    }
}

#[sqlx::test]
async fn a_payment_finished_later_is_a_trace_that_links_to_its_request(pool: PgPool) {
    let capture = Capture::start();
    let (database, payments) = (Database::fixed(pool), no_payments());
    let api = start_with(parts(database.clone(), payments.clone(), LIMITS)).await;
    let id = api.an_order().await;
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = TestRequest::post().uri(&format!("/v1/orders/{id}/payment"));
    let answer = api.send(request.insert_header(("traceparent", format!("00-{trace_id}-00f067aa0ba902b7-01")))).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);

    assert_eq!(finish_due(&database, &payments).await.unwrap(), 1);
    let spans = capture.spans();
    let job = spans.iter().find(|span| span.name == "finish payment").unwrap();
    assert_eq!(job.links.links[0].span_context.trace_id().to_string(), trace_id);
    let call = spans.iter().rfind(|span| span.name == "POST").unwrap();
    assert_eq!(call.parent_span_id, job.span_context.span_id());
    let lines = capture.lines();
    let line = lines.iter().rfind(|line| line["message"] == "a payment stays pending").unwrap();
    assert_eq!((&line["order_id"], &line["linked_trace_id"]), (&json!(id), &json!(trace_id)));
    assert_eq!(line["trace_id"], job.span_context.trace_id().to_string());
}

#[sqlx::test]
async fn a_provider_that_is_gone_is_left_alone_and_asked_again_later(pool: PgPool) {
    let capture = Capture::with("info", 1.0, metrics::ALL);
    let provider = Provider::start();
    let (database, payments) = (Database::fixed(pool.clone()), provider.payments());
    let api = start_with(parts(database.clone(), payments.clone(), LIMITS)).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(api.an_order().await);
    }
    provider.behave(&json!({ "error_rate": 1.0 }));
    for id in &ids[..3] {
        assert_eq!(api.pay(id).await.status, StatusCode::ACCEPTED);
    }
    let asked = Instant::now();
    assert_eq!(api.pay(&ids[3]).await.status, StatusCode::ACCEPTED);
    assert!(asked.elapsed() < Duration::from_millis(250), "{:?}", asked.elapsed());
    assert_eq!(provider.charges().1, 5, "the breaker opens after five failures in a row");
    assert!(capture.report().contains("circuit_breaker_state{dependency=\"payments\"} 2"), "{}", capture.report());
    assert!(capture.lines().iter().any(|line| line["failure_type"] == "breaker" && line["level"] == "WARN"));

    provider.behave(&json!({}));
    observability::spawn(finish_pending(database, payments));
    eventually("all are paid", Duration::from_secs(20), async || pending(&pool).await == 0).await;
    let mut charged = provider.charges().0;
    charged.sort();
    assert_eq!(charged, ids);
    assert!(capture.report().contains("circuit_breaker_state{dependency=\"payments\"} 0"), "{}", capture.report());
}

#[sqlx::test]
async fn the_background_of_a_new_process_finishes_what_another_began(pool: PgPool) {
    use sqlx::ConnectOptions as _;
    let provider = Provider::start();
    let api = start_with(parts(Database::fixed(pool.clone()), no_payments(), LIMITS)).await;
    let id = api.an_order().await;
    assert_eq!(api.pay(&id).await.status, StatusCode::ACCEPTED);

    let url = format!("http://{}", provider.0.public);
    let program = Program::serve(pool.connect_options().to_url_lossy().as_ref(), &[("PAYMENTS_URL", &url)]);
    let line = program.line("pending payment settled");
    assert_eq!((line["order_id"].as_str(), line["first"].as_bool()), (Some(id.as_str()), Some(true)));
    assert_eq!(provider.charges().0, [id]);
}

#[test]
fn the_provider_is_steered_from_the_command_line() {
    let provider = Provider::start();
    let set = |behaviour: &[&str]| {
        let output = run(&[&["admin", "payments"], behaviour].concat(), &[("PAYMENTS_LISTEN", &provider.0.public)]);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let slow = "{\"latency_ms\":50,\"error_rate\":0.5,\"hang\":false,\"reset\":false,\"decline\":false}\n";
    assert_eq!(set(&[r#"{"latency_ms":50,"error_rate":0.5}"#]), (Some(0), slow.into()));
    assert_eq!(set(&[]), (Some(0), slow.into()));
    assert_eq!(set(&[r#"{"speed":1}"#]).0, Some(1));
}
