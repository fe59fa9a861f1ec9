//! From a notification to an accepted message, whatever the chat answers.
use std::time::{Duration, Instant};

use serde_json::json;

use super::chat::{Chat, DOWN, OK, Reply};
use super::support::{Setup, firing, notification, resolved};

#[tokio::test]
async fn an_alert_is_told_at_once_and_so_is_its_end() {
    let chat = Chat::start(&[OK]).await;
    let relay = Setup::slack(&chat.url).start().await;
    let start = Instant::now();
    relay.notify(&firing()).await;
    let posts = chat.attempts(1).await;
    let took = posts[0].at - start;
    println!("notification to first attempt: {took:?}");
    assert!(took < Duration::from_millis(500), "{took:?}");
    relay.notify(&resolved()).await;
    let messages = chat.accepted(2).await;
    let code = relay.incidents().await[0]["code"].as_str().unwrap().to_owned();
    assert_eq!(messages[0], format!("🔴 FIRING #{code}: orders has lost its database — since 2026-11-20 14:02:11 UTC"));
    assert_eq!(
        messages[1],
        format!(
            "✅ RESOLVED #{code}: orders has lost its database — over after 3 min 29 s, 2026-11-20 14:02:11 UTC to 14:05:40"
        )
    );
}

#[tokio::test]
async fn repeats_send_nothing() {
    let chat = Chat::start(&[OK]).await;
    let relay = Setup::slack(&chat.url).start().await;
    for notification in [firing(), firing(), firing(), resolved(), resolved(), firing()] {
        assert_eq!(relay.notify(&notification).await, 200);
    }
    // Queues are served in order, so what comes last shows that nothing else came before.
    relay.notify(&notification("Another", "2026-11-20T15:00:00Z", None)).await;
    let messages = chat.accepted(3).await;
    assert!(messages.len() == 3 && messages[2].contains("FIRING"), "{messages:?}");
}

