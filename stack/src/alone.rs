//! Alertmanager without the rest of the stack: the project's own routes, and a relay that whoever starts it plays.

use std::{fs, net::SocketAddr, os::unix::fs::symlink};

use anyhow::ensure;

use crate::{
    component,
    config::{Settings, repository},
    folder::Folder,
    ports::{Ports, Role},
    programs::{self, Found, Program},
    render::Addresses,
    supervisor::Supervisor,
};

/// An Alertmanager that can be started.
#[derive(Clone, Debug)]
pub struct Alertmanager(Found);

impl Alertmanager {
    /// The one that a stack starts.
    pub async fn in_use() -> anyhow::Result<Self> {
        Ok(Self(programs::find(&Settings::from_environment()?, Program::Alertmanager, &|_| ()).await?))
    }

    /// That of Debian 12, the oldest that must load the routes.
    pub async fn oldest() -> anyhow::Result<Self> {
        let settings = Settings::from_environment()?;
        Ok(Self(programs::cached(&settings, Program::Alertmanager, Vec::new(), &|_| ()).await?))
    }

    /// Such as `0.34`.
    #[must_use]
    pub fn version(&self) -> String {
        let (major, minor) = self.0.version;
        format!("{major}.{minor}")
    }

    /// Starts it on a free port, with each of `changes` made in `alertmanager.yml`. It tells the relay, and what goes
    /// around it, to `relay`.
    pub async fn start(&self, relay: SocketAddr, changes: &[(&str, &str)]) -> anyhow::Result<Alone> {
        let folder = Folder::temporary()?;
        let ports = Ports::reserve([(Role::Relay, relay.port()), (Role::Alertmanager, 0)].into_iter())?;
        let config = folder.config().join("alerts");
        Addresses::new(&ports, 1).render(&repository().join("alerts"), &config, &|_| false)?;
        symlink("../../secrets", config.join("secrets"))?;
        folder.random_secret("relay_token")?;
        folder.write_secret("escalation_url", &format!("http://{relay}/escalation"))?;
        let file = config.join("alertmanager.yml");
        let mut text = fs::read_to_string(&file)?;
        for (from, to) in changes {
            ensure!(text.contains(from), "alertmanager.yml has no `{from}`");
            text = text.replace(from, to);
        }
        fs::write(file, text)?;
        let url = ports.url(Role::Alertmanager);
        let supervisor = Supervisor::new(vec![component::alertmanager(&self.0, &folder, &ports)?], &folder)?;
        supervisor.start_all(&|_, _| ()).await?;
        Ok(Alone { supervisor, url, _folder: folder, _ports: ports })
    }
}

/// A running Alertmanager. It ends when dropped.
#[derive(Debug)]
pub struct Alone {
    // Dropped in this order: the process ends before its folder goes.
    supervisor: Supervisor,
    url: String,
    _folder: Folder,
    _ports: Ports,
}

impl Alone {
    /// Where it listens, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks it to stop, and waits until it has.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.supervisor.stop_all().await
    }
}
