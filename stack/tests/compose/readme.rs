//! `docker compose up`, and the README's other commands for containers, exactly as it has them.

use std::{
    process::{Stdio, id},
    time::Duration,
};

use regex::Regex;
use tokio::{process::Command, time::timeout};

use crate::{docker::repository, machine, whole::say};

/// The images are built before anything starts.
const PATIENCE: Duration = Duration::from_mins(30);
/// What a person may have set for a stack of their own.
const CHATS: [&str; 7] = [
    "SLACK_WEBHOOK_URL",
    "MATTERMOST_WEBHOOK_URL",
    "ROCKETCHAT_WEBHOOK_URL",
    "DISCORD_WEBHOOK_URL",
    "WEBHOOK_URL",
    "ESCALATION_URL",
    "HEARTBEAT_URL",
];
/// While it is up.
const RUN: [&str; 2] = [
    "docker compose exec service /service admin log-level debug",
    "docker compose exec service /service admin sampling 0.1",
];
const GONE: &str = "docker compose down --volumes";

/// A shell with a project, image names and ports of its own.
struct Shell {
    name: String,
    environment: Vec<(String, String)>,
}

impl Shell {
    async fn new() -> Self {
        let name = format!("lookout-readme-{}", id());
        let mut environment =
            Vec::from(["COMPOSE_PROJECT_NAME", "IMAGE_TAG"].map(|key| (key.to_owned(), name.clone())));
        // As for the other tests: of another revision everything would be built anew.
        environment.push(("REVISION".to_owned(), stack::revision().await));
        environment.extend(stack::without_grafana(&|line| say(&line)).await.unwrap());
        environment.extend(CHATS.map(|name| (name.to_owned(), String::new())));
        let ports = ["SERVICE", "RELAY", "GRAFANA", "PROMETHEUS", "ALERTMANAGER", "LOKI", "JAEGER", "COLLECTOR_HEALTH"];
        environment.extend(ports.map(|name| (format!("{name}_PORT"), "0".to_owned())));
        Self { name, environment }
    }

    fn command(&self, line: &str) -> Command {
        let mut words = line.split(' ');
        let mut command = Command::new(words.next().unwrap());
        command.args(words).current_dir(repository()).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // Nobody is left to be told when this fails.
        let images = format!("docker image rm lookout/service:{0} lookout/relay:{0}", self.name);
        for line in [GONE, &images] {
            let _ = self.command(line).into_std().stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_compose_up_shows_nothing_but_the_links_and_leaves_the_rest_running() {
    let _machine = machine::shared().await;
    let shell = Shell::new().await;

    let up =
        timeout(PATIENCE, shell.command("docker compose up").stderr(Stdio::inherit()).output()).await.unwrap().unwrap();

    let shown = String::from_utf8(up.stdout).unwrap();
    assert!(up.status.success() && shown.contains("Stop everything: docker compose down"), "{shown}");
    // Each line of a container has its name before it; those of the builder have a number.
    let of_container = Regex::new(r"^[a-z-]+-1 +\| ").unwrap();
    let mut of_containers = shown.lines().filter(|line| of_container.is_match(line)).peekable();
    assert!(of_containers.peek().is_some(), "{shown}");
    let others: Vec<_> = of_containers.filter(|line| !line.starts_with("links-1 ")).collect();
    assert!(others.is_empty(), "{others:#?}");
    for line in RUN {
        assert!(shell.command(line).status().await.unwrap().success(), "`{line}`");
    }
    assert!(shell.command(GONE).status().await.unwrap().success());
    let left = shell.command("docker compose ps --all --quiet").output().await.unwrap();
    assert_eq!(String::from_utf8(left.stdout).unwrap(), "");
}
