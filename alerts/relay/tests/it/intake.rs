//! What is let in, and what is refused and counted.
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, SqliteConnection};

use super::support::{Relay, Setup, TOKEN, firing, resolved};

async fn counted(relay: &Relay, endpoint: &str, outcome: &str) -> f64 {
    let series = format!("relay_intake_requests_total{{endpoint=\"{endpoint}\",outcome=\"{outcome}\"}}");
    relay.metric(&series).await.expect("the series exists from the start")
}

/// Sends a body and returns status and problem.
async fn send(relay: &Relay, body: Vec<u8>) -> (u16, Value) {
    let answer = relay.post("/v1/alertmanager").bearer_auth(TOKEN).body(body).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_notification_becomes_an_incident_and_unknown_fields_do_not_matter() {
    let relay = Setup::new().start().await;
    assert_eq!(relay.notify(&firing()).await, 200);
    let incidents = relay.incidents().await;
    assert_eq!(incidents.len(), 1);
    assert_eq!((&incidents[0]["alertname"], &incidents[0]["state"]), (&json!("DatabaseDown"), &json!("open")));
    assert_eq!(incidents[0]["deliveries"][0]["channel"], "inbox");
    assert_eq!(counted(&relay, "alertmanager", "accepted").await, 1.0);
}

#[tokio::test]
async fn a_malformed_webhook_is_refused_and_counted() {
    let relay = Setup::new().start().await;
    let bodies = [
        json!({}),
        json!([]),
        json!({"version": "5", "status": "firing", "alerts": []}),
        json!({"version": "4", "status": "firing", "alerts": [{"status": "odd"}]}),
    ];
    for body in &bodies {
        let (status, problem) = send(&relay, body.to_string().into_bytes()).await;
        assert_eq!((status, &problem["type"]), (400, &json!("/problems/malformed")), "{body}");
    }
    let (status, _) = send(&relay, vec![0xff, 0xfe]).await;
    assert_eq!(status, 400);
    assert_eq!(counted(&relay, "alertmanager", "malformed").await, 5.0);
    assert!(relay.incidents().await.is_empty());
}

#[tokio::test]
async fn an_oversized_webhook_is_refused_and_counted() {
    let relay = Setup::new().start().await;
    let (status, problem) = send(&relay, vec![b' '; 1024 * 1024 + 1]).await;
    assert_eq!((status, &problem["type"]), (413, &json!("/problems/too_large")));
    assert_eq!(counted(&relay, "alertmanager", "too_large").await, 1.0);
}

#[tokio::test]
async fn an_unauthenticated_webhook_is_refused_and_counted() {
    let relay = Setup::new().start().await;
    let tokens = [None, Some(""), Some("wrong"), Some(&TOKEN[1..]), Some("a-token-for-tests-onlyx")];
    for token in tokens {
        for path in ["/v1/alertmanager", "/v1/heartbeat"] {
            let request = relay.post(path).json(&firing());
            let request = token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
            assert_eq!(request.send().await.unwrap().status().as_u16(), 401, "{token:?}");
        }
    }
    assert_eq!(counted(&relay, "alertmanager", "unauthorized").await, 5.0);
    assert_eq!(counted(&relay, "heartbeat", "unauthorized").await, 5.0);
    assert!(relay.incidents().await.is_empty());
}

#[tokio::test]
async fn while_the_store_cannot_commit_alertmanager_hears_503_and_nothing_is_kept() {
    let setup = Setup::new();
    let relay = setup.start().await;
    let mut intruder = SqliteConnection::connect(&setup.store()).await.unwrap();
    intruder.execute("BEGIN IMMEDIATE").await.unwrap();
    let start = Instant::now();
    assert_eq!(relay.notify(&firing()).await, 503);
    assert!(start.elapsed() < Duration::from_secs(3), "Alertmanager must not wait longer: {:?}", start.elapsed());
    intruder.execute("ROLLBACK").await.unwrap();
    assert!(relay.incidents().await.is_empty());
    assert_eq!(counted(&relay, "alertmanager", "store_failed").await, 1.0);

    assert_eq!(relay.notify(&firing()).await, 200);
    assert_eq!(relay.incidents().await.len(), 1);
}

#[tokio::test]
async fn what_was_answered_with_200_is_on_disk() {
    let setup = Setup::new();
    let relay = setup.start().await;
    assert_eq!(relay.notify(&firing()).await, 200);
    drop(relay);
    let mut reader = SqliteConnection::connect(&setup.store()).await.unwrap();
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM incidents").fetch_one(&mut reader).await.unwrap();
    assert_eq!(stored, 1);
}

#[tokio::test]
async fn an_incident_is_over_with_the_last_of_its_alerts() {
    let relay = Setup::new().start().await;
    let mut second = firing()["alerts"][0].clone();
    second["fingerprint"] = json!("another instance");
    let mut both = firing();
    both["alerts"].as_array_mut().unwrap().push(second.clone());
    assert_eq!(relay.notify(&both).await, 200);
    let mut first_over = resolved();
    first_over["alerts"].as_array_mut().unwrap().push(second.clone());
    assert_eq!(relay.notify(&first_over).await, 200);
    assert_eq!(relay.incidents().await[0]["state"], "open");

    second["status"] = json!("resolved");
    second["endsAt"] = json!("2026-11-20T14:06:00.000Z");
    let mut all_over = resolved();
    all_over["alerts"].as_array_mut().unwrap().push(second);
    assert_eq!(relay.notify(&all_over).await, 200);
    let incidents = relay.incidents().await;
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    assert_eq!(
        (&incidents[0]["state"], &incidents[0]["resolved_at"]),
        (&json!("resolved"), &json!("2026-11-20T14:06:00.000Z"))
    );
}

#[tokio::test]
async fn a_firing_notification_that_was_overtaken_by_its_end_opens_nothing() {
    let relay = Setup::new().start().await;
    for notification in [firing(), resolved(), firing()] {
        assert_eq!(relay.notify(&notification).await, 200);
    }
    let incidents = relay.incidents().await;
    assert_eq!((incidents.len(), &incidents[0]["state"]), (1, &json!("resolved")));
}

#[tokio::test]
async fn an_alert_that_fires_on_long_after_its_reported_end_is_told_again() {
    let setup = Setup::new();
    let relay = setup.start().await;
    assert_eq!(relay.notify(&firing()).await, 200);
    assert_eq!(relay.notify(&resolved()).await, 200);
    let mut store = SqliteConnection::connect(&setup.store()).await.unwrap();
    store.execute("UPDATE alerts SET heard_at = heard_at - 60000").await.unwrap();
    assert_eq!(relay.notify(&resolved()).await, 200);
    assert_eq!(relay.incidents().await.len(), 1);
    assert_eq!(relay.notify(&firing()).await, 200);
    assert_eq!(relay.notify(&firing()).await, 200);
    let incidents = relay.incidents().await;
    assert_eq!((incidents.len(), &incidents[0]["state"]), (1, &json!("open")), "under the same code: {incidents:?}");
}
