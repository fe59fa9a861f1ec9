//! What the collector keeps of spans, what it counts, and what it holds while nobody takes it.

use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use reqwest::Response;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use stack::{Handle, Options, load, signals::Signals};

use crate::{common::eventually, machine, runner};

/// What a trace has to take to be kept as a slow one, as in otel-collector/config.yaml.
const SLOW: Duration = Duration::from_millis(500);
const ORDERS: usize = 20;
/// More than `decision_wait` there, and the delay of a span and a line before.
const TAKEN_AFTER: TimeDelta = TimeDelta::seconds(8);

/// With every part, and with this environment; none, and that is said, where parts are missing.
async fn start(env: &[(&str, &str)]) -> Option<Handle> {
    if !runner::has_all_parts().await {
        return None;
    }
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Some(stack::start(Options { extras: true, env, ..Options::default() }).await.unwrap())
}

async fn list_orders(stack: &Handle) -> Response {
    client().get(format!("{}/v1/orders?limit=1", stack.endpoints().service)).send().await.unwrap()
}

async fn create_order(stack: &Handle) -> Response {
    let order = json!({"item": "tea", "quantity": 1, "amount": 100, "currency": "EUR"});
    client().post(format!("{}/v1/orders", stack.endpoints().service)).json(&order).send().await.unwrap()
}

/// The sum of what Prometheus answers.
async fn sum(stack: &Handle, query: &str) -> f64 {
    let url = reqwest::Url::parse_with_params(
        &format!("{}/api/v1/query", stack.endpoints().prometheus),
        [("query", format!("sum({query})"))],
    );
    let answer: Value = client().get(url.unwrap()).send().await.unwrap().json().await.unwrap();
    let value = answer.pointer("/data/result/0/value/1").and_then(Value::as_str);
    value.map_or(0.0, |value| value.parse().unwrap())
}

fn client() -> reqwest::Client {
    stack::http::client(Duration::from_secs(10)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_and_slow_traces_are_kept_when_no_others_are_and_all_are_counted() {
    let _machine = machine::shared().await;
    let Some(stack) = start(&[("TRACE_KEEP_PERCENT", "0"), ("FAULTS", "on")]).await else { return };
    let signals = Signals::of(stack.endpoints()).unwrap();
    let mut fast = None;
    while fast.is_none() {
        let asked = Instant::now();
        let answer = list_orders(&stack).await;
        assert_eq!(answer.status(), 200);
        // On a busy machine any may be a slow one.
        fast = load::trace(&answer).filter(|_| asked.elapsed() < SLOW / 2);
    }
    let mut database = PgConnection::connect(&stack.endpoints().database_url).await.unwrap();
    sqlx::query("REVOKE INSERT ON orders FROM orders").execute(&mut database).await.unwrap();
    let answer = create_order(&stack).await;
    assert_eq!(answer.status(), 500);
    let failed = load::trace(&answer).unwrap();
    stack.service_admin(&["fault", "latency", "--delay", "700ms", "--for", "10m"]).await.unwrap();
    let answer = list_orders(&stack).await;
    assert_eq!(answer.status(), 200);
    let slow = load::trace(&answer).unwrap();

    for trace in [&failed, &slow] {
        let kept = async || !signals.spans(trace).await.unwrap().is_empty();
        eventually(&format!("{trace} is in Jaeger"), kept).await;
    }

    // Its turn was before theirs.
    assert_eq!(signals.spans(&fast.unwrap()).await.unwrap(), Vec::<Value>::new());
    let of_lists = r#"{service_name="orders", http_route="/v1/orders", http_response_status_code="200"}"#;
    let (counted, kept) =
        (format!("traces_span_metrics_calls_total{of_lists}"), format!("traces_kept_calls_total{of_lists}"));
    eventually("the kept one is counted as such", async || sum(&stack, &kept).await >= 1.0).await;
    eventually("more are counted than kept", async || sum(&stack, &counted).await > sum(&stack, &kept).await).await;
    let monitor = format!(
        "{}/api/metrics/calls?service=orders&endTs={{now}}&lookback=600000&step=5000&ratePer=600000&spanKind=server",
        stack.endpoints().jaeger
    );
    eventually("Jaeger's page \"Monitor\" has figures", async || {
        let url = monitor.replace("{now}", &Utc::now().timestamp_millis().to_string());
        let answer: Value = client().get(url).send().await.unwrap().json().await.unwrap();
        answer["metrics"].as_array().is_some_and(|metrics| !metrics.is_empty())
    })
    .await;
    stack.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_takes_outlives_the_collector() {
    let _machine = machine::shared().await;
    let Some(stack) = start(&[]).await else { return };
    let signals = Signals::of(stack.endpoints()).unwrap();
    let began = Utc::now();
    for backend in ["loki", "jaeger"] {
        stack.halt(backend).await.unwrap();
    }
    // Its requests would be waited for as well.
    stack.kill("load").await.unwrap();
    let mut traces = Vec::new();
    for _ in 0..ORDERS {
        traces.push(load::trace(&create_order(&stack).await).unwrap());
    }
    // Lines are read, and traces decided on, within seconds; a scrape from then says that they have passed.
    let taken = (Utc::now() + TAKEN_AFTER).timestamp();
    let scraped = format!(r#"timestamp(up{{job="otel-collector"}} == 1) >= bool {taken}"#);
    eventually("the collector has taken all", async || sum(&stack, &scraped).await > 0.0).await;

    stack.kill("otel-collector").await.unwrap();
    for part in ["loki", "jaeger", "otel-collector"] {
        stack.start(part).await.unwrap();
    }

    for trace in &traces {
        let query = format!(r#"{{service_name="orders"}} | trace_id="{trace}" | http_route!="""#);
        eventually(&format!("the line of {trace} is in Loki"), async || {
            !signals.lines(&query, began - TimeDelta::seconds(5), Utc::now()).await.unwrap().is_empty()
        })
        .await;
        let spans = async || signals.spans(trace).await.unwrap().len() > 1;
        eventually(&format!("the spans of {trace} are in Jaeger"), spans).await;
    }
    stack.stop().await.unwrap();
}
