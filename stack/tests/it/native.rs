//! The native run, as a person uses it.

use std::{collections::BTreeSet, fs, net::TcpListener, os::unix::fs::PermissionsExt, time::Duration};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use serde_yaml_ng::Value as Yaml;
use stack::Options;

use crate::{
    machine,
    runner::{Up, anything_uses, eventually, finish, is_alive, run, send, stack},
};

fn client() -> reqwest::Client {
    stack::http::client(Duration::from_secs(5)).unwrap()
}

async fn create_order(service: &str) -> String {
    let order = json!({"item": "tea", "quantity": 1, "amount": 100, "currency": "EUR"});
    let answer = client().post(format!("{service}/v1/orders")).json(&order).send().await.unwrap();
    assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
    let order: Value = answer.json().await.unwrap();
    order["id"].as_str().unwrap().to_owned()
}

async fn pay(service: &str, id: &str) -> (u16, Value) {
    let answer = client().post(format!("{service}/v1/orders/{id}/payment")).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn find_order(service: &str, id: &str) -> u16 {
    client().get(format!("{service}/v1/orders/{id}")).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn ctrl_c_leaves_nothing_and_the_data_is_there_the_next_time() {
    let _machine = machine::shared().await;
    let up = Up::start(&[]).await;
    let order = create_order(up.link("Service")).await;
    let processes = up.processes();
    assert_eq!(processes.len(), 6, "{processes:?}");
    for link in ["Service", "Inbox", "Chat (played)", "Prometheus", "Alertmanager"] {
        let answer = client().get(up.link(link)).send().await.unwrap();
        assert!(answer.status().as_u16() < 500, "{link}: {}", answer.status());
    }

    let (succeeded, state) = up.end(Signal::SIGINT).await;
    assert!(succeeded);
    assert!(processes.values().all(|pid| !is_alive(*pid)), "{processes:?}");
    assert!(!anything_uses(state.path()));

    let again = Up::start_in(state, &[]).await;
    assert_eq!(find_order(again.link("Service"), &order).await, 200);
    let (_, state) = again.end(Signal::SIGTERM).await;

    let fresh = Up::start_in(state, &["--fresh"]).await;
    assert_eq!(find_order(fresh.link("Service"), &order).await, 404);
    fresh.end(Signal::SIGINT).await;
}

/// Flags that say how it works, without those that say where.
fn behaviour<'a>(arguments: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let place =
        ["--config.file=", "--storage.path=", "--storage.tsdb.path=", "--web.listen-address=", "--web.external-url="];
    let flags = arguments.filter(|argument| argument.starts_with("--"));
    flags.filter(|flag| place.iter().all(|place| !flag.starts_with(place))).map(str::to_owned).collect()
}

#[tokio::test]
async fn prometheus_and_alertmanager_work_as_under_compose() {
    let _machine = machine::shared().await;
    let compose: Yaml = serde_yaml_ng::from_str(&fs::read_to_string("../docker-compose.yml").unwrap()).unwrap();
    let up = Up::start(&[]).await;

    for (part, pid) in up.processes() {
        if part != "prometheus" && part != "alertmanager" {
            continue;
        }
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
        let command = compose["services"][part.as_str()]["command"].as_sequence().unwrap();
        let containers = behaviour(command.iter().map(|argument| argument.as_str().unwrap()));
        assert!(!containers.is_empty());
        assert_eq!(behaviour(line.split('\0')), containers, "{part}");
    }
    up.end(Signal::SIGINT).await;
}

#[tokio::test]
async fn with_any_chat_of_a_person_none_is_played() {
    let _machine = machine::shared().await;
    let state = tempfile::tempdir().unwrap();
    let url = state.path().join("chat_of_a_person");
    fs::write(&url, "https://chat.example.org/hooks/1").unwrap();

    let up = Up::start_with(state, &[], &[("MATTERMOST_WEBHOOK_URL_FILE", &url)]).await;

    assert!(!up.said.contains("Chat (played)"), "{}", up.said);
    let told = up.state.path().join("secrets/slack_webhook_url");
    assert!(!told.exists(), "the relay has a second chat");
    up.end(Signal::SIGINT).await;
}

#[tokio::test]
async fn an_order_is_paid_at_the_provider_and_stays_pending_while_that_is_gone() {
    let _machine = machine::shared().await;
    let stack = stack::start(Options::default()).await.unwrap();
    let at = stack.endpoints().clone();

    let id = create_order(&at.service).await;
    let (status, order) = pay(&at.service, &id).await;
    assert_eq!((status, &order["status"]), (200, &json!("paid")));
    let charges: Value = client().get(format!("{}/charges", at.payments)).send().await.unwrap().json().await.unwrap();
    assert_eq!(charges["orders"], json!([id]));

    stack.kill("payments-stub").await.unwrap();
    let (status, order) = pay(&at.service, &create_order(&at.service).await).await;
    assert_eq!((status, &order["status"]), (202, &json!("payment_pending")));
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn down_stops_what_a_killed_runner_left_behind() {
    let _machine = machine::shared().await;
    let up = Up::start(&[]).await;
    let processes = up.processes();
    let (_, state) = up.end(Signal::SIGKILL).await;
    assert!(processes.values().all(|pid| is_alive(*pid)), "they were to outlive the runner");

    let (healthy, diagnosis) = run(state.path(), &["doctor"]).await;
    assert!(!healthy && diagnosis.contains("The runner was killed, and these still run"), "{diagnosis}");

    let (succeeded, said) = run(state.path(), &["down"]).await;

    assert!(succeeded && said.contains("A runner was killed") && said.contains("postgres"), "{said}");
    assert!(!anything_uses(state.path()));
}

#[tokio::test]
async fn the_next_up_cleans_up_after_a_killed_runner() {
    let _machine = machine::shared().await;
    let (_, state) = Up::start(&[]).await.end(Signal::SIGKILL).await;

    let up = Up::start_in(state, &[]).await;

    assert!(up.said.contains("A runner was killed"), "{}", up.said);
    let (succeeded, said) = run(up.state.path(), &["down"]).await;
    assert!(succeeded && said.contains("Stopped in"), "{said}");
    let (succeeded, state) = up.ended().await;
    assert!(succeeded);
    assert!(!anything_uses(state.path()));
}

#[tokio::test]
async fn doctor_names_the_broken_part_and_what_to_do() {
    let _machine = machine::shared().await;
    let up = Up::start(&[]).await;
    let (healthy, diagnosis) = run(up.state.path(), &["doctor"]).await;
    assert!(healthy, "{diagnosis}");
    assert!(diagnosis.contains("The bypass reaches nobody: set ESCALATION_URL"), "{diagnosis}");

    send(up.processes()["postgres"], Signal::SIGKILL);
    eventually("postgres is called unhealthy", async || {
        let (healthy, diagnosis) = run(up.state.path(), &["doctor"]).await;
        !healthy && diagnosis.lines().any(|line| line.starts_with("postgres ") && line.contains("UNHEALTHY since"))
    })
    .await;

    let (_, diagnosis) = run(up.state.path(), &["doctor"]).await;
    for part in ["SIGKILL", "last error:", "postgres.log", "what to do:"] {
        assert!(diagnosis.contains(part), "{diagnosis}");
    }
    up.end(Signal::SIGINT).await;
}

#[tokio::test]
async fn a_second_up_in_the_same_folder_is_refused() {
    let _machine = machine::shared().await;
    let up = Up::start(&[]).await;

    let (succeeded, said) = run(up.state.path(), &["up", "--core", "--free-ports"]).await;

    assert!(!succeeded && said.contains("a stack is up already") && said.contains("down"), "{said}");
    up.end(Signal::SIGINT).await;
}

#[tokio::test]
async fn a_taken_port_is_named_with_who_has_it_and_what_moves_it() {
    let _machine = machine::shared().await;
    let state = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut up = stack(state.path(), &["up", "--core"]);
    for variable in
        ["SERVICE", "SERVICE_ADMIN", "RELAY", "RELAY_ADMIN", "ALERTMANAGER", "POSTGRES", "PAYMENTS_STUB", "CHAT"]
    {
        up.env(format!("{variable}_PORT"), "0");
    }

    let (succeeded, said) = finish(up.env("PROMETHEUS_PORT", port.to_string())).await;

    assert!(!succeeded);
    let who = format!("(process {})", std::process::id());
    for part in [&format!("port {port}, which prometheus needs"), &who, "PROMETHEUS_PORT="] {
        assert!(said.contains(part), "{said}");
    }
}

#[tokio::test]
async fn two_parts_cannot_have_one_port() {
    let state = tempfile::tempdir().unwrap();
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port().to_string()
    };
    let mut up = stack(state.path(), &["up", "--core"]);
    for variable in
        ["SERVICE", "SERVICE_ADMIN", "RELAY", "RELAY_ADMIN", "PROMETHEUS", "ALERTMANAGER", "POSTGRES", "PAYMENTS_STUB"]
    {
        up.env(format!("{variable}_PORT"), "0");
    }

    let (succeeded, said) = finish(up.env("RELAY_PORT", &port).env("CHAT_PORT", &port)).await;

    assert!(!succeeded && said.contains("RELAY_PORT and CHAT_PORT are both"), "{said}");
}

#[tokio::test]
async fn a_missing_program_is_said_with_the_way_to_get_it() {
    let state = tempfile::tempdir().unwrap();
    let mut command = stack(state.path(), &["with-postgres", "--", "true"]);
    command.env("STACK_BIN", state.path()).env("PATH", state.path()).env("LOOKOUT_CACHE", state.path());

    let (succeeded, said) = finish(&mut command).await;

    assert!(!succeeded);
    for part in
        ["PostgreSQL 15.0 or later was not found", "apt-get install --yes python3 python3-pip", "PATH", "STACK_BIN"]
    {
        assert!(said.contains(part), "{said}");
    }
}

#[tokio::test]
async fn a_component_that_does_not_start_is_shown_with_its_last_lines_and_stops_the_others() {
    let state = tempfile::tempdir().unwrap();
    // A folder in the place of the relay's store.
    fs::create_dir_all(state.path().join("data")).unwrap();
    fs::write(state.path().join("data/relay"), "not a folder").unwrap();

    let (succeeded, said) = run(state.path(), &["up", "--core", "--free-ports"]).await;

    assert!(!succeeded && said.contains("relay ended with") && said.contains("RELAY_DATA_DIR"), "{said}");
    assert!(!anything_uses(state.path()));
}

#[tokio::test]
async fn data_of_another_postgres_stops_the_start() {
    let _machine = machine::shared().await;
    let state = tempfile::tempdir().unwrap();
    let data = state.path().join("data/postgres");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("PG_VERSION"), "9.6\n").unwrap();

    let (succeeded, said) = run(state.path(), &["up", "--core", "--free-ports"]).await;

    assert!(!succeeded && said.contains("was written by PostgreSQL 9.6") && said.contains("--fresh"), "{said}");
    assert!(!anything_uses(state.path()));
}

