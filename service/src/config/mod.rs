//! Everything that can be set, in one place. A flag wins over the environment, the environment over
//! `CONFIG_FILE`, the file over the default. Nothing else in this service reads the environment.

mod command;
mod load;
mod parse;
mod refusal;
pub mod show;
mod validate;

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use reqwest::Url;
use secrecy::SecretString;

use parse::{duration, origin, web_address};

pub use command::{Command, RunTimeSetting};
pub use load::{Invocation, Setting, load};
pub use refusal::Refusal;
pub use validate::Invalid;

/// Settings of the service, each with its environment variable.
#[derive(clap::Args, Clone, Debug)]
pub struct Config {
    /// Address of the public listener: the API.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Address of the admin listener: metrics, probes, log level. Never publish it.
    #[arg(long, env = "ADMIN_LISTEN", default_value = "127.0.0.1:9091")]
    pub admin_listen: SocketAddr,
    /// Postgres, as `postgres://user:password@host:5432/database`.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<SecretString>,
    /// A file that holds what `DATABASE_URL` would.
    #[arg(long, env = "DATABASE_URL_FILE")]
    pub database_url_file: Option<PathBuf>,
    /// The same with a role that may change the schema, for migrations. Unset: `DATABASE_URL` has to.
    #[arg(long, env = "DATABASE_MIGRATE_URL", hide_env_values = true)]
    pub database_migrate_url: Option<SecretString>,
    /// A file that holds what `DATABASE_MIGRATE_URL` would.
    #[arg(long, env = "DATABASE_MIGRATE_URL_FILE")]
    pub database_migrate_url_file: Option<PathBuf>,
    /// Connections the pool keeps at most.
    #[arg(long, env = "DATABASE_MAX_CONNECTIONS", default_value = "10",
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub database_max_connections: u32,
    /// How long a request waits for a connection of the pool.
    #[arg(long, env = "DATABASE_ACQUIRE_TIMEOUT", default_value = "2s", value_parser = duration)]
    pub database_acquire_timeout: Duration,
    /// Apply missing migrations at start; otherwise the start waits until `service migrate` has.
    #[arg(long, env = "MIGRATE", default_value = "false", action = clap::ArgAction::Set)]
    pub migrate: bool,
    /// The payments provider.
    #[arg(long, env = "PAYMENTS_URL", default_value = "http://127.0.0.1:8085", value_parser = web_address)]
    pub payments_url: Url,
    /// Longest time for one call to the payments provider; a call that fails is repeated once.
    #[arg(long, env = "PAYMENTS_TIMEOUT", default_value = "1s", value_parser = duration)]
    pub payments_timeout: Duration,
    /// When a payment without a verdict is tried again, in the background; doubles up to 5 minutes.
    #[arg(long, env = "PAYMENTS_RETRY", default_value = "10s", value_parser = duration)]
    pub payments_retry: Duration,
    /// Address of `service payments-stub`, which plays a payments provider. Never publish it.
    #[arg(long, env = "PAYMENTS_LISTEN", default_value = "127.0.0.1:8085")]
    pub payments_listen: SocketAddr,
    /// How callers of the API show who they are; `off` is refused in production.
    #[arg(long, env = "AUTH", default_value = "off")]
    pub auth: AuthMode,
    /// For `AUTH=hs256`: a file that holds the secret, of at least 32 bytes.
    #[arg(long, env = "AUTH_SECRET_FILE")]
    pub auth_secret_file: Option<PathBuf>,
    /// For `AUTH=jwks`: where the public keys are.
    #[arg(long, env = "AUTH_JWKS_URL", value_parser = web_address)]
    pub auth_jwks_url: Option<Url>,
    /// What a token's `iss` has to be. Unset: anything.
    #[arg(long, env = "AUTH_ISSUER")]
    pub auth_issuer: Option<String>,
    /// What a token's `aud` has to hold. Unset: anything.
    #[arg(long, env = "AUTH_AUDIENCE")]
    pub auth_audience: Option<String>,
    /// Requests a second that one client may send: a user, or an address without `AUTH`. 0: any number.
    #[arg(long, env = "RATE_LIMIT", default_value = "1000")]
    pub rate_limit: u32,
    /// Requests that are answered at a time; more get 503.
    #[arg(long, env = "CONCURRENCY_LIMIT", default_value = "256")]
    pub concurrency_limit: NonZeroUsize,
    /// Connections that clients may have open; more wait until one is closed. Keep it well below the number of
    /// files that this process may open.
    #[arg(long, env = "CONNECTION_LIMIT", default_value = "768")]
    pub connection_limit: NonZeroUsize,
    /// Origins of browser pages that may use the API, such as `https://shop.example`, by comma.
    #[arg(long, env = "CORS_ORIGINS", value_delimiter = ',', value_parser = origin)]
    pub cors_origins: Vec<String>,
    /// Longest time a request may take.
    #[arg(long, env = "REQUEST_TIMEOUT", default_value = "5s", value_parser = duration)]
    pub request_timeout: Duration,
    /// Largest body of a request, in bytes.
    #[arg(long, env = "BODY_LIMIT", default_value = "262144")]
    pub body_limit: usize,
    /// Time between not being ready and refusing connections; give a load balancer 5s.
    #[arg(long, env = "DRAIN_DELAY", default_value = "0s", value_parser = humantime::parse_duration)]
    pub drain_delay: Duration,
    /// Time that requests in flight get to finish when the service stops.
    #[arg(long, env = "SHUTDOWN_TIMEOUT", default_value = "6s", value_parser = duration)]
    pub shutdown_timeout: Duration,
    /// Whether `service admin fault` may break things; `on` is refused in production.
    #[arg(long, env = "FAULTS", default_value = "off", action = clap::ArgAction::Set,
          value_parser = clap::builder::BoolishValueParser::new())]
    pub faults: bool,
    /// Where people reach the relay's inbox, for the first page. Unset: no link, as with the next three.
    #[arg(long, env = "PUBLIC_URL_RELAY", value_parser = web_address)]
    pub public_url_relay: Option<Url>,
    /// Where people reach Grafana.
    #[arg(long, env = "PUBLIC_URL_GRAFANA", value_parser = web_address)]
    pub public_url_grafana: Option<Url>,
    /// Where people reach Prometheus.
    #[arg(long, env = "PUBLIC_URL_PROMETHEUS", value_parser = web_address)]
    pub public_url_prometheus: Option<Url>,
    /// Where people reach Jaeger.
    #[arg(long, env = "PUBLIC_URL_JAEGER", value_parser = web_address)]
    pub public_url_jaeger: Option<Url>,
    /// A file of `VARIABLE=value` lines; `service config --template` prints one.
    #[arg(long, env = CONFIG_FILE)]
    pub config_file: Option<PathBuf>,
    /// Telemetry.
    #[command(flatten)]
    pub telemetry: observability::Settings,
}

const CONFIG_FILE: &str = "CONFIG_FILE";

/// How callers show who they are.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    /// They do not.
    Off,
    /// A JWT signed with the secret in `AUTH_SECRET_FILE`.
    Hs256,
    /// A JWT signed with a key from `AUTH_JWKS_URL`.
    Jwks,
}
