//! What a test, a drill or `doctor` holds of a running stack: where its parts listen, and the means to break and repair them.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use anyhow::bail;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::{
    binaries,
    compose::{Compose, Overrides},
    config::Settings,
    control::{self, Answer, Request},
    keeper::Order,
    stack::Stack,
};

/// Where a running stack's parts listen: base URLs without a trailing slash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// The service's API.
    pub service: String,
    /// The service's admin listener: metrics, health.
    pub service_admin: String,
    /// The relay's inbox, runbooks and intake.
    pub relay: String,
    /// The relay's metrics and health.
    pub relay_admin: String,
    /// Prometheus.
    pub prometheus: String,
    /// Alertmanager.
    pub alertmanager: String,
    /// The local server that plays chat; empty when a real chat is configured.
    pub chat: String,
    /// The service's database, as its administrator.
    pub database_url: String,
    /// The payments provider, which can be told to misbehave.
    pub payments: String,
    /// Loki; empty when it is not part of the run.
    pub loki: String,
    /// Jaeger; empty when it is not part of the run.
    pub jaeger: String,
}

/// What a component's process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// There is a process.
    Running,
    /// There is one, and it was stopped by `freeze`.
    Frozen,
    /// It crashed, and starts again within a second.
    Restarting,
    /// There is none, and none will come until it is started.
    Down,
}

/// One component, as `doctor` shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ComponentStatus {
    /// Such as `postgres`; hosts of the configuration files have the same names.
    pub name: String,
    /// What its process is doing.
    pub condition: Condition,
    /// Whether it answered its probe.
    pub healthy: bool,
    /// Since when it has been healthy, or has not.
    pub since: DateTime<Utc>,
    /// Its main process.
    pub pid: Option<u32>,
    /// How often it crashed and was started again.
    pub restarts: u32,
    /// How its process ended, or what its probe last answered.
    pub trouble: Option<String>,
    /// The last error line of its log.
    pub last_error: Option<String>,
    /// Its log: a file, or the command that shows it.
    pub log: String,
    /// What its failure means, and what to do.
    pub advice: String,
}

/// Who plays chat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChatChoice {
    /// A local server, whatever the environment says.
    #[default]
    Player,
    /// The chats that the environment names; the local server when it names none.
    Configured,
}

/// How a stack is started. The default is what a test wants: everything fresh, nothing shared.
#[derive(Clone, Debug)]
pub struct Options {
    /// Build service and relay first, in the runner's own profile.
    pub build: bool,
    /// Where the programs `service` and `relay` are; none: beside the runner's own executable.
    pub binaries: Option<PathBuf>,
    /// Where data, logs and configuration go; none: a temporary folder that goes away with the stack.
    pub folder: Option<PathBuf>,
    /// Start the optional parts, too, whose programs are found.
    pub extras: bool,
    /// Who plays chat.
    pub chat: ChatChoice,
    /// Ranges, `for` and `keep_firing_for` of all rules are divided by this; 1 leaves them as they are.
    pub shorten: u64,
    /// `RUST_LOG` of service and relay.
    pub verbosity: Option<String>,
    /// More environment for service, relay and collector.
    pub env: Vec<(String, String)>,
    /// With a second chat, which hears of the first one's trouble.
    pub second_chat: bool,
    /// Where `EscalateUnresolved` goes; none: to the chat player's `/escalation`.
    pub escalation_url: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            build: true,
            binaries: None,
            folder: None,
            extras: false,
            shorten: 1,
            chat: ChatChoice::default(),
            verbosity: None,
            env: Vec::new(),
            second_chat: false,
            escalation_url: None,
        }
    }
}

/// A stack that can be broken and repaired: one of our own, or the one that is up.
#[derive(Clone, Debug)]
pub struct Handle {
    endpoints: Endpoints,
    reach: Reach,
}

#[derive(Clone, Debug)]
enum Reach {
    /// In this process.
    Own(Arc<Stack>),
    /// Through the runner of this folder.
    Up(PathBuf),
    /// Containers.
    Compose(Arc<Compose>),
}

impl Handle {
    /// Where its parts listen.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// SIGKILL to all processes of `component`, which stays down until [`Handle::start`].
    pub async fn kill(&self, component: &str) -> anyhow::Result<()> {
        self.order(component, Order::Kill).await
    }

    /// SIGSTOP to all processes of `component`: it keeps its connections and answers nothing.
    pub async fn freeze(&self, component: &str) -> anyhow::Result<()> {
        self.order(component, Order::Freeze).await
    }

    /// SIGCONT to all processes of `component`.
    pub async fn thaw(&self, component: &str) -> anyhow::Result<()> {
        self.order(component, Order::Thaw).await
    }

    /// Starts `component` again, and returns when it is ready.
    pub async fn start(&self, component: &str) -> anyhow::Result<()> {
        self.order(component, Order::Start).await
    }

    /// Asks `component` to stop, and waits until it has. Only in a stack of this process.
    pub async fn halt(&self, component: &str) -> anyhow::Result<()> {
        self.order(component, Order::Stop).await
    }

