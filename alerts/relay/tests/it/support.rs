//! Starts the program and speaks to it.
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const TOKEN: &str = "a-token-for-tests-only";
const DEADLINE: Duration = Duration::from_secs(20);

/// Waits until `condition` gives something, looking often; fails after the deadline.
pub(crate) async fn until<T>(what: &str, condition: impl AsyncFn() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(start.elapsed() < DEADLINE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A folder with the relay's data and secrets, and the environment it is started with.
pub(crate) struct Setup {
    pub(crate) folder: Arc<TempDir>,
    pub(crate) environment: Vec<(String, String)>,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let mut setup = Self { folder: Arc::new(tempfile::tempdir().unwrap()), environment: Vec::new() };
        let data = setup.folder.path().join("data").display().to_string();
        for (name, value) in
            [("RELAY_LISTEN", "127.0.0.1:0"), ("RELAY_ADMIN_LISTEN", "127.0.0.1:0"), ("RELAY_DATA_DIR", &data)]
        {
            setup.set(name, value);
        }
        setup.secret("RELAY_TOKEN_FILE", TOKEN);
        setup
    }

    pub(crate) fn slack(url: &str) -> Self {
        let mut setup = Self::new();
        setup.secret("SLACK_WEBHOOK_URL_FILE", url);
        setup
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Writes `value` to a file of its own and sets the variable to its path.
    pub(crate) fn secret(&mut self, variable: &str, value: &str) {
        let path = self.folder.path().join(variable.to_lowercase());
        std::fs::write(&path, format!("{value}\n")).unwrap();
        self.set(variable, &path.display().to_string());
    }

    /// Its policy.
    pub(crate) fn policy(&mut self, text: &str) {
        let path = self.folder.path().join("policy.toml");
        std::fs::write(&path, text).unwrap();
        self.set("RELAY_POLICY", &path.display().to_string());
    }

    pub(crate) fn store(&self) -> String {
        format!("sqlite://{}", self.folder.path().join("data/relay.sqlite").display())
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_relay")));
        command.args(arguments).env_clear().envs(self.environment.iter().cloned());
        command
    }

    /// Runs it to its end.
    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(crate) async fn start(&self) -> Relay {
        let mut child = self.command(&[]).stdout(Stdio::piped()).spawn().unwrap();
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let (stdout, seen) = (BufReader::new(child.stdout.take().unwrap()), Arc::clone(&lines));
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).for_each(|line| seen.lock().unwrap().push(line));
        });
        let mut relay =
            Relay { child, folder: Arc::clone(&self.folder), lines, public: String::new(), admin: String::new() };
        let ready = until("the relay to be ready", async || relay.line("relay is ready")).await;
        relay.public = format!("http://{}", ready["public"].as_str().unwrap());
        relay.admin = format!("http://{}", ready["admin"].as_str().unwrap());
        relay
    }
}

/// A running relay; killed when dropped.
pub(crate) struct Relay {
    child: Child,
    folder: Arc<TempDir>,
    lines: Arc<Mutex<Vec<String>>>,
    pub(crate) public: String,
    pub(crate) admin: String,
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            println!("{}", self.output());
        }
    }
}

impl Relay {
    /// What it has written to stdout so far.
    pub(crate) fn output(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// The same, also after its end.
    pub(crate) fn lines(&self) -> Arc<Mutex<Vec<String>>> {
        Arc::clone(&self.lines)
    }

    /// The code of the only incident, from the store.
    pub(crate) async fn code(&self) -> String {
        let store = format!("sqlite://{}", self.folder.path().join("data/relay.sqlite").display());
        let mut store = <sqlx::SqliteConnection as sqlx::Connection>::connect(&store).await.unwrap();
        sqlx::query_scalar("SELECT code FROM incidents").fetch_one(&mut store).await.unwrap()
    }

    pub(crate) fn line(&self, message: &str) -> Option<Value> {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find(|line| line["message"] == message)
    }

    /// SIGTERM, as a container engine sends it; returns how it ended.
    pub(crate) fn terminate(mut self) -> std::process::ExitStatus {
        let signalled = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(signalled.unwrap().success());
        self.child.wait().unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        client().get(format!("{}{path}", self.public)).send().await.unwrap()
    }

    pub(crate) async fn page(&self, path: &str) -> String {
        self.get(path).await.text().await.unwrap()
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        client().post(format!("{}{path}", self.public))
    }

    /// Delivers a notification as Alertmanager does; returns the status.
    pub(crate) async fn notify(&self, notification: &Value) -> u16 {
        self.post("/v1/alertmanager").bearer_auth(TOKEN).json(notification).send().await.unwrap().status().as_u16()
    }

    pub(crate) async fn incidents(&self) -> Vec<Value> {
        self.get("/v1/incidents").await.json().await.unwrap()
    }

    pub(crate) async fn report(&self) -> String {
        client().get(format!("{}/metrics", self.admin)).send().await.unwrap().text().await.unwrap()
    }

    /// The value of a series, written as Prometheus writes it.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        let report = self.report().await;
        report.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }
}

#[derive(clap::Parser)]
struct Required {
    #[arg(long, env = "STACK_REQUIRE", default_value = "")]
    require: String,
}

/// Says that a test cannot run here, which is a failure where everything has to be there.
pub(crate) fn skip(needs: &str) {
    println!("SKIPPED: needs {needs}");
    let required = <Required as clap::Parser>::parse_from(["it"]);
    assert!(required.require != "all", "STACK_REQUIRE is all, and {needs} is missing");
}

pub(crate) fn client() -> reqwest::Client {
    observability::client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// An alert in the notification of an outage that began at `start`; `end` when it is over.
pub(crate) fn notification(name: &str, start: &str, end: Option<&str>) -> Value {
    let status = if end.is_some() { "resolved" } else { "firing" };
    let labels = json!({ "alertname": name, "failure_type": "db_down", "service": "orders", "env": "local", "severity": "critical", "tier": "cause" });
    json!({
        "version": "4", "status": status, "receiver": "relay", "groupKey": "{}", "truncatedAlerts": 0,
        "groupLabels": { "alertname": name, "service": "orders", "env": "local" },
        "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://alertmanager:9093", "notification_reason": "new",
        "alerts": [{
            "status": status, "labels": labels, "startsAt": start, "endsAt": end.unwrap_or("0001-01-01T00:00:00Z"),
            "annotations": { "summary": "orders has lost its database", "impact": "Orders fail with 503.", "runbook": "runbooks/db_down" },
            "generatorURL": "http://prometheus:9090/graph?g0.expr=db_up+%3D%3D+0&g0.tab=1", "fingerprint": format!("f-{name}"),
            "a_field_of_tomorrow": { "x": [1, 2] },
        }],
    })
}

pub(crate) const START: &str = "2026-11-20T14:02:11.000Z";
pub(crate) const END: &str = "2026-11-20T14:05:40.000Z";

pub(crate) fn firing() -> Value {
    notification("DatabaseDown", START, None)
}

pub(crate) fn resolved() -> Value {
    notification("DatabaseDown", START, Some(END))
}
