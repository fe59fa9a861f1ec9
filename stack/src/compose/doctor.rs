//! How the containers are: the same answers as of a stack that this runner runs.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{
    docker::{self, Container, Project, State},
    fresh::PUBLISHED,
};
use crate::{
    component,
    handle::{ComponentStatus, Condition},
    logs,
};

/// Parts that end when they have done their work.
const ONE_SHOT: [&str; 2] = ["init", "links"];
/// The collector's image has nothing to probe with: it is asked over the network.
const ASKED: (&str, u16) = ("otel-collector", 13133);

/// `log_directory` of postgresql.conf.
const POSTGRES_LOG: &str = "/var/log/postgresql";

/// The parts of the stack that Docker runs.
#[derive(Debug)]
pub(crate) struct Containers {
    pub(crate) parts: Vec<ComponentStatus>,
    /// Whether an alert that the relay does not deliver reaches somebody.
    pub(crate) escalates: bool,
}

/// Looks at them; none when Docker runs no stack of this repository.
pub(crate) async fn look() -> Option<Containers> {
    of(&Project::default()).await
}

pub(super) async fn of(project: &Project) -> Option<Containers> {
    let containers = project.containers().await.unwrap_or_default();
    let escalates = containers.iter().any(|container| !container.variable("ESCALATION_URL").is_empty());
    let mut parts = Vec::new();
    for container in &containers {
        let trouble = container.trouble().await;
        if trouble.is_some() || !ONE_SHOT.contains(&container.component()) {
            parts.push(container.status(trouble).await);
        }
    }
    if let Some(any) = containers.first() {
        let here = |name: &String| containers.iter().any(|container| container.component() == name);
        let all = project.services(any).await.unwrap_or_default();
        let gone = all.into_iter().filter(|name| !here(name) && !ONE_SHOT.contains(&name.as_str()));
        parts.extend(gone.map(absent));
    }
    parts.sort_by(|one, other| one.name.cmp(&other.name));
    (!parts.is_empty()).then_some(Containers { parts, escalates })
}

/// A part without a container. When it went, nobody knows.
fn absent(name: String) -> ComponentStatus {
    ComponentStatus {
        condition: Condition::Down,
        healthy: false,
        since: Utc::now(),
        pid: None,
        restarts: 0,
        trouble: Some("it has no container: it was removed, or never made".to_owned()),
        last_error: None,
        log: "gone with its container".to_owned(),
        advice: format!("{}: `docker compose up --detach {name}` makes and starts it", component::meaning(&name)),
        name,
    }
}

impl Container {
    /// What is wrong with it.
    async fn trouble(&self) -> Option<String> {
        let State { status, exit_code, error, .. } = &self.state;
        if !self.is_running() {
            let done = status == "exited" && *exit_code == 0 && ONE_SHOT.contains(&self.component());
            let memory = if self.state.oom_killed { ": it needed more memory than it may have" } else { "" };
            let error = if error.is_empty() { String::new() } else { format!(": {error}{}", self.way_out()) };
            return (!done).then(|| match status.as_str() {
                "created" => format!("waits for what it needs{error}"),
                _ => format!("{status} with code {exit_code}{memory}{error}"),
            });
        }
        match &self.state.health {
            Some(health) if health.status == "healthy" => None,
            Some(health) => {
                let said = health.log.last().map(|probe| probe.output.trim()).unwrap_or_default();
                Some(format!("{}: its probe says {said:?}", health.status))
            }
            None => self.ask().await,
        }
    }

    /// The variable that moves a port which somebody else has.
    fn way_out(&self) -> String {
        let taken = ["already allocated", "address already in use"];
        let role = PUBLISHED.into_iter().find(|role| role.host() == self.component());
        let role = role.filter(|_| taken.iter().any(|words| self.state.error.contains(words)));
        role.map(|role| format!(": set {}=<another port>", role.variable())).unwrap_or_default()
    }

    async fn ask(&self) -> Option<String> {
        let (name, port) = ASKED;
        let url = self.published(port);
        if self.component() != name || url.is_empty() {
            return None;
        }
        component::ask_http(&format!("{url}/"), Duration::from_secs(2)).await.err()
    }

    /// Since when it has been as it is. Docker remembers a few probes only.
    fn since(&self, healthy: bool) -> DateTime<Utc> {
        if !self.is_running() {
            // One that has never run has neither started nor finished.
            return self.created.max(self.state.started_at).max(self.state.finished_at);
        }
        let probes = self.state.health.iter().flat_map(|health| health.log.iter().rev());
        let failing = probes.take_while(|probe| probe.exit_code != 0).last();
        failing.filter(|_| !healthy).map_or(self.state.started_at, |probe| probe.start)
    }

