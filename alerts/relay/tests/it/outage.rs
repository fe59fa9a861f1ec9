//! An outage that the chat did not live to see, and restarts in the middle.
use super::chat::{Chat, DOWN, OK, Reply};
use super::support::{END, START, Setup, firing, notification, resolved, until};

#[tokio::test]
async fn an_outage_that_begins_and_ends_while_the_chat_is_down_is_told_once_with_its_duration() {
    let chat = Chat::start(&[DOWN]).await;
    let relay = Setup::slack(&chat.url).start().await;
    relay.notify(&firing()).await;
    chat.attempts(1).await;
    relay.notify(&resolved()).await;
    chat.attempts(2).await;
    chat.reply(OK);
    let messages = chat.accepted(1).await;
    let code = relay.incidents().await[0]["code"].as_str().unwrap().to_owned();
    let expected = "orders has lost its database — was down 2026-11-20 14:02:11 UTC to 14:05:40 (3 min 29 s); this chat was unreachable meanwhile";
    assert_eq!(messages, [format!("✅ RESOLVED #{code}: {expected}")]);
    // What follows on the channel shows that nothing is left of the first.
    relay.notify(&notification("Another", "2026-11-20T15:00:00Z", None)).await;
    assert_eq!(chat.accepted(2).await.len(), 2);
    let deliveries =
        relay.incidents().await.into_iter().find(|incident| incident["code"] == *code).unwrap()["deliveries"].clone();
    let slack: Vec<_> = deliveries
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["channel"] == "slack")
        .map(|row| row["state"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(slack, ["merged", "delivered"]);
}

#[tokio::test]
async fn a_resolved_that_comes_while_its_firing_is_under_way_does_not_overtake_it() {
    let chat = Chat::start(&[Reply::Hang, OK]).await;
    let relay = Setup::slack(&chat.url).start().await;
    relay.notify(&firing()).await;
    chat.attempts(1).await;
    relay.notify(&resolved()).await;
    let messages = chat.accepted(1).await;
    assert!(messages[0].contains("was down"), "{messages:?}");
}

#[tokio::test]
async fn an_outage_that_the_relay_did_not_see_begin_is_told_afterwards() {
    let chat = Chat::start(&[OK]).await;
    let relay = Setup::slack(&chat.url).start().await;
    relay.notify(&resolved()).await;
    let messages = chat.accepted(1).await;
    assert!(messages[0].contains("(3 min 29 s); told afterwards"), "{messages:?}");
}

#[tokio::test]
async fn what_was_pending_when_the_relay_was_killed_is_delivered_by_the_next() {
    let chat = Chat::start(&[DOWN]).await;
    let setup = Setup::slack(&chat.url);
    let relay = setup.start().await;
    relay.notify(&firing()).await;
    chat.attempts(1).await;
    drop(relay);

    chat.reply(OK);
    let relay = setup.start().await;
    let messages = chat.accepted(1).await;
    assert!(messages[0].contains("FIRING"), "{messages:?}");
    relay.notify(&firing()).await;
    relay.notify(&resolved()).await;
    let messages = chat.accepted(2).await;
    assert!(messages.len() == 2 && messages[1].contains("RESOLVED"), "{messages:?}");
}

#[tokio::test]
async fn a_relay_that_is_told_to_stop_ends_what_it_is_at_and_repeats_nothing() {
    let chat = Chat::start(&[OK]).await;
    let setup = Setup::slack(&chat.url);
    let relay = setup.start().await;
    // An open page must not hold the stop up.
    let page = relay.get("/events").await;
    relay.notify(&firing()).await;
    chat.accepted(1).await;
    let start = std::time::Instant::now();
    assert!(relay.terminate().success());
    assert!(start.elapsed() < std::time::Duration::from_secs(3), "{:?}", start.elapsed());
    drop(page);

    let relay = setup.start().await;
    relay.notify(&notification("DatabaseDown", START, Some(END))).await;
    let messages = chat.accepted(2).await;
    assert!(messages[1].contains("over after"), "{messages:?}");
    until("the delivery to be written down", async || {
        (relay.metric(r#"relay_oldest_pending_seconds{channel="slack"}"#).await == Some(0.0)).then_some(())
    })
    .await;
    assert_eq!(chat.posts().len(), 2);
}
