//! The stack as containers: the one that `docker compose up` started, or a fresh one on free ports.

mod docker;
pub(crate) mod doctor;
mod fresh;
mod overrides;
mod player;

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

pub use fresh::without_grafana;
pub use overrides::Overrides;
pub(crate) use overrides::{LOGS_BYTES, SMALL_DISK};

use docker::{Container, Project, docker};
use fresh::Fresh;
use player::Player;

use crate::{
    handle::{ComponentStatus, Endpoints},
    keeper::Order,
};

/// Longer than any container takes to pass its probe.
const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(100);
const ON_ITS_OWN: &str = "this is rehearsed on containers of its own, not on those that are up: leave out --running";

/// Containers that can be broken and repaired.
#[derive(Debug)]
pub(crate) struct Compose {
    project: Project,
    name: String,
    player: Mutex<Option<Player>>,
    /// Not the one that others use.
    fresh: Option<Fresh>,
}

impl Compose {
    /// The one that is up, and where its parts listen. Its chat is played here, unless a real one is configured.
    pub(crate) async fn running() -> anyhow::Result<(Arc<Self>, Endpoints)> {
        Self::of(Project::default(), None).await
    }

    /// Whether one is up. To connect to it would make its relay write to this process.
    pub(crate) async fn is_up() -> bool {
        Project::default().container("service").await.is_ok_and(|service| service.is_running())
    }

    /// A fresh one, all of it healthy.
    pub(crate) async fn fresh(
        overrides: Option<&Overrides>,
        say: &(dyn Fn(String) + Sync),
    ) -> anyhow::Result<(Arc<Self>, Endpoints)> {
        let fresh = Fresh::start(overrides, say).await?;
        Self::of(fresh.project.clone(), Some(fresh)).await
    }

    async fn of(project: Project, fresh: Option<Fresh>) -> anyhow::Result<(Arc<Self>, Endpoints)> {
        let containers = project.containers().await?;
        let Some(container) = containers.iter().find(|container| container.component() == "service") else {
            bail!("no stack of containers is up: `docker compose up` starts one");
        };
        let name = container.project().to_owned();
        let player = Player::start(&project, fresh.as_ref().and_then(|fresh| fresh.files.as_ref())).await?;
        let chat = player.as_ref().map(Player::url).unwrap_or_default();
        let compose = Self { project, name, player: Mutex::new(player), fresh };
        compose.start("relay").await?;
        let endpoints = Endpoints { chat, ..compose.endpoints().await? };
        Ok((Arc::new(compose), endpoints))
    }

    /// The compose project.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How long a fresh one took to be healthy, its images being there.
    pub(crate) fn healthy_after(&self) -> Option<Duration> {
        self.fresh.as_ref().map(|fresh| fresh.healthy_after)
    }

    /// Where its parts listen: published, or in the network of the project.
    async fn endpoints(&self) -> anyhow::Result<Endpoints> {
        let containers = self.project.containers().await?;
        let find = |component: &str| containers.iter().find(|container| container.component() == component);
        let published = |component, port| find(component).map(|found| found.published(port)).unwrap_or_default();
        let inside = |component, port| match find(component).map(Container::address) {
            Some(address) if !address.is_empty() => format!("http://{address}:{port}"),
            _ => String::new(),
        };
        let postgres = find("postgres").context("there is no container of postgres")?;
        let password = docker(&["exec", &postgres.id, "cat", "/run/secrets/postgres_password"]).await;
        let password = password.context("Postgres does not run")?;
        Ok(Endpoints {
            service: published("service", 8080),
            service_admin: inside("service", 9091),
            relay: published("relay", 8090),
            relay_admin: inside("relay", 8091),
            prometheus: published("prometheus", 9090),
            alertmanager: published("alertmanager", 9093),
            database_url: format!("postgres://postgres:{password}@{}:5432/orders", postgres.address()),
            payments: inside("payments-stub", 8085),
            chat: String::new(),
            loki: published("loki", 3100),
            jaeger: published("jaeger", 16686),
        })
    }

    pub(crate) async fn order(&self, component: &str, order: Order) -> anyhow::Result<()> {
        let verb: &[&str] = match order {
            Order::Start => return self.start(component).await,
            Order::Kill => &["kill", "--signal", "KILL"],
            Order::Freeze => &["pause"],
            Order::Thaw => &["unpause"],
            Order::Stop => &["stop"],
        };
        // Its name is known: to ask for it would take longer than what a drill measures.
        docker(&[verb, &[self.container(component).as_str()]].concat()).await?;
        Ok(())
    }

    /// As compose calls it.
    fn container(&self, component: &str) -> String {
        format!("{}-{component}-1", self.name)
    }

    /// Starts `component` unless it runs, and waits until it is healthy.
    async fn start(&self, component: &str) -> anyhow::Result<()> {
        let name = self.container(component);
        docker(&["start", &name]).await?;
        let deadline = Instant::now() + PATIENCE;
        while !docker::inspect(&[&name]).await?.iter().all(Container::is_healthy) {
            if Instant::now() >= deadline {
                bail!("{component} is not healthy after {} s: `docker logs {name}`", PATIENCE.as_secs());
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Every container that is to run.
    pub(crate) async fn status(&self) -> anyhow::Result<Vec<ComponentStatus>> {
        let containers = doctor::of(&self.project).await.context("there is no container any more")?;
        Ok(containers.parts)
    }

    /// What a command in the container of `component` prints.
    pub(crate) async fn run(&self, component: &str, command: &[&str]) -> anyhow::Result<String> {
        docker(&[&["exec", &self.container(component)], command].concat()).await
    }

    /// What a shell script prints in a container of its own, which has the volumes of `init`.
    pub(crate) async fn script(&self, user: &str, script: &str) -> anyhow::Result<String> {
        let run = ["run", "--rm", "--no-deps", "--user", user, "--entrypoint", "/bin/sh", "init", "-c", script];
        self.project.compose(&run).await
    }

    /// An error unless its disks are small, and nobody else's.
    pub(crate) fn has_small_disks(&self) -> anyhow::Result<()> {
        let overrides = self.overrides();
        anyhow::ensure!(overrides.is_some_and(|overrides| overrides.small_disks), ON_ITS_OWN);
        Ok(())
    }

    fn overrides(&self) -> Option<&Overrides> {
        Some(&self.fresh.as_ref()?.files.as_ref()?.overrides)
    }

    /// Creates the service's container anew as another version; an empty one is what was built.
    pub(crate) async fn deploy(&self, version: &str) -> anyhow::Result<()> {
        anyhow::ensure!(self.overrides().is_some(), ON_ITS_OWN);
        let mut project = self.project.clone();
        if !version.is_empty() {
            project.environment.push(("OTEL_RESOURCE_ATTRIBUTES".to_owned(), format!("service.version={version}")));
        }
        project.compose(&["up", "--detach", "--no-deps", "--no-build", "service"]).await?;
        self.start("service").await
    }

    /// All of it, volumes excepted.
    pub(crate) async fn stop(&self) -> anyhow::Result<()> {
        match &self.fresh {
            Some(fresh) => fresh.remove().await,
            None => self.project.compose(&["down"]).await.map(|_| ()),
        }
    }

    /// Gives chat back, and removes what is fresh.
    pub(crate) async fn leave(&self) -> anyhow::Result<()> {
        let player = self.player.lock().await.take();
        if let Some(fresh) = &self.fresh {
            return fresh.remove().await;
        }
        match player {
            Some(player) => player.end(&self.project).await,
            None => Ok(()),
        }
    }
}
