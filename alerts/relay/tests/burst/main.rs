//! A thousand alerts at once. A program of its own, so that no other test shares the machine with what is timed here.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    unused,
    reason = "a test ends where it fails, helpers included; it shows what it measured; it needs not all that is shared"
)]

/// A local server that answers as chat platforms do.
#[path = "../it/chat.rs"]
mod chat;
/// Starts the program and speaks to it.
#[path = "../it/support.rs"]
mod support;

use std::time::Duration;

use serde_json::json;

use chat::{Chat, OK};
use support::{Setup, notification, until};

/// Of the program as it is shipped, with `--release`. One built for debugging needs several times as long.
const STORED_WITHIN: Duration = Duration::from_secs(if cfg!(debug_assertions) { 30 } else { 5 });

#[tokio::test]
async fn a_burst_becomes_a_handful_of_messages_with_what_is_critical_first() {
    let chat = Chat::start(&[OK]).await;
    let mut setup = Setup::new();
    setup.policy(&format!("[channels.slack]\nurl = \"{}\"\nper_minute = 20", chat.url));
    let relay = setup.start().await;
    let (start, sender) = (std::time::Instant::now(), support::client());
    let store = async |range: std::ops::Range<usize>| {
        for index in range {
            let mut one = notification(&format!("Alert{index}"), "2026-11-20T14:02:11Z", None);
            one["alerts"][0]["labels"]["severity"] = json!(if index % 200 == 7 { "critical" } else { "warning" });
            let post = sender.post(format!("{}/v1/alertmanager", relay.public)).bearer_auth(support::TOKEN);
            assert_eq!(post.json(&one).send().await.unwrap().status().as_u16(), 200);
        }
    };
    futures_util::future::join_all((0..10).map(|part| store(part * 100..(part + 1) * 100))).await;
    println!("1,000 alerts stored in {:?}", start.elapsed());
    assert!(start.elapsed() < STORED_WITHIN, "{:?}", start.elapsed());
    until("all to be told", async || {
        let waiting = relay.metric(r#"relay_oldest_pending_seconds{channel="slack"}"#).await;
        (waiting == Some(0.0)).then_some(())
    })
    .await;
    let posts = chat.posts();
    println!("delivered in {} messages after {:?}", posts.len(), start.elapsed());
    assert!(posts.len() <= 5, "{}", posts.len());
    let text: String = posts.iter().map(|post| post.body.to_string()).collect();
    assert_eq!(text.matches("🔴 FIRING").count(), 5, "every critical one has its line: {text}");
}
