//! What monitoring reads about the relay.
use super::chat::{Chat, DOWN, OK};
use super::support::{Setup, firing, resolved, until};

const HANDLED: &str = r#"relay_incident_handled{service="orders",env="local",failure_type="db_down"}"#;

#[tokio::test]
async fn an_incident_is_handled_once_a_chat_has_accepted_it_until_it_is_over() {
    let chat = Chat::start(&[DOWN]).await;
    let relay = Setup::slack(&chat.url).start().await;
    assert_eq!(relay.metric(HANDLED).await, None);
    relay.notify(&firing()).await;
    chat.attempts(1).await;
    assert_eq!(relay.metric(HANDLED).await, Some(0.0));
    assert!(relay.metric(r#"relay_oldest_pending_seconds{channel="slack"}"#).await.unwrap() > 0.0);
    chat.reply(OK);
    chat.accepted(1).await;
    until("the incident to be handled", async || relay.metric(HANDLED).await.filter(|value| *value == 1.0)).await;
    assert_eq!(relay.metric(r#"relay_incidents{state="open"}"#).await, Some(1.0));
    relay.notify(&resolved()).await;
    assert_eq!(relay.metric(HANDLED).await, Some(0.0));
    assert_eq!(relay.metric(r#"relay_incidents{state="open"}"#).await, Some(0.0));
    assert_eq!(relay.metric(r#"relay_delivery_seconds_count{channel="slack"}"#).await, Some(1.0));
    assert_eq!(
        relay.metric(r#"relay_delivery_failures_total{channel="slack"}"#).await.map(|failures| failures >= 1.0),
        Some(true)
    );
}

#[tokio::test]
async fn without_any_chat_the_inbox_counts() {
    let relay = Setup::new().start().await;
    relay.notify(&firing()).await;
    assert_eq!(relay.metric(HANDLED).await, Some(1.0));
}

#[tokio::test]
async fn the_report_is_one_that_prometheus_can_read() {
    let relay = Setup::new().start().await;
    relay.notify(&firing()).await;
    let report = relay.report().await;
    let mut families: Vec<&str> =
        report.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let all = families.len();
    families.sort_unstable();
    families.dedup();
    assert_eq!(all, families.len(), "a family must not stand twice");
    for family in
        ["relay_heartbeat_age_seconds", "relay_delivery_seconds", "build_info", "http_server_request_duration_seconds"]
    {
        assert!(families.contains(&family), "{family} in {families:?}");
    }
}
