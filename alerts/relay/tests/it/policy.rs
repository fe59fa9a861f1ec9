//! Who hears what and when: the file, the commands, escalation and fail-over.

use serde_json::json;

use super::chat::{Chat, DOWN, OK, Reply};
use super::support::{END, START, Setup, firing, notification, until};

/// A policy whose channels `first` and `second` are Slack webhooks.
fn two(first: &Chat, second: &Chat, route: &str) -> Setup {
    let mut setup = Setup::new();
    setup.policy(&format!(
            "[channels.first]\nplatform = \"slack\"\nurl = \"{}\"\n[channels.second]\nplatform = \"slack\"\nurl = \"{}\"\n{route}",
            first.url, second.url
        ),
    );
    setup
}

fn said(setup: &Setup, arguments: &[&str]) -> (bool, String) {
    let output = setup.output(arguments);
    (output.status.success(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
}

/// The shipped example with its secrets in a folder of the test.
fn example(setup: &mut Setup) {
    let text = include_str!("../../policy.example.toml");
    let folder = setup.folder.path().join("secrets");
    std::fs::create_dir(&folder).unwrap();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some((_, rest)) = line.split_once("/run/secrets/") {
            let name = rest.split('"').next().unwrap();
            std::fs::write(folder.join(name), "https://127.0.0.1:1/SECRETPATH\n").unwrap();
        }
    }
    setup.policy(&text.replace("/run/secrets", &folder.display().to_string()));
}

#[test]
fn the_shipped_policy_has_the_fixed_routes() {
    let mut setup = Setup::new();
    example(&mut setup);
    let (fine, check) = said(&setup, &["check"]);
    assert!(fine && check.contains("channels inbox, dingtalk, rollback, slack, sms, wecom"), "{check}");
    let cases = [
        (
            "db_down",
            "critical",
            "at once    slack, dingtalk\n5 min 0 s  wecom, sms, if nobody has taken it\n15 min 0 s",
        ),
        ("errors", "critical", "at once    dingtalk, sms\n"),
        ("memory", "warning", "at once    slack\n"),
        ("db_pool", "warning", "at once    wecom\n"),
        ("deploy_regression", "critical", "at once    rollback, slack\n"),
        ("dependency", "warning", "at once    slack\nmention    no"),
        ("panic", "warning", "at once    slack\nmention    no"),
    ];
    for (failure_type, severity, expected) in cases {
        let alert = setup.folder.path().join("alert.json");
        let labels = json!({ "labels": { "alertname": "A", "failure_type": failure_type, "severity": severity } });
        std::fs::write(&alert, labels.to_string()).unwrap();
        let (fine, text) = said(&setup, &["explain", "--alert", alert.to_str().unwrap()]);
        assert!(fine && text.contains(expected) && text.contains("why        route"), "{failure_type}: {text}");
    }
}

#[test]
fn a_channel_whose_file_is_empty_is_named_and_nobody_is_forgotten() {
    let mut setup = Setup::new();
    example(&mut setup);
    std::fs::write(setup.folder.path().join("secrets/wecom_url"), "").unwrap();
    let (fine, text) = said(&setup, &["check"]);
    assert!(fine && text.contains("names wecom, which is not set up") && text.contains("reaches no chat"), "{text}");
}

#[test]
fn a_policy_that_cannot_be_meant_is_refused_with_the_place() {
    let cases = [
        ("[[route]]\nlevels = [{ channels = [\"nobody\"] }]", "route 1: there is no channel nobody"),
        ("[[route]]\nlevels = []", "route 1: needs levels"),
        ("[[route]]\nlevels = [{ after = \"5m\", channels = [] }]", "the first level is told at once"),
        ("[[route]]\nlevels = [{ after = \"soon\", channels = [] }]", "is no duration"),
        ("[channels.x]\nplatform = \"pigeon\"\nurl = \"https://a.example\"", "pigeon is no platform"),
        ("[channels.telegram]\nto = \"1\"", "needs secret_file"),
        ("[channels.slack]\nurl = \"http://169.254.169.254/x\"", "link-local"),
        ("[channels.slack]\nurl = \"http://chat.example/x\"", "must be https"),
        ("egress = [\"a.example\"]\n[channels.slack]\nurl = \"https://b.example/x\"", "egress does not list"),
        ("nonsense = 1", "unknown field"),
    ];
    for (text, expected) in cases {
        let mut setup = Setup::new();
        setup.policy(text);
        let (fine, said) = said(&setup, &["check"]);
        assert!(!fine && said.contains("RELAY_POLICY") && said.contains(expected), "{text}: {said}");
    }
}

#[tokio::test]
async fn selftest_sends_a_marked_message_everywhere_and_says_what_came_of_it() {
    let (good, bad) = (Chat::start(&[OK]).await, Chat::start(&[Reply::Say(404, "", "no_service SECRETPATH")]).await);
    let setup = two(&good, &bad, "");
    let (fine, text) = observability::spawn_blocking(move || said(&setup, &["selftest"])).await.unwrap();
    assert!(
        !fine && text.contains("first        accepted") && text.contains("second       broken: answered 404"),
        "{text}"
    );
    assert!(good.messages()[0].starts_with("🧪 TEST") && !text.contains("SECRETPATH"), "{text}");
}

#[tokio::test]
async fn what_nobody_takes_goes_to_the_next_level_and_what_is_taken_does_not() {
    let (first, second) = (Chat::start(&[OK]).await, Chat::start(&[OK]).await);
    let route =
        "[[route]]\nmention = true\nlevels = [{ channels = [\"first\"] }, { after = \"1s\", channels = [\"second\"] }]";
    let relay = two(&first, &second, route).start().await;
    relay.notify(&firing()).await;
    let escalated = second.accepted(1).await;
    assert!(escalated[0].contains("STILL FIRING") && escalated[0].contains("level 2"), "{escalated:?}");
    assert_eq!(first.accepted(1).await.len(), 1);
}

#[tokio::test]
async fn a_dead_channel_hands_critical_news_to_the_next_one_at_once() {
    let (first, second) = (Chat::start(&[Reply::Say(404, "", "no_service")]).await, Chat::start(&[OK]).await);
    let route = "[[route]]\nlevels = [{ channels = [\"first\"] }, { after = \"1h\", channels = [\"second\"] }]";
    let relay = two(&first, &second, route).start().await;
    relay.notify(&firing()).await;
    assert!(second.accepted(1).await[0].contains("FIRING"));
    let page = relay.page("/").await;
    assert!(page.contains("first accepts no messages: answered 404"), "{page}");
    assert_eq!(relay.metric(r#"relay_channel_up{channel="first"}"#).await, Some(0.0));
    let handled = r#"relay_incident_handled{service="orders",env="local",failure_type="db_down"}"#;
    until("somebody to have it", async || relay.metric(handled).await.filter(|value| *value == 1.0)).await;
    // The next one does not have to be refused first.
    relay.notify(&notification("Another", "2026-11-20T15:00:00Z", None)).await;
    second.accepted(2).await;
    assert_eq!(first.posts().len(), 1);
}

#[tokio::test]
async fn a_platform_that_can_has_its_message_changed_in_place() {
    let replies = [Reply::Say(200, "", r#"{"ok":true,"result":{"message_id":77}}"#)];
    let chat = Chat::start(&replies).await;
    let mut setup = Setup::new();
    setup.secret("TOKEN", "123:SECRETPATH");
    let token = setup.folder.path().join("token").display().to_string();
    setup.policy(&format!("[channels.telegram]\nurl = \"{}\"\nsecret_file = \"{token}\"\nto = \"-100\"", chat.url));
    let relay = setup.start().await;
    relay.notify(&firing()).await;
    chat.attempts(1).await;
    until("the message to be written down", async || {
        (relay.incidents().await[0]["deliveries"][1]["state"] == "delivered").then_some(())
    })
    .await;
    relay.notify(&super::support::resolved()).await;
    let posts = chat.attempts(3).await;
    assert!(posts[0].path.ends_with("/sendMessage") && posts[2].path.ends_with("/sendMessage"));
    assert!(posts[1].path.ends_with("/editMessageText") && posts[1].body["message_id"] == 77, "{:?}", posts[1]);
    assert!(posts[2].body["text"].as_str().unwrap().lines().count() <= 2, "{}", posts[2].body);
    assert!(!relay.output().contains("SECRETPATH"));
}

#[tokio::test]
async fn a_chat_that_is_down_for_a_warning_does_not_wake_the_next() {
    let (first, second) = (Chat::start(&[DOWN]).await, Chat::start(&[OK]).await);
    let route = "[[route]]\nlevels = [{ channels = [\"first\"] }, { after = \"1h\", channels = [\"second\"] }]";
    let relay = two(&first, &second, route).start().await;
    let mut warning = firing();
    warning["alerts"][0]["labels"]["severity"] = json!("warning");
    relay.notify(&warning).await;
    first.attempts(3).await;
    until("the channel to count as dead", async || {
        relay.metric(r#"relay_channel_up{channel="first"}"#).await.filter(|up| *up == 0.0)
    })
    .await;
    assert!(second.posts().is_empty());
}

#[tokio::test]
async fn that_a_channel_is_down_is_told_in_the_other_one() {
    let (first, second) = (Chat::start(&[OK]).await, Chat::start(&[OK]).await);
    let relay = two(&first, &second, "[[route]]\nlevels = [{ channels = [\"first\", \"second\"] }]").start().await;
    let mut failing = notification("ChatDeliveryFailing", "2026-11-20T15:00:00Z", None);
    failing["alerts"][0]["labels"]["failure_type"] = json!("alert_pipeline");
    failing["alerts"][0]["labels"]["channel"] = json!("first");
    relay.notify(&failing).await;
    second.accepted(1).await;
    relay.notify(&firing()).await;
    assert!(first.accepted(1).await[0].contains("orders has lost its database"));
    assert_eq!(relay.incidents().await.len(), 2);
}

#[tokio::test]
async fn a_hook_is_called_once_when_its_incident_begins_and_for_nothing_else() {
    let (hook, chat) = (Chat::start(&[OK]).await, Chat::start(&[Reply::Say(404, "", "no_service"), OK]).await);
    let mut setup = Setup::new();
    setup.policy(&format!(
        "[channels.rollback]\nplatform = \"webhook\"\nurl = \"{}\"\nhook = true\n[channels.slack]\nurl = \"{}\"\n
             [[route]]\nmatch = {{ failure_type = [\"deploy_regression\"] }}
             levels = [{{ channels = [\"rollback\", \"slack\"] }}]\n
             [[route]]\nlevels = [{{ channels = [\"*\"] }}]",
        hook.url, chat.url
    ));
    let relay = setup.start().await;
    // Critical, and its chat is dead: people would be told elsewhere, but a hook is nobody.
    relay.notify(&firing()).await;
    until("the chat to count as dead", async || {
        relay.metric(r#"relay_channel_up{channel="slack"}"#).await.filter(|up| *up == 0.0)
    })
    .await;
    let regression = |end| {
        let mut regression = notification("DeployRegression", START, end);
        regression["alerts"][0]["labels"]["failure_type"] = json!("deploy_regression");
        regression
    };
    relay.notify(&regression(None)).await;
    hook.attempts(1).await;
    relay.notify(&regression(Some(END))).await;
    until("its end to be settled", async || {
        let waiting = relay.metric(r#"relay_oldest_pending_seconds{channel="rollback"}"#).await;
        let over = relay.incidents().await.iter().any(|incident| !incident["resolved_at"].is_null());
        (over && waiting == Some(0.0)).then_some(())
    })
    .await;
    let posts = hook.posts();
    assert_eq!(posts.len(), 1, "{posts:?}");
    assert_eq!(
        (posts[0].body["event"].as_str(), posts[0].body["alertname"].as_str()),
        (Some("firing"), Some("DeployRegression"))
    );
}
