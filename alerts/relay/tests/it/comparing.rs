//! What the relay finds out for itself: ends that are none, alerts it was not told of, gaps, silence.
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, SqliteConnection};

use super::chat::{Chat, OK};
use super::monitoring::Monitoring;
use super::support::{Setup, TOKEN, firing, resolved, until};

fn setup(chat: &Chat) -> (Setup, Monitoring) {
    let monitoring = Monitoring::start();
    let mut setup = Setup::slack(&chat.url);
    setup.set("PROMETHEUS_URL", &monitoring.url);
    setup.set("ALERTMANAGER_URL", &monitoring.url);
    (setup, monitoring)
}

#[tokio::test]
async fn a_resolved_that_comes_because_prometheus_died_is_no_green() {
    let chat = Chat::start(&[OK]).await;
    let (setup, monitoring) = setup(&chat);
    monitoring.fires(&[]);
    let relay = setup.start().await;
    relay.notify(&firing()).await;
    chat.accepted(1).await;
    monitoring.die();
    relay.notify(&resolved()).await;
    let messages = chat.accepted(2).await;
    assert!(messages[1].contains("LOST SIGHT OF") && !messages[1].contains("RESOLVED"), "{messages:?}");
    assert_eq!(relay.incidents().await[0]["state"], "lost_sight");
    // It is back, and sees the fault gone.
    monitoring.fires(&[]);
    relay.notify(&resolved()).await;
    assert!(chat.accepted(3).await[2].contains("RESOLVED"));
}

#[tokio::test]
async fn what_alertmanager_holds_and_did_not_say_is_told() {
    let chat = Chat::start(&[OK]).await;
    let (setup, monitoring) = setup(&chat);
    let labels = json!({ "alertname": "Unheard", "service": "orders", "env": "local", "severity": "critical" });
    monitoring.fires(std::slice::from_ref(&labels));
    let held = |state: &str, name: &str| {
        let mut labels = labels.clone();
        labels["alertname"] = json!(name);
        json!({ "labels": labels, "annotations": { "summary": name }, "startsAt": "2026-11-20T14:00:00Z",
            "endsAt": "2026-11-20T14:04:00Z", "fingerprint": name, "receivers": [{ "name": "relay" }], "status": { "state": state } })
    };
    monitoring.set("/api/v2/alerts", json!([held("active", "Unheard"), held("suppressed", "Muted")]));
    let relay = setup.start().await;
    let messages = chat.accepted(1).await;
    assert!(messages[0].contains("FIRING") && messages[0].contains("Unheard"), "{messages:?}");
    assert_eq!(relay.incidents().await.len(), 1, "what is muted is not told");
}

#[tokio::test]
async fn what_began_and_ended_while_the_relay_was_down_is_told_afterwards() {
    let chat = Chat::start(&[OK]).await;
    let (setup, monitoring) = setup(&chat);
    monitoring.fires(&[]);
    monitoring.set("/api/v2/alerts", json!([]));
    let relay = setup.start().await;
    let mut store = SqliteConnection::connect(&setup.store()).await.unwrap();
    until("the first comparison", async || {
        let checked: i64 = sqlx::query_scalar("SELECT checked_at FROM memory")
            .fetch_one(&mut SqliteConnection::connect(&setup.store()).await.ok()?)
            .await
            .ok()?;
        (checked > 0).then_some(())
    })
    .await;
    drop(relay);
    store.execute("UPDATE memory SET checked_at = checked_at - 3600000").await.unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let samples: Vec<Value> = (0..60).map(|second| json!([now - 1800 + second, "1"])).collect();
    let metric = json!({ "__name__": "ALERTS", "alertstate": "firing", "alertname": "Missed", "service": "orders", "tier": "cause", "severity": "critical" });
    monitoring.set("/api/v1/query_range", json!({ "data": { "result": [{ "metric": metric, "values": samples }] } }));
    let _relay = setup.start().await;
    let messages = chat.accepted(1).await;
    assert!(messages[0].contains("Missed") && messages[0].contains("(59 s); told afterwards"), "{messages:?}");
}

#[tokio::test]
async fn an_incident_that_nobody_knows_any_more_ends() {
    let chat = Chat::start(&[OK]).await;
    let (setup, monitoring) = setup(&chat);
    monitoring.fires(&[]);
    monitoring.set("/api/v2/alerts", json!([]));
    let relay = setup.start().await;
    relay.notify(&firing()).await;
    until("the delivery to be written down", async || {
        (relay.incidents().await[0]["deliveries"][1]["state"] == "delivered").then_some(())
    })
    .await;
    drop(relay);
    let mut store = SqliteConnection::connect(&setup.store()).await.unwrap();
    store.execute("UPDATE incidents SET received_at = received_at - 60000").await.unwrap();
    let _relay = setup.start().await;
    assert!(chat.accepted(2).await[1].contains("RESOLVED"));
}

#[tokio::test]
async fn a_heartbeat_that_stops_is_an_incident_of_its_own() {
    let chat = Chat::start(&[OK]).await;
    let setup = Setup::slack(&chat.url);
    let relay = setup.start().await;
    relay.post("/v1/heartbeat").bearer_auth(TOKEN).json(&firing()).send().await.unwrap();
    let mut store = SqliteConnection::connect(&setup.store()).await.unwrap();
    until("the beat to be kept", async || {
        let mut store = SqliteConnection::connect(&setup.store()).await.ok()?;
        let kept: i64 = sqlx::query_scalar("SELECT beat_at FROM memory").fetch_one(&mut store).await.ok()?;
        (kept > 0).then_some(())
    })
    .await;
    assert!(relay.incidents().await.is_empty());
    // Forty-six seconds would be long for a test: an open incident of this kind has to close when a beat comes.
    let labels = r#"{"alertname": "MonitoringSilent", "env": "local", "failure_type": "watchdog", "service": "monitoring", "severity": "critical", "tier": "cause"}"#;
    store
        .execute(sqlx::AssertSqlSafe(format!(
            "INSERT INTO incidents (id, code, identity, alertname, failure_type, service, env, severity, tier, summary, impact, description, expression, labels, started_at, received_at)
             VALUES (1, 'ZZZZ', '[\"MonitoringSilent\", \"monitoring\", \"local\"]', 'MonitoringSilent', 'watchdog', 'monitoring', 'local', 'critical', 'cause', 's', '', '', '', '{{}}', 1795183331000, 1795183331000);
             INSERT INTO alerts VALUES ('{labels}', 1795183331000, NULL, 1795183331000, 1)"
        )))
        .await
        .unwrap();
    until("it to be over", async || (relay.incidents().await[0]["state"] == "resolved").then_some(())).await;
}

#[tokio::test]
async fn a_second_observer_is_quoted() {
    let chat = Chat::start(&[OK]).await;
    let relay = Setup::slack(&chat.url).start().await;
    let mut observer = firing();
    observer["alerts"][0]["labels"]["alertname"] = json!("PostgresDown");
    observer["alerts"][0]["fingerprint"] = json!("f-observer");
    observer["alerts"][0]["labels"]["tier"] = json!("context");
    observer["alerts"][0]["annotations"]["summary"] = json!("the exporter cannot reach it either");
    relay.notify(&observer).await;
    relay.notify(&firing()).await;
    chat.accepted(1).await;
    let body = chat.posts()[0].body.to_string();
    assert!(body.contains("A second observer says: the exporter cannot reach it either"), "{body}");
}
