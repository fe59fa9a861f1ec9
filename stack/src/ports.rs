//! Which port each part listens on: the well-known ones for the stack that is up, free ones for every other.

use std::{
    collections::BTreeMap,
    fs::{File, TryLockError},
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use anyhow::{Context, bail};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};

use crate::{folder, listener};

/// Below the range from which the kernel gives ports to outgoing connections: a component that
/// was killed finds its port still free.
const FREE: std::ops::Range<u16> = 12_000..32_000;
const ATTEMPTS: usize = 1_000;
const FREE_PORTS: &str = "free-ports";

/// One listener of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    // The core comes first, up to chat.
    Service,
    ServiceAdmin,
    Relay,
    RelayAdmin,
    Prometheus,
    Alertmanager,
    Postgres,
    PaymentsStub,
    Chat,
    Loki,
    LokiGrpc,
    Jaeger,
    JaegerGrpc,
    JaegerOtlp,
    JaegerHealth,
    JaegerMetrics,
    CollectorOtlp,
    CollectorHealth,
    CollectorMetrics,
    CollectorSpanMetrics,
    PostgresExporter,
    Load,
    Grafana,
}

impl Role {
    pub(crate) const ALL: [Self; 23] = [
        Self::Service,
        Self::ServiceAdmin,
        Self::Relay,
        Self::RelayAdmin,
        Self::Prometheus,
        Self::Alertmanager,
        Self::Postgres,
        Self::PaymentsStub,
        Self::Chat,
        Self::Loki,
        Self::LokiGrpc,
        Self::Jaeger,
        Self::JaegerGrpc,
        Self::JaegerOtlp,
        Self::JaegerHealth,
        Self::JaegerMetrics,
        Self::CollectorOtlp,
        Self::CollectorHealth,
        Self::CollectorMetrics,
        Self::CollectorSpanMetrics,
        Self::PostgresExporter,
        Self::Load,
        Self::Grafana,
    ];

    /// The part that listens and its usual port, as the configuration files know them; the flag and the variable that move it.
    pub(crate) const fn row(self) -> (&'static str, u16, &'static str, &'static str) {
        match self {
            Self::Service => ("service", 8080, "service-port", "SERVICE_PORT"),
            Self::ServiceAdmin => ("service", 9091, "service-admin-port", "SERVICE_ADMIN_PORT"),
            Self::Relay => ("relay", 8090, "relay-port", "RELAY_PORT"),
            Self::RelayAdmin => ("relay", 8091, "relay-admin-port", "RELAY_ADMIN_PORT"),
            Self::Prometheus => ("prometheus", 9090, "prometheus-port", "PROMETHEUS_PORT"),
            Self::Alertmanager => ("alertmanager", 9093, "alertmanager-port", "ALERTMANAGER_PORT"),
            Self::Postgres => ("postgres", 5432, "postgres-port", "POSTGRES_PORT"),
            Self::PaymentsStub => ("payments-stub", 8085, "payments-stub-port", "PAYMENTS_STUB_PORT"),
            Self::Chat => ("chat", 8095, "chat-port", "CHAT_PORT"),
            Self::Loki => ("loki", 3100, "loki-port", "LOKI_PORT"),
            Self::LokiGrpc => ("loki", 9096, "loki-grpc-port", "LOKI_GRPC_PORT"),
            Self::Jaeger => ("jaeger", 16686, "jaeger-port", "JAEGER_PORT"),
            Self::JaegerGrpc => ("jaeger", 16685, "jaeger-grpc-port", "JAEGER_GRPC_PORT"),
            Self::JaegerOtlp => ("jaeger", 14318, "jaeger-otlp-port", "JAEGER_OTLP_PORT"),
            Self::JaegerHealth => ("jaeger", 13134, "jaeger-health-port", "JAEGER_HEALTH_PORT"),
            Self::JaegerMetrics => ("jaeger", 8887, "jaeger-metrics-port", "JAEGER_METRICS_PORT"),
            Self::CollectorOtlp => ("otel-collector", 4318, "collector-otlp-port", "COLLECTOR_OTLP_PORT"),
            Self::CollectorHealth => ("otel-collector", 13133, "collector-health-port", "COLLECTOR_HEALTH_PORT"),
            Self::CollectorMetrics => ("otel-collector", 8888, "collector-metrics-port", "COLLECTOR_METRICS_PORT"),
            Self::CollectorSpanMetrics => {
                ("otel-collector", 8889, "collector-span-metrics-port", "COLLECTOR_SPAN_METRICS_PORT")
            }
            Self::PostgresExporter => ("postgres-exporter", 9187, "postgres-exporter-port", "POSTGRES_EXPORTER_PORT"),
            Self::Load => ("load", 6565, "load-port", "LOAD_PORT"),
            Self::Grafana => ("grafana", 3000, "grafana-port", "GRAFANA_PORT"),
        }
    }

    /// Whether every run has it.
    pub(crate) fn is_core(self) -> bool {
        self <= Self::Chat
    }

    /// The part that listens there.
    pub(crate) fn host(self) -> &'static str {
        self.row().0
    }

    /// The variable that moves it, here and in the configuration files.
    pub(crate) fn variable(self) -> &'static str {
        self.row().3
    }
}

/// The ports of `up`; 0 takes a free one.
#[derive(Clone, Debug)]
pub(crate) struct Choice(BTreeMap<Role, u16>);

impl Args for Choice {
    fn augment_args(command: Command) -> Command {
        let ports = Role::ALL.map(|role| {
            let (_, _, flag, variable) = role.row();
            Arg::new(flag).long(flag).env(variable).value_parser(value_parser!(u16)).hide_env_values(true)
        });
        let free = Arg::new(FREE_PORTS).long(FREE_PORTS).action(ArgAction::SetTrue);
        command.args(ports).arg(free.help("Free ports for everything, whatever the flags above say"))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Choice {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let all_free = matches.get_flag(FREE_PORTS);
        let port = |role: Role| {
            let (_, usual, flag, _) = role.row();
            if all_free { 0 } else { matches.get_one(flag).copied().unwrap_or(usual) }
        };
        Ok(Self(Role::ALL.map(|role| (role, port(role))).into()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
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
        let wanted: Vec<_> =
            roles.iter().map(|role| (*role, choice.0.get(role).copied().unwrap_or_default())).collect();
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

    /// The wanted ones as they are, and a free one for each that is 0.
    pub(crate) fn reserve(wanted: impl Iterator<Item = (Role, u16)>) -> anyhow::Result<Self> {
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
        self.ports.get(&role).copied().unwrap_or(role.row().1)
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
    let name = role.host();
    let who = listener::of(port)
        .unwrap_or_else(|| format!("a process of another user (`sudo ss -ltnp 'sport = :{port}'` names it)"));
    format!("port {port}, which {name} needs, is taken by {who}: stop that, or set {}=<another port>", role.variable())
}
