//! The player answers as Slack does, and fails as told.

use std::time::Duration;

use serde_json::{Value, json};
use stack::chat::{self, Behaviour, Chat, Log};

struct Fixture {
    chat: Chat,
    client: reqwest::Client,
}

impl Fixture {
    async fn start() -> Self {
        let address = "127.0.0.1:0".parse().unwrap();
        Self { chat: chat::start(address).await.unwrap(), client: stack::http::client(Duration::from_secs(2)).unwrap() }
    }

    async fn post(&self, path: &str, body: &Value) -> reqwest::Result<(u16, String)> {
        let response = self.client.post(format!("{}{path}", self.chat.url())).json(body).send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    async fn say(&self, text: &str) -> reqwest::Result<(u16, String)> {
        self.post("/slack/token", &json!({"text": text})).await
    }
}

#[tokio::test]
async fn a_message_is_accepted_with_ok_and_kept_with_its_arrival() {
    let fixture = Fixture::start().await;
    assert_eq!(fixture.say("hello").await.unwrap(), (200, "ok".to_owned()));
    let messages = fixture.chat.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].text(), "hello");
    let log: Log =
        fixture.client.get(format!("{}/messages", fixture.chat.url())).send().await.unwrap().json().await.unwrap();
    assert_eq!(log.messages.len(), 1);
    assert!(log.now_ms >= log.messages[0].at_ms);
}

#[tokio::test]
async fn what_slack_refuses_is_refused() {
    let fixture = Fixture::start().await;
    assert_eq!(fixture.say("").await.unwrap(), (400, "no_text".to_owned()));
    let response = fixture.client.post(format!("{}/slack/token", fixture.chat.url())).body("{").send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "invalid_payload");
    assert!(fixture.chat.messages().is_empty());
    assert_eq!(fixture.chat.log().refused, 2);
}

#[tokio::test]
async fn each_way_of_failing_looks_as_told_and_keeps_nothing() {
    let fixture = Fixture::start().await;
    for (behaviour, status, body) in [
        (Behaviour::Unavailable, 503, "service_unavailable"),
        (Behaviour::TooMany { retry_after_s: 7 }, 429, "rate_limited"),
        (Behaviour::Error, 200, "{\"ok\":false,\"error\":\"internal_error\"}"),
        (Behaviour::NoService, 404, "no_service"),
    ] {
        fixture.chat.behave(behaviour);
        assert_eq!(fixture.say("hello").await.unwrap(), (status, body.to_owned()));
    }
    fixture.chat.behave(Behaviour::Cut);
    assert!(fixture.say("hello").await.is_err());
    fixture.chat.behave(Behaviour::Hang);
    assert!(fixture.say("hello").await.unwrap_err().is_timeout());
    assert!(fixture.chat.messages().is_empty());
    assert_eq!(fixture.chat.log().refused, 6);
}

#[tokio::test]
async fn behaviour_can_be_changed_from_outside() {
    let fixture = Fixture::start().await;
    let url = format!("{}/behaviour", fixture.chat.url());
    let change = json!({"kind": "too_many", "retry_after_s": 3});
    assert_eq!(fixture.client.put(url).json(&change).send().await.unwrap().status(), 204);
    let url = format!("{}/slack/token", fixture.chat.url());
    let refused = fixture.client.post(url).json(&json!({"text": "x"})).send().await.unwrap();
    assert_eq!(refused.headers()["retry-after"], "3");
}

#[tokio::test]
async fn escalations_are_kept_apart_and_arrive_while_chat_is_down() {
    let fixture = Fixture::start().await;
    fixture.chat.behave(Behaviour::Unavailable);
    assert_eq!(fixture.post("/escalation", &json!({"text": "nobody"})).await.unwrap().0, 200);
    let log = fixture.chat.log();
    assert_eq!((log.messages.len(), log.escalations.len()), (0, 1));
}

#[tokio::test]
async fn the_page_shows_what_was_accepted() {
    let fixture = Fixture::start().await;
    fixture.say("the <b>database</b> is down").await.unwrap();
    let page = fixture.client.get(fixture.chat.url()).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("the &lt;b&gt;database&lt;/b&gt; is down"));
}
