//! The page: what it shows, what it escapes, how it stays live.
use serde_json::json;

use super::chat::{Chat, DOWN, Reply};
use super::support::{Setup, TOKEN, firing, notification, resolved, until};

#[tokio::test]
async fn the_list_shows_open_incidents_before_resolved_ones() {
    let relay = Setup::new().start().await;
    relay.notify(&resolved()).await;
    relay.notify(&notification("Another", "2026-11-20T13:00:00Z", None)).await;
    let page = relay.page("/").await;
    let (open, recent) = page.split_once("Recently resolved").unwrap();
    assert!(open.contains("since 2026-11-20 13:00:00 UTC") && recent.contains("(3 min 29 s)"), "{page}");
    for part in [r#"<html lang="en">"#, "<main", "<h1>", r#"aria-live="polite""#, r#"name="viewport""#] {
        assert!(page.contains(part), "{part} in {page}");
    }
}

#[tokio::test]
async fn an_incident_shows_every_attempt_on_every_channel() {
    let chat = Chat::start(&[DOWN]).await;
    let relay = Setup::slack(&chat.url).start().await;
    relay.notify(&firing()).await;
    chat.attempts(2).await;
    let code = relay.incidents().await[0]["code"].as_str().unwrap().to_owned();
    let path = format!("/incidents/{code}");
    let attempts = async || {
        Some(relay.page(&path).await)
            .filter(|page| page.matches("not accepted: answered 503: unavailable").count() >= 2)
    };
    let page = until("both attempts to be shown", attempts).await;
    for part in
        ["not accepted yet", "the relay heard of it", "Orders fail with 503.", "First thing to do", "/runbooks/db_down"]
    {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert_eq!(relay.get("/incidents/ZZZZ").await.status().as_u16(), 404);
}

#[tokio::test]
async fn hostile_labels_stay_text() {
    let relay = Setup::new().start().await;
    let mut hostile = firing();
    let script = format!("<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{}", "y".repeat(10_000));
    hostile["alerts"][0]["annotations"] = json!({ "summary": script, "impact": script, "description": script });
    for label in ["service", "severity", "a<b>"] {
        hostile["alerts"][0]["labels"][label] = json!(script);
    }
    relay.notify(&hostile).await;
    let code = relay.incidents().await[0]["code"].as_str().unwrap().to_owned();
    for path in ["/", &format!("/incidents/{code}")] {
        let answer = relay.get(path).await;
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let page = answer.text().await.unwrap();
        assert!(!page.contains("<script>alert") && !page.contains("<img") && page.contains("&lt;script&gt;"), "{page}");
        assert!(page.len() < 30_000, "{path}: {}", page.len());
    }
}

#[tokio::test]
async fn open_pages_hear_of_a_new_incident() {
    let relay = Setup::new().start().await;
    let mut events = relay.get("/events").await;
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    let hello = events.chunk().await.unwrap().unwrap();
    assert!(hello.ends_with(b"data: hello\n\n"));
    relay.notify(&firing()).await;
    let event = events.chunk().await.unwrap().unwrap();
    assert!(event.starts_with(b"event: change"), "{event:?}");
    assert!(relay.page("/fragments/incidents").await.contains("orders has lost its database"));
}

#[tokio::test]
async fn banners_say_what_does_not_work() {
    let relay = Setup::new().start().await;
    let page = relay.page("/").await;
    assert!(
        page.contains("No chat is configured") && page.contains("The way around the relay reaches nobody"),
        "{page}"
    );

    let mut setup = Setup::slack("http://127.0.0.1:1/x");
    setup.secret("ESCALATION_URL_FILE", "http://127.0.0.1:1/y");
    let page = setup.start().await.page("/").await;
    assert!(!page.contains("banner"), "{page}");
}

#[tokio::test]
async fn a_heartbeat_resets_its_age_and_its_end_does_not() {
    let relay = Setup::new().start().await;
    let age = async || relay.metric("relay_heartbeat_age_seconds").await.unwrap();
    until("some silence", async || (age().await > 0.3).then_some(())).await;
    let beat =
        async |body| relay.post("/v1/heartbeat").bearer_auth(TOKEN).json(&body).send().await.unwrap().status().as_u16();
    assert_eq!(beat(resolved()).await, 200);
    assert!(age().await > 0.3);
    assert_eq!(beat(firing()).await, 200);
    assert!(age().await < 0.3);
    assert!(relay.incidents().await.is_empty());
}

#[tokio::test]
async fn runbooks_are_served_and_nothing_else_is() {
    let relay = Setup::new().start().await;
    assert!(relay.page("/runbooks").await.contains("/runbooks/db_down"));
    let runbook = relay.page("/runbooks/db_down").await;
    assert!(runbook.contains("<h2>First look</h2>"), "{runbook}");
    for path in ["/runbooks/nothing", "/runbooks/..%2Frelay%2FCargo", "/elsewhere"] {
        assert_eq!(relay.get(path).await.status().as_u16(), 404, "{path}");
    }
    for asset in ["/assets/inbox.css", "/assets/inbox.js", "/assets/icon.svg"] {
        assert_eq!(relay.get(asset).await.status().as_u16(), 200, "{asset}");
    }
}

#[tokio::test]
async fn the_page_of_lines_shows_those_nearest_to_the_beginning() {
    const LINES: &str = r#"{"data":{"result":[{"values":[["1795183330000000000","its last words"]]}]}}"#;
    let loki = Chat::start(&[Reply::Say(200, "", LINES)]).await;
    let mut setup = Setup::new();
    setup.set("LOKI_URL", &loki.url);
    let relay = setup.start().await;
    relay.notify(&firing()).await;
    let page = relay.page(&format!("/incidents/{}/logs", relay.code().await)).await;
    assert!(page.contains("<pre>") && page.contains("its last words"), "{page}");
    let asked: Vec<_> = loki.posts().into_iter().map(|post| post.path).collect();
    for nearest in ["end=1795183331000000000&limit=100&direction=backward", "start=1795183331000000000"] {
        assert!(asked.iter().any(|path| path.contains(nearest)), "{nearest}: {asked:?}");
    }
}
