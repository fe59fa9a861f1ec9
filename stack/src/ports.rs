//! Which port each part listens on: the well-known ones for the stack that is up, free ones for every other.

use std::{
    collections::BTreeMap,
    fs::{File, TryLockError},
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use anyhow::{Context, bail};
use clap::Args;

use crate::{folder, listener};

/// Below the range from which the kernel gives ports to outgoing connections: a component that
/// was killed finds its port still free.
const FREE: std::ops::Range<u16> = 12_000..32_000;
const ATTEMPTS: usize = 1_000;

/// One listener of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Service,
    ServiceAdmin,
    Relay,
    RelayAdmin,
    Prometheus,
    Alertmanager,
    Postgres,
    Chat,
}

impl Role {
    pub(crate) const ALL: [Self; 8] = [
        Self::Service,
        Self::ServiceAdmin,
        Self::Relay,
        Self::RelayAdmin,
        Self::Prometheus,
        Self::Alertmanager,
        Self::Postgres,
        Self::Chat,
    ];

    /// The host and port by which the configuration files know it.
    pub(crate) fn address(self) -> (&'static str, u16) {
        match self {
            Self::Service => ("service", 8080),
            Self::ServiceAdmin => ("service", 9091),
            Self::Relay => ("relay", 8090),
            Self::RelayAdmin => ("relay", 8091),
            Self::Prometheus => ("prometheus", 9090),
            Self::Alertmanager => ("alertmanager", 9093),
            Self::Postgres => ("postgres", 5432),
            Self::Chat => ("chat", 8095),
        }
    }

    /// The variable that moves it.
    fn variable(self) -> &'static str {
        match self {
            Self::Service => "SERVICE_PORT",
            Self::ServiceAdmin => "SERVICE_ADMIN_PORT",
            Self::Relay => "RELAY_PORT",
            Self::RelayAdmin => "RELAY_ADMIN_PORT",
            Self::Prometheus => "PROMETHEUS_PORT",
            Self::Alertmanager => "ALERTMANAGER_PORT",
            Self::Postgres => "POSTGRES_PORT",
            Self::Chat => "CHAT_PORT",
        }
    }
}

/// The ports of `up`; 0 takes a free one.
#[derive(Args, Clone, Debug)]
pub(crate) struct Choice {
    #[arg(long, env = "SERVICE_PORT", default_value_t = 8080, hide_env_values = true)]
    service_port: u16,
    #[arg(long, env = "SERVICE_ADMIN_PORT", default_value_t = 9091, hide_env_values = true)]
    service_admin_port: u16,
    #[arg(long, env = "RELAY_PORT", default_value_t = 8090, hide_env_values = true)]
    relay_port: u16,
    #[arg(long, env = "RELAY_ADMIN_PORT", default_value_t = 8091, hide_env_values = true)]
    relay_admin_port: u16,
    #[arg(long, env = "PROMETHEUS_PORT", default_value_t = 9090, hide_env_values = true)]
    prometheus_port: u16,
    #[arg(long, env = "ALERTMANAGER_PORT", default_value_t = 9093, hide_env_values = true)]
    alertmanager_port: u16,
    #[arg(long, env = "POSTGRES_PORT", default_value_t = 5432, hide_env_values = true)]
    postgres_port: u16,
    #[arg(long, env = "CHAT_PORT", default_value_t = 8095, hide_env_values = true)]
    chat_port: u16,
    /// Free ports for everything, whatever the flags above say
    #[arg(long)]
    free_ports: bool,
}

impl Choice {
    fn port(&self, role: Role) -> u16 {
        if self.free_ports {
            return 0;
        }
        match role {
            Role::Service => self.service_port,
            Role::ServiceAdmin => self.service_admin_port,
            Role::Relay => self.relay_port,
            Role::RelayAdmin => self.relay_admin_port,
            Role::Prometheus => self.prometheus_port,
            Role::Alertmanager => self.alertmanager_port,
            Role::Postgres => self.postgres_port,
            Role::Chat => self.chat_port,
        }
    }
}

/// The ports of one stack, kept from every other as long as this lives.
#[derive(Debug)]
pub(crate) struct Ports {
    ports: BTreeMap<Role, u16>,
    _reserved: Vec<File>,
}

impl Ports {
    /// Free ones for all of `roles`.
    pub(crate) fn free(roles: &[Role]) -> anyhow::Result<Self> {
        Self::reserve(roles.iter().map(|role| (*role, 0)))
    }

    /// The chosen ones, or a sentence for each that is taken.
    pub(crate) fn chosen(choice: &Choice, roles: &[Role]) -> anyhow::Result<Self> {
        let wanted: Vec<_> = roles.iter().map(|role| (*role, choice.port(*role))).collect();
        let taken: Vec<String> = wanted
            .iter()
            .filter(|(_, port)| *port != 0 && !can_listen(*port))
            .map(|(role, port)| in_use(*role, *port))
            .collect();
        if !taken.is_empty() {
            bail!("{}", taken.join("\n"));
        }
        for (index, (role, port)) in wanted.iter().enumerate().filter(|(_, (_, port))| *port != 0) {
            if let Some((other, _)) = wanted.iter().skip(index + 1).find(|(_, other)| other == port) {
                bail!("{} and {} are both {port}: choose another for one", role.variable(), other.variable());
            }
        }
        Self::reserve(wanted.into_iter())
    }

    fn reserve(wanted: impl Iterator<Item = (Role, u16)>) -> anyhow::Result<Self> {
        let mut ports = BTreeMap::new();
        let mut reserved = Vec::new();
        for (role, port) in wanted {
            if port == 0 {
                let (free, lock) = free()?;
                ports.insert(role, free);
                reserved.push(lock);
            } else {
                ports.insert(role, port);
            }
        }
        Ok(Self { ports, _reserved: reserved })
    }

    pub(crate) fn get(&self, role: Role) -> u16 {
        self.ports.get(&role).copied().unwrap_or(role.address().1)
    }

    /// `127.0.0.1:<port>`.
    pub(crate) fn local(&self, role: Role) -> String {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.get(role))).to_string()
    }

    /// `http://127.0.0.1:<port>`.
    pub(crate) fn url(&self, role: Role) -> String {
        format!("http://{}", self.local(role))
    }
}

/// A port that nobody has, locked against the other stacks that start at this moment.
fn free() -> anyhow::Result<(u16, File)> {
    let folder = folder::shared()?.join("ports");
    std::fs::create_dir_all(&folder)?;
    for _ in 0..ATTEMPTS {
        let port = fastrand::u16(FREE);
        let file = File::options().create(true).append(true).open(folder.join(port.to_string()))?;
        match file.try_lock() {
            Ok(()) if can_listen(port) => return Ok((port, file)),
            Ok(()) | Err(TryLockError::WouldBlock) => (),
            Err(TryLockError::Error(error)) => return Err(error).context("no port could be reserved"),
        }
    }
    bail!("no free port found between {} and {}", FREE.start, FREE.end)
}

fn can_listen(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn in_use(role: Role, port: u16) -> String {
    let (name, _) = role.address();
    let who = listener::of(port)
        .unwrap_or_else(|| format!("a process of another user (`sudo ss -ltnp 'sport = :{port}'` names it)"));
    format!("port {port}, which {name} needs, is taken by {who}: stop that, or set {}=<another port>", role.variable())
}
