//! Paying, with a provider that answers, refuses, is slow, breaks off, or is not there.

use std::time::{Duration, Instant};

use actix_web::{http::StatusCode, test::TestRequest};
use observability::testing::Capture;
use serde_json::{Value, json};
use service::{
    app::Parts,
    database::Database,
    gate::Limits,
    metrics,
    orders::{finish_due, finish_pending},
    payments::Payments,
};
use sqlx::PgPool;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

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

    fn url(&self) -> String {
        format!("http://{}", self.0.public)
    }

    fn payments(&self) -> Payments {
        provider(&self.url())
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
        (json!({ "hang_every": 1 }), 2),
        (json!({ "latency_ms": 5000 }), 2),
        (json!({ "error_rate": 1.0 }), 2),
        (json!({ "reset": true }), 2),
    ] {
        let provider = Provider::start();
        let database = Database::fixed(pool.clone());
        let (timeout, retry) = (Duration::from_millis(300), Duration::from_mins(10));
        let payments = Payments::new(&provider.url().parse().unwrap(), timeout, retry, 64).unwrap();
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
        assert_eq!(finish_due(&database, &payments).await.unwrap(), 0, "the request may still be at it");
        sqlx::query("update pending_payments set due_at = now()").execute(&pool).await.unwrap();
        // As many instances would, all at a time.
        let tries = (0..5).map(|_| finish_due(&database, &payments));
        let tried: usize = futures_util::future::join_all(tries).await.into_iter().map(Result::unwrap).sum();
        assert_eq!(tried, 1);
        assert_eq!(api.get(&format!("/v1/orders/{id}")).await.body["status"], "paid");
        assert_eq!(provider.charges().0, [id]);
        assert_eq!(pending(&pool).await, 0);
        assert!(capture.report().contains("order_payments_total{outcome=\"paid\"} 1"), "{}", capture.report());
    }
}

#[sqlx::test]
async fn only_what_may_pass_is_asked_again_and_only_what_is_the_providers_fault_opens_the_breaker(pool: PgPool) {
    for (answer, told, calls) in [(402, 402, 6), (400, 202, 6), (422, 202, 6), (429, 202, 5), (503, 202, 5)] {
        let bank = MockServer::start().await;
        Mock::given(any()).respond_with(ResponseTemplate::new(answer)).mount(&bank).await;
        let payments = provider(&bank.uri());
        let api = start_with(parts(Database::fixed(pool.clone()), payments, LIMITS)).await;
        for number in 1..=6 {
            let id = api.an_order().await;
            assert_eq!(api.pay(&id).await.status.as_u16(), told, "{answer}");
            if number == 1 {
                let calls = if answer == 503 { 2 } else { 1 };
                assert_eq!(bank.received_requests().await.unwrap().len(), calls, "{answer}");
            }
        }
        assert_eq!(bank.received_requests().await.unwrap().len(), calls, "{answer}");
    }
}

#[sqlx::test]
async fn a_call_that_is_repeated_with_success_leaves_a_warning_in_its_request(pool: PgPool) {
    let bank = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(503)).up_to_n_times(1).mount(&bank).await;
    Mock::given(any()).respond_with(ResponseTemplate::new(201)).mount(&bank).await;
    let api = start_with(parts(Database::fixed(pool.clone()), provider(&bank.uri()), LIMITS)).await;
    let id = api.an_order().await;

    let capture = Capture::start();
    assert_eq!(api.pay(&id).await.status, StatusCode::OK);

    let lines = capture.lines();
    let [warning, request] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!((&warning["level"], &warning["failure_type"]), (&json!("WARN"), &json!("dependency")), "{warning}");
    assert!(warning["cause"].as_str().unwrap().contains("503"), "{warning}");
    assert_eq!(warning["trace_id"], request["trace_id"]);
    assert_eq!(request["level"], "INFO");
}

#[sqlx::test]
async fn a_provider_that_hangs_takes_no_places_of_other_requests(pool: PgPool) {
    let provider = Provider::start();
    let timeout = Duration::from_secs(2);
    let payments = Payments::new(&provider.url().parse().unwrap(), timeout, timeout, 1).unwrap();
    let api = start_with(parts(Database::fixed(pool), payments, Limits { at_once: 2, ..LIMITS })).await;
    let (first, second) = (api.an_order().await, api.an_order().await);
    provider.behave(&json!({ "hang_every": 1 }));
    let others = async {
        eventually("one waits", Duration::from_secs(5), async || provider.charges().1 == 1).await;
        let answer = api.pay(&second).await;
        assert_eq!((answer.status, &answer.body["status"]), (StatusCode::ACCEPTED, &json!("payment_pending")));
        assert_eq!(api.get(&format!("/v1/orders/{second}")).await.status, StatusCode::OK);
        assert_eq!(provider.charges().1, 1, "the second was not sent, and nobody waited for the first");
        provider.behave(&json!({}));
    };
    let (answer, ()) = futures_util::future::join(api.pay(&first), others).await;
    assert_eq!(answer.status, StatusCode::OK, "its second call is answered");
}

#[sqlx::test]
async fn who_finds_out_whether_the_provider_is_back_puts_off_no_other_payment(pool: PgPool) {
    let bank = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(500)).mount(&bank).await;
    let (database, hour) = (Database::fixed(pool.clone()), Duration::from_hours(1));
    let payments = Payments::new(&bank.uri().parse().unwrap(), Duration::from_secs(1), hour, 64).unwrap();
    let api = start_with(parts(database.clone(), payments.clone(), LIMITS)).await;
    for _ in 0..4 {
        let id = api.an_order().await;
        assert_eq!(api.pay(&id).await.status, StatusCode::ACCEPTED);
    }
    bank.reset().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(201)).mount(&bank).await;
    sqlx::query("update pending_payments set due_at = now()").execute(&pool).await.unwrap();
    eventually("the breaker is asked again", Duration::from_secs(20), async || {
        finish_due(&database, &payments).await.unwrap() > 0
    })
    .await;
    assert_eq!(pending(&pool).await, 0);
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
    let slow = "{\"latency_ms\":50,\"error_rate\":0.5,\"hang_every\":0,\"reset\":false,\"decline\":false}\n";
    assert_eq!(set(&[r#"{"latency_ms":50,"error_rate":0.5}"#]), (Some(0), slow.into()));
    assert_eq!(set(&[]), (Some(0), slow.into()));
    assert_eq!(set(&[r#"{"speed":1}"#]).0, Some(1));
}