#[tokio::test]
async fn a_message_is_sent_again_until_the_chat_accepts_it() {
    let bad_days: [(&str, &[Reply]); 7] = [
        ("unavailable", &[DOWN, DOWN, OK]),
        (
            "success by status, failure by body",
            &[Reply::Say(200, "", "channel_is_archived"), Reply::Say(200, "", r#"{"errcode":1}"#), OK],
        ),
        ("empty success", &[Reply::Say(200, "", ""), OK]),
        ("cut connection", &[Reply::Cut, Reply::Cut, OK]),
        ("no answer", &[Reply::Hang, OK]),
        ("a slow answer", &[Reply::Slow(Duration::from_secs(2), "ok")]),
        ("a huge answer", &[Reply::Say(200, "", BIG), OK]),
    ];
    let day = async |(name, replies): (&str, &[Reply])| {
        let chat = Chat::start(replies).await;
        let relay = Setup::slack(&chat.url).start().await;
        relay.notify(&firing()).await;
        assert_eq!(chat.accepted(1).await.len(), 1, "{name}");
        assert_eq!(chat.posts().len(), replies.len(), "{name}");
    };
    futures_util::future::join_all(bad_days.map(day)).await;
}

pub(super) const BIG: &str = {
    static BYTES: [u8; 1_000_000] = [b'x'; 1_000_000];
    match std::str::from_utf8(&BYTES) {
        Ok(text) => text,
        Err(_) => "",
    }
};

#[tokio::test]
async fn throttling_is_obeyed_for_as_long_as_the_chat_asks() {
    let chat = Chat::start(&[Reply::Say(429, "retry-after: 2\r\n", "slow down"), OK]).await;
    let relay = Setup::slack(&chat.url).start().await;
    relay.notify(&firing()).await;
    chat.attempts(1).await;
    // Another incident must not disturb the channel in the meantime either.
    relay.notify(&notification("Another", "2026-11-20T14:03:00Z", None)).await;
    chat.accepted(2).await;
    let posts = chat.posts();
    assert_eq!(posts.len(), 3);
    assert!(posts[1].at - posts[0].at >= Duration::from_secs(2), "{:?}", posts[1].at - posts[0].at);
}

#[tokio::test]
async fn a_message_that_is_refused_is_sent_in_plain_form() {
    let chat = Chat::start(&[Reply::Say(400, "", "invalid_attachments"), OK]).await;
    let relay = Setup::slack(&chat.url).start().await;
    relay.notify(&firing()).await;
    chat.accepted(1).await;
    let posts = chat.posts();
    assert!(posts[0].body.get("attachments").is_some() && posts[1].body.get("attachments").is_none());
    assert!(posts[1].body["text"].as_str().unwrap().contains("Orders fail with 503."));
}

#[tokio::test]
async fn one_dead_chat_does_not_delay_another() {
    let (dead, alive) = (Chat::start(&[Reply::Hang]).await, Chat::start(&[OK]).await);
    let mut setup = Setup::slack(&dead.url);
    setup.secret("MATTERMOST_WEBHOOK_URL_FILE", &alive.url);
    let relay = setup.start().await;
    let start = Instant::now();
    relay.notify(&firing()).await;
    alive.accepted(1).await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test]
async fn the_message_says_what_to_do_and_where_to_look() {
    let chat = Chat::start(&[OK]).await;
    let mut setup = Setup::slack(&chat.url);
    setup.set("PUBLIC_URL_RELAY", "http://127.0.0.1:8090");
    setup.set("PUBLIC_URL_PROMETHEUS", "https://prometheus.example.com");
    setup.set("PUBLIC_URL_JAEGER", "https://jaeger.example.com");
    setup.set("LOKI_URL", "http://loki.example.com");
    let relay = setup.start().await;
    let mut alert = firing();
    alert["alerts"][0]["annotations"]["query"] = r#"{service_name="orders"}"#.into();
    relay.notify(&alert).await;
    chat.accepted(1).await;
    let attachment = &chat.posts()[0].body["attachments"][0];
    let text = attachment["text"].as_str().unwrap();
    assert!(text.starts_with("What users notice: Orders fail with 503.\nFirst thing to do: "), "{text}");
    let fields: Vec<_> = attachment["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| (field["title"].as_str().unwrap(), field["value"].as_str().unwrap()))
        .collect();
    let titles: Vec<_> = fields.iter().map(|(title, _)| *title).collect();
    assert_eq!(
        titles,
        [
            "Runbook (opens on that machine only)",
            "Incident (opens on that machine only)",
            "Graph",
            "Log lines (opens on that machine only)",
            "Failing traces",
            "Take it (opens on that machine only)",
            "Who has it"
        ]
    );
    assert_eq!(fields[0].1, "http://127.0.0.1:8090/runbooks/db_down");
    assert!(fields[2].1.starts_with("https://prometheus.example.com/graph?g0.expr=db_up+%3D%3D+0&"), "{}", fields[2].1);
    assert!(
        fields[3].1.starts_with("http://127.0.0.1:8090/incidents/") && fields[3].1.ends_with("/logs"),
        "{}",
        fields[3].1
    );
    assert!(
        fields[4]
            .1
            .starts_with("https://jaeger.example.com/search?service=orders&tags=%7B%22error%22%3A%22true%22%7D&"),
        "{}",
        fields[4].1
    );
}

#[tokio::test]
async fn hostile_labels_break_no_message() {
    let chat = Chat::start(&[OK]).await;
    let relay = Setup::slack(&chat.url).start().await;
    let mut hostile = firing();
    let traps = "<!channel> @everyone <@U1> *b* [x](https://evil.example/) \u{202e}\u{0}\n# h ";
    hostile["alerts"][0]["annotations"] = json!({ "summary": format!("{traps}{}", "好🙂".repeat(5000)), "impact": format!("{traps}{}", "x".repeat(10_000)) });
    hostile["alerts"][0]["labels"]["severity"] = json!("<!here>");
    hostile["alerts"][0]["generatorURL"] = json!("javascript:alert(1)");
    relay.notify(&hostile).await;
    chat.accepted(1).await;
    let body = chat.posts()[0].body.to_string();
    assert!(body.len() < 20_000, "{}", body.len());
    for trap in ["<", ">", "@everyone", "](", "https://", "javascript", "\\u0000", "\u{202e}"] {
        assert!(!body.contains(trap), "{trap} in {body}");
    }
}

#[tokio::test]
async fn the_address_of_a_chat_is_shown_nowhere() {
    let page: &'static str = "Cannot POST /services/T0001/SECRETPATH";
    let chat = Chat::start(&[Reply::Say(404, "", page)]).await;
    let mut setup = Setup::slack(&chat.url);
    setup.secret("MATTERMOST_WEBHOOK_URL_FILE", "http://127.0.0.1:1/hooks/SECRETPATH");
    setup.set("RUST_LOG", "trace");
    let relay = setup.start().await;
    relay.notify(&firing()).await;
    super::support::until("both to fail", async || relay.output().matches("message not accepted").nth(1).map(|_| ()))
        .await;
    let code = relay.incidents().await[0]["code"].as_str().unwrap().to_owned();
    let seen = [
        relay.output(),
        relay.report().await,
        relay.page("/").await,
        relay.page(&format!("/incidents/{code}")).await,
        relay.page("/v1/incidents").await,
    ];
    for text in seen {
        assert!(
            !text.contains("SECRETPATH") && !text.contains("a-token-for-tests-only"),
            "{}",
            &text[text.find("SECRETPATH").unwrap_or(0)..]
        );
    }
}
