//! Programs that are started, killed, and started again.
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::{TOKEN, client};

/// A program with its folder and port.
pub(crate) struct Program {
    command: Command,
    child: Option<Child>,
    pub(crate) url: String,
    back_at: Option<Instant>,
}

impl Program {
    fn new(program: &Path, port: u16, arguments: &[String]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        Self { command, child: None, url: format!("http://127.0.0.1:{port}"), back_at: None }
    }

    pub(crate) fn start(&mut self) {
        self.back_at = None;
        if self.child.is_none() {
            self.child = Some(self.command.spawn().expect("STACK_BIN names the folder of the programs"));
        }
    }

    /// SIGKILL; it comes back after a while.
    pub(crate) fn kill(&mut self, back_after: Duration) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
        self.back_at = Some(Instant::now() + back_after);
    }

    pub(crate) fn tick(&mut self) {
        if self.back_at.is_some_and(|at| at <= Instant::now()) {
            self.start();
        }
    }

    pub(crate) async fn ready(&self) {
        let url = format!("{}/-/ready", self.url);
        super::support::until("a program to be ready", async || {
            client().get(&url).send().await.ok().filter(|answer| answer.status().is_success()).map(|_| ())
        })
        .await;
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill(Duration::ZERO);
    }
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Every fault has an alert of its own: E0, E1, ...
pub(crate) fn prometheus(program: &Path, folder: &Path, faults: usize, target: &str, alertmanager: u16) -> Program {
    let port = free_port();
    let rule = |number: usize| {
        json!({
            "alert": format!("E{number}"), "expr": format!("fault{{number=\"{number}\"}} == 1"),
            "labels": { "service": "chaos", "env": "local", "severity": "critical", "tier": "cause" },
            "annotations": { "summary": format!("episode E{number}") },
        })
    };
    let rules = json!({ "groups": [{ "name": "chaos", "interval": "250ms", "rules": (0..faults).map(rule).collect::<Vec<_>>() }] });
    let config = json!({
        "global": { "scrape_interval": "250ms", "scrape_timeout": "250ms", "evaluation_interval": "250ms" },
        "rule_files": ["rules.yml"],
        "alerting": { "alertmanagers": [{ "static_configs": [{ "targets": [format!("127.0.0.1:{alertmanager}")] }] }] },
        "scrape_configs": [{ "job_name": "chaos", "static_configs": [{ "targets": [target] }] }],
    });
    std::fs::write(folder.join("rules.yml"), rules.to_string()).unwrap();
    std::fs::write(folder.join("prometheus.yml"), config.to_string()).unwrap();
    let arguments = [
        format!("--config.file={}", folder.join("prometheus.yml").display()),
        format!("--storage.tsdb.path={}", folder.join("prometheus").display()),
        format!("--web.listen-address=127.0.0.1:{port}"),
        "--rules.alert.resend-delay=1s".to_owned(),
    ];
    Program::new(program, port, &arguments)
}

/// `receiver` is what it sends to: the relay's webhook, or a chat.
pub(crate) fn alertmanager(program: &Path, folder: &Path, port: u16, receiver: &Value) -> Program {
    let config = json!({
        "route": { "receiver": "relay", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h" },
        "receivers": [receiver],
    });
    std::fs::write(folder.join("alertmanager.yml"), config.to_string()).unwrap();
    let arguments = [
        format!("--config.file={}", folder.join("alertmanager.yml").display()),
        format!("--storage.path={}", folder.join("alertmanager").display()),
        format!("--web.listen-address=127.0.0.1:{port}"),
        "--cluster.listen-address=".to_owned(),
    ];
    Program::new(program, port, &arguments)
}

/// Alertmanager's receiver for the relay behind `url`.
pub(crate) fn relay_receiver(url: &str) -> Value {
    json!({ "name": "relay", "webhook_configs": [{
        "url": format!("{url}/v1/alertmanager"), "send_resolved": true, "timeout": "3s",
        "http_config": { "authorization": { "credentials": TOKEN } },
    }] })
}

/// Alertmanager's own receiver for a chat, with the relay's words.
pub(crate) fn chat_receiver(url: &str) -> Value {
    let text = r#"{{ if eq .Status "firing" }}FIRING{{ else }}RESOLVED{{ end }} {{ .CommonLabels.alertname }}"#;
    json!({ "name": "relay", "slack_configs": [{ "api_url": url, "send_resolved": true, "timeout": "3s", "title": text, "text": "", "fallback": text }] })
}
