//! The commands `docker` and `docker compose`, and what a container says of itself.

use std::{collections::HashMap, fs, net::Ipv4Addr, path::PathBuf, process::Stdio};

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use tokio::process::Command;

use crate::config::repository;

/// What `docker` prints, or its complaint.
pub(super) async fn docker(arguments: &[&str]) -> anyhow::Result<String> {
    run(Command::new("docker").args(arguments)).await
}

/// The newest file in a folder of a container that says anything. It need not run.
pub(super) async fn newest_file(container: &str, folder: &str) -> anyhow::Result<String> {
    let copy = tempfile::tempdir()?;
    let to = copy.path().to_string_lossy();
    docker(&["cp", "--quiet", &format!("{container}:{folder}/."), &to]).await?;
    let files = fs::read_dir(copy.path())?.flatten().map(|file| file.path());
    let written = |file: &PathBuf| fs::metadata(file).ok().filter(|file| file.len() > 0)?.modified().ok();
    let newest = files.max_by_key(written).with_context(|| format!("{folder} of {container} is empty"))?;
    Ok(fs::read_to_string(newest)?)
}

/// What a container has printed of late, on both of its outputs.
pub(super) async fn log(container: &str) -> anyhow::Result<String> {
    let mut command = Command::new("docker");
    let command = command.args(["logs", "--tail", "400", container]).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.context("docker is not installed")?;
    Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

async fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.context("docker is not installed")?;
    if !output.status.success() {
        let arguments: Vec<_> = command.as_std().get_args().map(std::ffi::OsStr::to_string_lossy).collect();
        bail!("`docker {}` failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

pub(super) async fn inspect(containers: &[&str]) -> anyhow::Result<Vec<Container>> {
    let described = docker(&[["inspect"].as_slice(), containers].concat()).await?;
    serde_json::from_str(&described).context("docker describes containers in another way than this runner knows")
}

/// The compose project of this repository, as the environment and these variables make it.
#[derive(Clone, Debug, Default)]
pub(super) struct Project {
    pub(super) environment: Vec<(String, String)>,
}

impl Project {
    /// `docker compose` with these variables, in the repository.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        command.arg("compose").args(arguments).current_dir(repository()).envs(environment);
        command
    }

    pub(super) async fn compose(&self, arguments: &[&str]) -> anyhow::Result<String> {
        run(&mut self.command(arguments)).await
    }

    /// Its containers, those that have ended too.
    pub(super) async fn containers(&self) -> anyhow::Result<Vec<Container>> {
        let ids = self.compose(&["ps", "--all", "--quiet"]).await?;
        let ids: Vec<&str> = ids.split_whitespace().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        inspect(&ids).await
    }

    /// The parts that the files say it has which `container` was made from.
    pub(super) async fn services(&self, container: &Container) -> anyhow::Result<Vec<String>> {
        let files = container.files().flat_map(|file| ["--file", file]);
        let arguments: Vec<_> = files.chain(["config", "--services"]).collect();
        Ok(self.compose(&arguments).await?.lines().map(str::to_owned).collect())
    }

    pub(super) async fn container(&self, component: &str) -> anyhow::Result<Container> {
        let found = self.containers().await?.into_iter().find(|container| container.component() == component);
        found.with_context(|| format!("there is no container of {component}"))
    }
}

/// A container, as `docker inspect` describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Container {
    pub(super) id: String,
    /// With a slash before it.
    pub(super) name: String,
    pub(super) created: DateTime<Utc>,
    pub(super) restart_count: u32,
    pub(super) state: State,
    config: Config,
    network_settings: Networking,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct State {
    pub(super) status: String,
    #[serde(rename = "OOMKilled")]
    pub(super) oom_killed: bool,
    pub(super) pid: u32,
    pub(super) exit_code: i32,
    #[serde(default)]
    pub(super) error: String,
    pub(super) started_at: DateTime<Utc>,
    pub(super) finished_at: DateTime<Utc>,
    /// None: its image has nothing to probe with.
    pub(super) health: Option<Health>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Health {
    pub(super) status: String,
    /// The last few.
    #[serde(default)]
    pub(super) log: Vec<Probe>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Probe {
    pub(super) start: DateTime<Utc>,
    pub(super) exit_code: i32,
    pub(super) output: String,
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
    pub(super) fn component(&self) -> &str {
        self.label("com.docker.compose.service")
    }

    /// The files it was made from.
    fn files(&self) -> impl Iterator<Item = &str> {
        self.label("com.docker.compose.project.config_files").split(',').filter(|file| !file.is_empty())
    }

    pub(super) fn project(&self) -> &str {
        self.label("com.docker.compose.project")
    }

    fn label(&self, name: &str) -> &str {
        self.config.labels.get(name).map_or("", String::as_str)
    }

    /// A variable of its environment; empty when there is none.
    pub(super) fn variable(&self, name: &str) -> &str {
        let value = |entry: &'_ String| entry.strip_prefix(name).is_some_and(|rest| rest.starts_with('='));
        self.config.env.iter().find(|entry| value(entry)).and_then(|entry| entry.get(name.len() + 1..)).unwrap_or("")
    }

    /// Where its `port` is on this machine; empty when it is not published.
    pub(super) fn published(&self, port: u16) -> String {
        let ports = self.network_settings.ports.as_ref().and_then(|ports| ports.get(&format!("{port}/tcp")));
        let first = ports.and_then(|published| published.as_ref()?.first());
        first.map(|published| format!("http://127.0.0.1:{}", published.host_port)).unwrap_or_default()
    }

    /// Its address in the network of the project, which this machine reaches, too; it may change with a restart.
    pub(super) fn address(&self) -> &str {
        self.network().map_or("", |network| &network.address)
    }

    /// This machine's address in the network of the project.
    pub(super) fn gateway(&self) -> anyhow::Result<Ipv4Addr> {
        let gateway = self.network().map(|network| network.gateway.parse());
        gateway.context("it is in no network")?.context("its network has no gateway")
    }

    fn network(&self) -> Option<&Network> {
        self.network_settings.networks.values().next()
    }

    pub(super) fn is_running(&self) -> bool {
        self.state.status == "running"
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.is_running() && self.state.health.as_ref().is_none_or(|health| health.status == "healthy")
    }
}
