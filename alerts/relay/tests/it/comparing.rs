//! What the relay finds out for itself: ends that are none, alerts it was not told of, gaps, silence.
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, SqliteConnection};

use super::chat::{Chat, OK};
use super::monitoring::Monitoring;
use super::support::{Setup, TOKEN, firing, notification, resolved, until};

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
async fn a_heartbeat_that_stops_is_an_incident_until_it_is_back() {
    let chat = Chat::start(&[OK]).await;
    let mut setup = Setup::slack(&chat.url);
    setup.set("RELAY_HEARTBEAT_PATIENCE", "2s");
    setup.set("PUBLIC_URL_GRAFANA", "https://grafana.example.com");
    let relay = setup.start().await;
    let beat = async || relay.post("/v1/heartbeat").bearer_auth(TOKEN).json(&firing()).send().await.unwrap();
    beat().await;
    let messages = chat.accepted(1).await;
    assert!(messages[0].contains("FIRING") && messages[0].contains("Monitoring is silent"), "{messages:?}");
    let panel = "https://grafana.example.com/d/alerts/alerts?orgId=1&viewPanel=panel-5&";
    assert!(chat.posts()[0].body.to_string().contains(panel), "{:?}", chat.posts()[0].body);
    let silent = relay.incidents().await;
    assert_eq!((silent.len(), &silent[0]["failure_type"]), (1, &json!("watchdog")));
    beat().await;
    assert!(chat.accepted(2).await[1].contains("RESOLVED"));
}

#[tokio::test]
async fn without_any_heartbeat_ever_silence_is_no_incident() {
    let mut setup = Setup::new();
    setup.set("RELAY_HEARTBEAT_PATIENCE", "100ms");
    let relay = setup.start().await;
    until("the silence to be long", async || {
        relay.metric("relay_heartbeat_age_seconds").await.filter(|age| *age > 2.0)
    })
    .await;
    assert!(relay.incidents().await.is_empty());
}

#[tokio::test]
async fn an_end_that_alertmanager_makes_up_while_prometheus_sees_the_fault_is_none() {
    let chat = Chat::start(&[OK]).await;
    let (setup, monitoring) = setup(&chat);
    monitoring.fires(&[firing()["alerts"][0]["labels"].clone()]);
    let relay = setup.start().await;
    relay.notify(&firing()).await;
    relay.notify(&resolved()).await;
    assert_eq!(relay.incidents().await[0]["state"], "open");
    monitoring.fires(&[]);
    relay.notify(&resolved()).await;
    let messages = chat.accepted(2).await;
    assert!(messages.len() == 2 && messages[1].contains("RESOLVED"), "{messages:?}");
}

#[tokio::test]
async fn a_notification_that_comes_after_its_episode_was_found_opens_nothing() {
    let chat = Chat::start(&[OK]).await;
    let (setup, monitoring) = setup(&chat);
    monitoring.fires(&[]);
    monitoring.set("/api/v2/alerts", json!([]));
    let now = chrono::Utc::now().timestamp();
    let metric = firing()["alerts"][0]["labels"].clone();
    let samples: Vec<Value> = (0..5).map(|second| json!([now - 50 + second, "1"])).collect();
    monitoring.set("/api/v1/query_range", json!({ "data": { "result": [{ "metric": metric, "values": samples }] } }));
    drop(setup.start().await);
    SqliteConnection::connect(&setup.store())
        .await
        .unwrap()
        .execute("UPDATE memory SET checked_at = checked_at - 60000")
        .await
        .unwrap();
    let relay = setup.start().await;
    assert!(chat.accepted(1).await[0].contains("told afterwards"));
    let start = chrono::DateTime::from_timestamp(now - 51, 0).unwrap().to_rfc3339();
    relay.notify(&notification("DatabaseDown", &start, None)).await;
    assert_eq!(relay.incidents().await[0]["state"], "resolved");
    assert_eq!(relay.incidents().await.len(), 1);
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
