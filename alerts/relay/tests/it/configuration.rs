//! Wrong configuration, ports in use, probes.
use super::chat::{Chat, OK};
use super::support::{Setup, client, firing};

/// How the program ends with this configuration, and what it says on standard error.
fn refused(setup: &Setup, arguments: &[&str]) -> (Option<i32>, String) {
    let output = setup.output(arguments);
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_wrong_configuration_stops_the_start_and_names_the_variable() {
    let cases = [
        ("RELAY_DATA_DIR", ""),
        ("RELAY_TOKEN_FILE", ""),
        ("RELAY_TOKEN_FILE", "/nowhere/token"),
        ("RELAY_LISTEN", "everywhere"),
        ("RELAY_ADMIN_LISTEN", "127.0.0.1:99999"),
        ("PUBLIC_URL_RELAY", "relay.example.com"),
        ("PUBLIC_URL_PROMETHEUS", "ftp://example.com"),
        ("SLACK_WEBHOOK_URL_FILE", "/nowhere/slack"),
        ("ESCALATION_URL_FILE", "/nowhere/escalation"),
    ];
    for (variable, value) in cases {
        let mut setup = Setup::new();
        setup.set(variable, value);
        for arguments in [&[][..], &["check"]] {
            let (code, said) = refused(&setup, arguments);
            assert_eq!(code, Some(2), "{variable}={value}: {said}");
            assert!(said.contains(variable), "{variable}={value}: {said}");
        }
    }
}

#[test]
fn a_secret_that_is_no_address_is_not_quoted() {
    let mut setup = Setup::new();
    setup.secret("SLACK_WEBHOOK_URL_FILE", "hooks.example/SECRET");
    let (code, said) = refused(&setup, &[]);
    assert_eq!(code, Some(2));
    assert!(
        said.contains("SLACK_WEBHOOK_URL_FILE") && !said.contains("SECRET\n") && !said.contains("hooks.example"),
        "{said}"
    );
}

#[test]
fn an_empty_token_file_is_no_open_door() {
    let mut setup = Setup::new();
    setup.secret("RELAY_TOKEN_FILE", "");
    let (code, said) = refused(&setup, &[]);
    assert!(code == Some(2) && said.contains("RELAY_TOKEN_FILE: the file is empty"), "{said}");
}

#[test]
fn check_says_what_the_configuration_means() {
    let mut setup = Setup::slack("https://hooks.example/SECRET");
    setup.secret("DISCORD_WEBHOOK_URL_FILE", "");
    let output = setup.output(&["check"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(
        said.contains("channels inbox, slack\n")
            && said.contains("ESCALATION_URL_FILE")
            && !said.contains("hooks.example"),
        "{said}"
    );
}

#[tokio::test]
async fn a_port_or_folder_in_use_gets_a_sentence_that_says_what_to_do() {
    let setup = Setup::new();
    let relay = setup.start().await;
    let said = |setup: &Setup| {
        let output = setup.output(&[]);
        assert!(!output.status.success());
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    let folder = said(&setup);
    assert!(folder.contains("RELAY_DATA_DIR: another relay uses"), "{folder}");
    let mut other = Setup::new();
    other.set("RELAY_LISTEN", relay.public.trim_start_matches("http://"));
    let port = said(&other);
    assert!(port.contains("RELAY_LISTEN: cannot listen on") && port.contains("name another address"), "{port}");
}

#[tokio::test]
async fn health_tells_a_ready_relay_from_none() {
    let mut setup = Setup::new();
    let relay = setup.start().await;
    setup.set("RELAY_ADMIN_LISTEN", relay.admin.trim_start_matches("http://"));
    let output = setup.output(&["health"]);
    assert!(output.status.success() && output.stdout == b"ready\n", "{output:?}");
    let live = client().get(format!("{}/health/live", relay.admin)).send().await.unwrap();
    assert_eq!(live.status().as_u16(), 200);
    drop(relay);
    assert!(!setup.output(&["health"]).status.success());
}

#[tokio::test]
async fn without_certificates_of_the_system_the_rest_works_and_the_lack_is_said() {
    let chat = Chat::start(&[OK]).await;
    let mut setup = Setup::slack(&chat.url);
    setup.set("SSL_CERT_FILE", "/nowhere");
    setup.set("SSL_CERT_DIR", "/nowhere");
    let relay = setup.start().await;
    relay.notify(&firing()).await;
    chat.accepted(1).await;
    assert!(relay.page("/").await.contains("No CA certificates were found"));
    setup.set("RELAY_ADMIN_LISTEN", relay.admin.trim_start_matches("http://"));
    assert!(setup.output(&["health"]).status.success());
}
