//! The commands `docker` and `docker compose`, and what a container says of itself.

use std::{collections::HashMap, net::Ipv4Addr, process::Stdio};

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::process::Command;

use crate::config::repository;

/// What `docker` prints, or its complaint.
pub(crate) async fn docker(arguments: &[&str]) -> anyhow::Result<String> {
    run(Command::new("docker").args(arguments)).await
}

async fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.context("docker is not installed")?;
    if !output.status.success() {
        let arguments: Vec<_> = command.as_std().get_args().map(std::ffi::OsStr::to_string_lossy).collect();
        bail!("`docker {}` failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

pub(crate) async fn inspect(containers: &[&str]) -> anyhow::Result<Vec<Container>> {
    let described = docker(&[["inspect"].as_slice(), containers].concat()).await?;
    serde_json::from_str(&described).context("docker describes containers in another way than this runner knows")
}

/// The compose project of this repository, as the environment and these variables make it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Project {
    pub(crate) environment: Vec<(String, String)>,
}

impl Project {
    /// `docker compose` with these variables, in the repository.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        command.arg("compose").args(arguments).current_dir(repository()).envs(environment);
        command
    }

    pub(crate) async fn compose(&self, arguments: &[&str]) -> anyhow::Result<String> {
        run(&mut self.command(arguments)).await
    }

    /// Its containers, those that have ended too.
    pub(crate) async fn containers(&self) -> anyhow::Result<Vec<Container>> {
        let ids = self.compose(&["ps", "--all", "--quiet"]).await?;
        let ids: Vec<&str> = ids.split_whitespace().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        inspect(&ids).await
    }

    pub(crate) async fn container(&self, component: &str) -> anyhow::Result<Container> {
        let found = self.containers().await?.into_iter().find(|container| container.component() == component);
        found.with_context(|| format!("there is no container of {component}"))
    }
}

/// A container, as `docker inspect` describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Container {
    pub(crate) id: String,
    state: State,
    config: Config,
    network_settings: Networking,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    status: String,
    /// None: its image has nothing to probe with.
    health: Option<Health>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Health {
    status: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    env: Vec<String>,
    labels: HashMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Networking {
    ports: Option<HashMap<String, Option<Vec<Published>>>>,
    networks: HashMap<String, Network>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Published {
    host_port: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Network {
    #[serde(rename = "IPAddress")]
    address: String,
    #[serde(rename = "Gateway")]
    gateway: String,
}

impl Container {
    /// Its name in docker-compose.yml.
    pub(crate) fn component(&self) -> &str {
        self.label("com.docker.compose.service")
    }

    pub(crate) fn project(&self) -> &str {
        self.label("com.docker.compose.project")
    }

    fn label(&self, name: &str) -> &str {
        self.config.labels.get(name).map_or("", String::as_str)
    }

    /// A variable of its environment; empty when there is none.
    pub(crate) fn variable(&self, name: &str) -> &str {
        let value = |entry: &'_ String| entry.strip_prefix(name).is_some_and(|rest| rest.starts_with('='));
        self.config.env.iter().find(|entry| value(entry)).and_then(|entry| entry.get(name.len() + 1..)).unwrap_or("")
    }

    /// Where its `port` is on this machine; empty when it is not published.
    pub(crate) fn published(&self, port: u16) -> String {
        let ports = self.network_settings.ports.as_ref().and_then(|ports| ports.get(&format!("{port}/tcp")));
        let first = ports.and_then(|published| published.as_ref()?.first());
        first.map(|published| format!("http://127.0.0.1:{}", published.host_port)).unwrap_or_default()
    }

    /// Its address in the network of the project, which this machine reaches, too; it may change with a restart.
    pub(crate) fn address(&self) -> &str {
        self.network().map_or("", |network| &network.address)
    }

    /// This machine's address in the network of the project.
    pub(crate) fn gateway(&self) -> anyhow::Result<Ipv4Addr> {
        let gateway = self.network().map(|network| network.gateway.parse());
        gateway.context("it is in no network")?.context("its network has no gateway")
    }

    fn network(&self) -> Option<&Network> {
        self.network_settings.networks.values().next()
    }

    pub(crate) fn is_healthy(&self) -> bool {
        let passes = self.state.health.as_ref().is_none_or(|health| health.status == "healthy");
        self.state.status == "running" && passes
    }
}