#[tokio::test]
async fn without_a_stack_doctor_and_down_say_so() {
    let _machine = machine::shared().await;
    let state = tempfile::tempdir().unwrap();

    let (succeeded, said) = run(state.path(), &["doctor"]).await;
    assert!(!succeeded && said.contains("no stack is up") && said.contains("make up"), "{said}");

    let (succeeded, said) = run(state.path(), &["down"]).await;
    assert!(succeeded && said.contains("Nothing was running"), "{said}");
}

#[tokio::test]
async fn in_the_background_it_runs_until_down() {
    let _machine = machine::shared().await;
    let state = tempfile::tempdir().unwrap();

    let (succeeded, said) = run(state.path(), &["up", "--core", "--free-ports", "--fresh", "--detach"]).await;
    assert!(succeeded && said.contains("`stack down` stops it."), "{said}");
    let (healthy, diagnosis) = run(state.path(), &["doctor"]).await;
    assert!(healthy, "{diagnosis}");
    for secret in fs::read_dir(state.path().join("secrets")).unwrap() {
        let secret = secret.unwrap();
        assert_eq!(secret.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", secret.path().display());
    }

    let (succeeded, said) = run(state.path(), &["down"]).await;
    assert!(succeeded, "{said}");
    assert!(!anything_uses(state.path()));
}