    /// Postgres says on its output only where its log is.
    async fn log(&self) -> anyhow::Result<String> {
        match self.component() {
            "postgres" => docker::newest_file(&self.id, POSTGRES_LOG).await,
            _ => docker::log(&self.id).await,
        }
    }

    async fn status(&self, trouble: Option<String>) -> ComponentStatus {
        let (name, healthy) = (self.component(), trouble.is_none());
        let last_error = match &trouble {
            Some(_) => self.log().await.ok().and_then(|text| last_words(&text)),
            None => None,
        };
        ComponentStatus {
            name: name.to_owned(),
            condition: if self.is_running() { Condition::Running } else { Condition::Down },
            healthy,
            since: self.since(healthy),
            pid: Some(self.state.pid).filter(|pid| *pid != 0),
            restarts: self.restart_count,
            trouble,
            last_error,
            log: match name {
                "postgres" => {
                    format!("docker cp {}:{POSTGRES_LOG}/. - | tar -xO | sort", self.name.trim_start_matches('/'))
                }
                _ => format!("docker compose logs {name}"),
            },
            advice: format!(
                "{}: see its log; `docker compose up --detach {name}` starts it, `docker compose restart {name}` anew",
                component::meaning(name)
            ),
        }
    }
}

/// The last error of a log; of one that names no error, its last line.
fn last_words(text: &str) -> Option<String> {
    let last = || text.lines().rev().find(|line| !line.trim().is_empty()).map(str::to_owned);
    logs::last_error_in(text).or_else(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(name: &str, state: &str) -> Container {
        started("2026-11-20T10:00:00Z", name, state)
    }

    fn started(at: &str, name: &str, state: &str) -> Container {
        let text = format!(
            r#"{{"Id":"1","Name":"/lookout-{name}-1","Created":"2026-11-20T09:59:00Z","RestartCount":2,
            "Config":{{"Labels":{{"com.docker.compose.service":"{name}"}},"Env":[]}},
            "NetworkSettings":{{"Ports":{{"8080/tcp":null}},"Networks":{{}}}},"State":{{"Pid":0,"OOMKilled":false,"Error":"",
            "StartedAt":"{at}","FinishedAt":"0001-01-01T00:00:00Z",{state}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[tokio::test]
    async fn a_container_whose_probe_fails_is_told_with_what_it_says_and_since_when() {
        let relay = container(
            "relay",
            r#""Status":"running","ExitCode":0,"Health":{"Status":"unhealthy","Log":[
            {"Start":"2026-11-20T10:00:10Z","ExitCode":0,"Output":""},
            {"Start":"2026-11-20T10:00:20Z","ExitCode":1,"Output":"503\n"},
            {"Start":"2026-11-20T10:00:30Z","ExitCode":1,"Output":"503\n"}]}"#,
        );

        let trouble = relay.trouble().await.unwrap();

        assert_eq!(trouble, "unhealthy: its probe says \"503\"");
        assert_eq!(relay.since(false).to_rfc3339(), "2026-11-20T10:00:20+00:00");
        assert_eq!(relay.since(true).to_rfc3339(), "2026-11-20T10:00:00+00:00");
    }

    #[tokio::test]
    async fn one_that_a_taken_port_keeps_from_starting_is_told_since_it_was_made_and_with_the_variable_that_moves_it() {
        let mut service = started("0001-01-01T00:00:00Z", "service", r#""Status":"created","ExitCode":128"#);
        service.state.error = "Bind for 127.0.0.1:8080 failed: port is already allocated".to_owned();

        let trouble = service.trouble().await.unwrap();

        assert!(trouble.ends_with("port is already allocated: set SERVICE_PORT=<another port>"), "{trouble}");
        assert_eq!(service.since(false).to_rfc3339(), "2026-11-20T09:59:00+00:00");
    }

    #[test]
    fn a_log_without_an_error_is_quoted_by_its_last_line() {
        assert_eq!(last_words("starting\nERROR: gone\nbye\n").unwrap(), "ERROR: gone");
        assert_eq!(last_words("no such file\n\n").unwrap(), "no such file");
    }

    #[tokio::test]
    async fn what_ends_when_it_is_done_is_in_no_trouble_and_what_else_ends_is() {
        assert_eq!(container("init", r#""Status":"exited","ExitCode":0"#).trouble().await, None);
        let failed = container("init", r#""Status":"exited","ExitCode":1"#).trouble().await;
        assert_eq!(failed.unwrap(), "exited with code 1");
        let gone = container("service", r#""Status":"exited","ExitCode":0"#).trouble().await;
        assert_eq!(gone.unwrap(), "exited with code 0");
    }
}