    /// Where its data, logs and configuration are. Of processes only.
    pub fn folder(&self) -> anyhow::Result<&Path> {
        match &self.reach {
            Reach::Own(stack) => Ok(stack.folder.path()),
            Reach::Up(folder) => Ok(folder),
            Reach::Compose(_) => bail!("this is rehearsed on processes: leave out --compose, or DOCKER=1"),
        }
    }

    /// Starts the service anew as another version, as a deployment does; an empty one is what was built. Not of
    /// containers that are up: they are as their owner's environment made them.
    pub async fn deploy(&self, version: &str) -> anyhow::Result<()> {
        match &self.reach {
            Reach::Own(stack) => stack.deploy(version).await,
            Reach::Up(folder) => {
                control::ask(folder, &Request::Deploy { version: version.to_owned() }).await.map(|_| ())
            }
            Reach::Compose(compose) => compose.deploy(version).await,
        }
    }

    /// Runs `service admin` with `arguments` against the service's admin listener, and returns what it printed.
    pub async fn service_admin(&self, arguments: &[&str]) -> anyhow::Result<String> {
        if let Reach::Compose(compose) = &self.reach {
            return compose.run("service", &[&["/service", "admin"], arguments].concat()).await;
        }
        let program = binaries::program(&binaries::folder()?, "service")?;
        let listener = self.endpoints.service_admin.trim_start_matches("http://");
        let output = Command::new(program)
            .arg("admin")
            .args(arguments)
            .env("ADMIN_LISTEN", listener)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        anyhow::ensure!(
            output.status.success(),
            "`service admin {}` failed: {}",
            arguments.join(" "),
            told(&output.stderr)
        );
        Ok(told(&output.stdout))
    }

    /// Every component in the order in which they start.
    pub async fn status(&self) -> anyhow::Result<Vec<ComponentStatus>> {
        match &self.reach {
            Reach::Own(stack) => Ok(stack.supervisor.status().await),
            Reach::Compose(compose) => compose.status().await,
            Reach::Up(folder) => match control::ask(folder, &Request::Status).await? {
                Answer::Status(status) => Ok(status),
                other => bail!("the runner answers {other:?}"),
            },
        }
    }

    /// Stops everything in order and leaves nothing behind.
    pub async fn stop(self) -> anyhow::Result<()> {
        match &self.reach {
            Reach::Own(stack) => stack.stop().await,
            Reach::Up(folder) => control::stop(folder).await.map(|_| ()),
            Reach::Compose(compose) => compose.stop().await,
        }
    }

    /// Stops a stack that is fresh; one that others use stays up.
    pub async fn leave(self) -> anyhow::Result<()> {
        match &self.reach {
            Reach::Up(_) => Ok(()),
            Reach::Compose(compose) => compose.leave().await,
            Reach::Own(_) => self.stop().await,
        }
    }

    /// Its containers, if it has any.
    pub(crate) fn containers(&self) -> Option<&Compose> {
        match &self.reach {
            Reach::Compose(compose) => Some(compose),
            Reach::Own(_) | Reach::Up(_) => None,
        }
    }

    /// The compose project, of containers.
    #[must_use]
    pub fn project(&self) -> Option<&str> {
        self.containers().map(Compose::name)
    }

    /// How long fresh containers took to be healthy, their images being there.
    #[must_use]
    pub fn healthy_after(&self) -> Option<Duration> {
        self.containers()?.healthy_after()
    }

    async fn order(&self, component: &str, order: Order) -> anyhow::Result<()> {
        match &self.reach {
            Reach::Own(stack) => stack.supervisor.order(component, order).await,
            Reach::Compose(compose) => compose.order(component, order).await,
            Reach::Up(folder) => {
                let request = Request::order(component.to_owned(), order)?;
                control::ask(folder, &request).await.map(|_| ())
            }
        }
    }
}

/// Starts a fresh stack on free ports.
pub async fn start(options: Options) -> anyhow::Result<Handle> {
    anyhow::ensure!((1..=10).contains(&options.shorten), "windows are shortened by a factor of 1 to 10");
    let settings = Settings::from_environment()?;
    let stack = Stack::prepare(&settings, &options, None, &|_| ()).await?;
    stack.start(&|_, _| ()).await?;
    Ok(Handle { endpoints: stack.endpoints.clone(), reach: Reach::Own(Arc::new(stack)) })
}

/// Connects to the stack that is up.
pub async fn running() -> anyhow::Result<Handle> {
    let folder = Settings::from_environment()?.state();
    match control::ask(&folder, &Request::Endpoints).await? {
        Answer::Endpoints(endpoints) => Ok(Handle { endpoints: *endpoints, reach: Reach::Up(folder) }),
        other => bail!("the runner answers {other:?}"),
    }
}

/// Starts fresh containers on free ports, as `docker compose up` does but for `overrides`, and plays their chat; `say` hears
/// what is left out.
pub async fn start_compose(overrides: Option<&Overrides>, say: &(dyn Fn(String) + Sync)) -> anyhow::Result<Handle> {
    let (compose, endpoints) = Compose::fresh(overrides, say).await?;
    Ok(Handle { endpoints, reach: Reach::Compose(compose) })
}

/// Connects to the containers that are up, and plays their chat unless they have a real one.
pub async fn running_compose() -> anyhow::Result<Handle> {
    let (compose, endpoints) = Compose::running().await?;
    Ok(Handle { endpoints, reach: Reach::Compose(compose) })
}
