//! No secret stands in a log line, a metric, a trace, a page, or another channel's message.
use super::chat::{Chat, OK, Reply};
use super::support::{Setup, TOKEN, client, firing, resolved};

const SIGN_IN: &str = "SECRET-sign-in";
const SECRETS: [&str; 9] = [
    TOKEN,
    SIGN_IN,
    "SECRET-guess",
    "SECRET-slack",
    "SECRET-bot",
    "SECRET-heartbeat",
    "SECRET-bypass",
    "SECRET-key",
    "SECRET-query",
];

#[tokio::test]
async fn no_secret_is_shown_anywhere() {
    let chat = Chat::start(&[Reply::Say(404, "", "no page /services/SECRET-slack?k=SECRET-query"), OK]).await;
    let bot = Chat::start(&[Reply::Say(200, "", r#"{"ok":false,"description":"SECRET-bot is no bot"}"#)]).await;
    let (collector, beats) = (Chat::start(&[OK]).await, Chat::start(&[Reply::Say(500, "", "SECRET-heartbeat")]).await);
    let base = |chat: &Chat| chat.url.split("/services").next().unwrap().to_owned();
    let mut setup = Setup::new();
    for (name, secret) in [("BOT", "123:SECRET-bot".to_owned()), ("KEY", "SECRET-key".to_owned())] {
        setup.secret(name, &secret);
    }
    setup.secret("SLACK_WEBHOOK_URL_FILE", &format!("{}/services/SECRET-slack?k=SECRET-query", base(&chat)));
    setup.secret("WEBHOOK_URL_FILE", "http://127.0.0.1:1/SECRET-slack");
    setup.secret("HEARTBEAT_URL_FILE", &format!("{}/SECRET-heartbeat", base(&beats)));
    setup.secret("ESCALATION_URL_FILE", "http://127.0.0.1:1/SECRET-bypass");
    setup.secret("RELAY_SIGN_IN_TOKEN_FILE", SIGN_IN);
    setup.set("DEPLOYMENT_ENVIRONMENT", "production");
    setup.set("OTEL_EXPORTER_OTLP_ENDPOINT", &base(&collector));
    setup.set("RUST_LOG", "debug");
    let file = |name: &str| setup.folder.path().join(name).display().to_string();
    let channels = format!(
        "[channels.telegram]\nurl = \"{}\"\nsecret_file = \"{}\"\nto = \"-100\"\n
         [channels.dingtalk]\nurl = \"http://127.0.0.1:1/SECRET-slack\"\nsecret_file = \"{}\"",
        base(&bot),
        file("bot"),
        file("key")
    );
    setup.policy(&channels);
    let relay = setup.start().await;
    let mut seen = Vec::new();
    relay.notify(&firing()).await;
    relay.post("/v1/alertmanager").bearer_auth("SECRET-guess").json(&firing()).send().await.unwrap();
    relay.post("/sign-in").body("token=SECRET-guess").send().await.unwrap();
    relay.notify(&resolved()).await;
    chat.attempts(1).await;
    bot.attempts(1).await;
    beats.attempts(1).await;
    let code = relay.code().await;
    for path in ["/", "/sign-in", "/v1/incidents", "/nowhere", &format!("/incidents/{code}"), "/fragments/incidents"] {
        let page = client().get(format!("{}{path}", relay.public)).bearer_auth(SIGN_IN).send().await.unwrap();
        seen.push((path.to_owned(), page.text().await.unwrap()));
    }
    seen.push(("metrics".into(), relay.report().await));
    // Spans go out every few seconds; what a stop still sends depends on its deadline.
    collector.attempts(1).await;
    let output = relay.lines();
    assert!(relay.terminate().success());
    seen.push(("log".into(), output.lock().unwrap().join("\n")));
    let spans: String = collector.posts().into_iter().map(|post| post.raw).collect();
    assert!(spans.contains("relay"), "spans were exported");
    seen.push(("spans".into(), spans));
    seen.push(("slack".into(), chat.posts().into_iter().map(|post| post.body.to_string()).collect()));
    for arguments in [&["check"][..], &["selftest"]] {
        let said = setup.command(arguments).output().unwrap();
        seen.push((
            arguments.join(" "),
            String::from_utf8(said.stdout).unwrap() + &String::from_utf8(said.stderr).unwrap(),
        ));
    }
    for (place, text) in &seen {
        assert!(!text.is_empty(), "{place} is empty");
        for secret in SECRETS {
            assert!(!text.contains(secret), "{secret} in {place}: {text}");
        }
    }
    assert!(seen.iter().any(|(_, text)| text.contains("***")), "what a platform quoted was masked");
}
