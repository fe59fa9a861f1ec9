//! What a component is to the runner; one file for each says how it is started, asked and stopped.

mod alertmanager;
mod around;
mod postgres;
mod prometheus;
mod relay;
mod service;
mod telemetry;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use nix::sys::signal::Signal;
use tokio::process::Command;

pub(crate) use alertmanager::alertmanager;
pub(crate) use around::{load, postgres_exporter};
pub(crate) use postgres::{Cluster, postgres};
pub(crate) use prometheus::prometheus;
pub(crate) use relay::{CHATS, relay};
pub(crate) use service::{payments_stub, service};
pub(crate) use telemetry::{collector, jaeger, loki};

/// A part of the stack: one process and what it starts itself.
#[derive(Debug)]
pub(crate) struct Component {
    pub(crate) name: &'static str,
    /// Those of these that are part of the run must be ready before it starts, and stop after it.
    pub(crate) needs: &'static [&'static str],
    pub(crate) launch: Launch,
    /// What has to be made before its first start.
    pub(crate) cluster: Option<Cluster>,
    pub(crate) ready: Probe,
    /// How long it may take to become ready.
    pub(crate) patience: Duration,
    /// Asks it to stop; what takes too long then is killed.
    pub(crate) stop: Signal,
    /// Whether it is started again after a crash.
    pub(crate) restarts: bool,
}

impl Component {
    /// What its failure means, and what to do.
    pub(crate) fn advice(&self) -> String {
        let anew = if self.restarts { "" } else { "; `make down`, then `make up` starts it anew" };
        format!("{}: see its log{anew}", meaning(self.name))
    }

    /// As most are: it needs nobody, is asked to stop by SIGTERM, and stays down after a crash.
    fn new(name: &'static str, launch: Launch, ready: Probe) -> Self {
        let patience = Duration::from_secs(30);
        Self { name, needs: &[], launch, cluster: None, ready, patience, stop: Signal::SIGTERM, restarts: false }
    }
}

/// What the failure of a part means, whatever it runs as.
pub(crate) fn meaning(part: &str) -> &'static str {
    match part {
        "postgres" => "orders can be neither read nor written",
        "service" => "users get errors",
        "payments-stub" => "payments stay pending",
        "relay" => "alerts do not reach chat, only the bypass is left",
        "alertmanager" => "alerts are raised but reach neither relay nor chat",
        "prometheus" => "nothing is measured and no alert can be raised",
        "loki" => "no line can be searched; lines wait in the collector",
        "jaeger" => "no trace can be opened; spans wait in the collector",
        "otel-collector" => "lines wait in their files, spans of this time are lost",
        "postgres-exporter" => "nothing is known of the inside of Postgres",
        "load" => "there is no light traffic, so dashboards stay empty",
        "grafana" => "there are no dashboards",
        "init" => "nothing starts, because there are no secrets",
        _ => "it is not what it should be",
    }
}

/// A command line with its surroundings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) set: Vec<(String, OsString)>,
    pub(crate) unset: Vec<&'static str>,
    pub(crate) folder: PathBuf,
}

impl Launch {
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir(&self.folder);
        for name in &self.unset {
            command.env_remove(name);
        }
        // A start that fails is told by its last lines, which a backtrace would fill.
        command.env("RUST_BACKTRACE", "0");
        command.envs(self.set.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// How a component is asked whether it can work.
#[derive(Clone, Debug)]
pub(crate) enum Probe {
    /// 200 from this address.
    Http(String),
    /// `pg_isready` at this port.
    Postgres { program: PathBuf, port: u16 },
}

impl Probe {
    /// Why it cannot, when it cannot.
    pub(crate) async fn ask(&self, patience: Duration) -> Result<(), String> {
        match self {
            Self::Http(url) => ask_http(url, patience).await,
            Self::Postgres { program, port } => postgres::ask(program, *port, patience).await,
        }
    }
}

pub(crate) async fn ask_http(url: &str, patience: Duration) -> Result<(), String> {
    let client = crate::http::client(patience).map_err(|error| error.to_string())?;
    match client.get(url).send().await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!("{url} answers {}", answer.status())),
        Err(error) if error.is_timeout() => Err(format!("{url} has not answered for {} s", patience.as_secs())),
        Err(_) => Err(format!("{url} refuses the connection")),
    }
}
