//! Everything that can be set, in one place. A flag wins over the environment, the environment over
//! `CONFIG_FILE`, the file over the default. Nothing else in this service reads the environment.

mod load;
mod refusal;
pub mod show;

use std::{
    fs,
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    str::FromStr as _,
    time::Duration,
};

use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::PgConnectOptions;

use crate::{auth::Auth, payments::Payments};

pub use load::{Invocation, Setting, load};
pub use refusal::Refusal;

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
    /// Origins of browser pages that may use the API, by comma.
    #[arg(long, env = "CORS_ORIGINS", value_delimiter = ',')]
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

/// What the program is asked to do.
#[derive(clap::Subcommand, Clone, Debug)]
pub enum Command {
    /// Serves orders (the default).
    Serve,
    /// Brings the schema up to date and exits.
    Migrate,
    /// Prints the settings that hold, with secrets masked.
    Config {
        /// Prints a commented file with the defaults instead.
        #[arg(long)]
        template: bool,
    },
    /// Checks the settings without starting.
    Check,
    /// Plays a payments provider, to try things with.
    PaymentsStub,
    /// Asks the service that runs here whether it is ready; exits 1 if not.
    Health,
    /// Shows or changes a setting of the service that runs here, until its next start.
    Admin {
        /// Which one.
        #[command(subcommand)]
        setting: RunTimeSetting,
    },
}

/// What can be changed while the service runs.
#[derive(clap::Subcommand, Clone, Debug)]
pub enum RunTimeSetting {
    /// Which lines are written, as in `RUST_LOG`.
    LogLevel {
        /// For example `debug`, or `info,sqlx=debug`. Left out: shows what holds.
        directives: Option<String>,
    },
    /// How `service payments-stub` behaves.
    Payments {
        /// JSON: `latency_ms`, `error_rate` (0 to 1), `hang`, `reset`, `decline`. Left out: shows what holds.
        behaviour: Option<String>,
    },
    /// Share of new traces that is kept.
    Sampling {
        /// 0 to 1. Left out: shows what holds.
        ratio: Option<String>,
    },
}

/// A setting that makes no sense, with what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(String);

fn invalid<T>(message: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid(message.into()))
}

impl Config {
    /// Refuses settings that are missing, contradict each other, or point nowhere.
    pub fn validate(&self) -> Result<(), Invalid> {
        self.connect_options()?;
        self.auth()?;
        if self.listen == self.admin_listen && self.listen.port() != 0 {
            return invalid("ADMIN_LISTEN is the same as LISTEN: give it a port of its own");
        }
        if self.database_acquire_timeout >= self.request_timeout {
            return invalid(
                "DATABASE_ACQUIRE_TIMEOUT is not below REQUEST_TIMEOUT, so it would never be \
                 reached: lower the one or raise the other",
            );
        }
        if self.shutdown_timeout < self.request_timeout {
            return invalid(
                "SHUTDOWN_TIMEOUT is below REQUEST_TIMEOUT, so a stop would cut requests off: \
                 raise the one or lower the other",
            );
        }
        if Payments::patience(self.payments_timeout) >= self.request_timeout {
            return invalid(
                "PAYMENTS_TIMEOUT is too long for REQUEST_TIMEOUT, in which a call and its repetition \
                 have to fit: lower the one or raise the other",
            );
        }
        if self.payments_retry < self.request_timeout {
            return invalid(
                "PAYMENTS_RETRY is below REQUEST_TIMEOUT, so a payment could be tried twice at a time: \
                 raise the one or lower the other",
            );
        }
        if self.body_limit == 0 {
            return invalid("BODY_LIMIT is 0, so no order could be sent: leave it out or raise it");
        }
        Ok(())
    }

    /// Whether this is where real customers are.
    fn is_production(&self) -> bool {
        ["production", "prod"].iter().any(|name| self.telemetry.environment.eq_ignore_ascii_case(name))
    }

    /// How callers are told apart.
    pub fn auth(&self) -> Result<Auth, Invalid> {
        let (issuer, audience) = (self.auth_issuer.clone(), self.auth_audience.clone());
        match (self.auth, &self.auth_secret_file, &self.auth_jwks_url) {
            (AuthMode::Off, ..) if self.is_production() => {
                invalid("AUTH is off in a DEPLOYMENT_ENVIRONMENT that is production: set AUTH to hs256 or jwks")
            }
            (AuthMode::Off, None, None) => Ok(Auth::off()),
            (AuthMode::Hs256, Some(path), None) => {
                let secret = secret("AUTH_SECRET_FILE", path)?;
                if secret.expose_secret().len() < 32 {
                    return invalid("AUTH_SECRET_FILE holds less than 32 bytes: such a secret can be guessed");
                }
                Ok(Auth::secret(&secret, issuer, audience))
            }
            (AuthMode::Jwks, None, Some(url)) => match Auth::jwks(url.clone(), issuer, audience) {
                Ok(auth) => Ok(auth),
                Err(error) => invalid(format!("AUTH_JWKS_URL: no client for it can be made: {error}")),
            },
            _ => invalid(
                "AUTH, AUTH_SECRET_FILE and AUTH_JWKS_URL contradict each other: hs256 takes the file, \
                 jwks the URL, off neither",
            ),
        }
    }

    /// Where Postgres is, from `DATABASE_URL` or `DATABASE_URL_FILE`.
    pub fn connect_options(&self) -> Result<PgConnectOptions, Invalid> {
        let (variable, url) = match (&self.database_url, &self.database_url_file) {
            (Some(_), Some(_)) => {
                return invalid("DATABASE_URL and DATABASE_URL_FILE are both set: remove one");
            }
            (Some(url), None) => ("DATABASE_URL", url.clone()),
            (None, Some(path)) => ("DATABASE_URL_FILE", secret("DATABASE_URL_FILE", path)?),
            (None, None) => {
                return invalid(format!(
                    "DATABASE_URL is not set: give {EXAMPLE}, or name a file that holds it in \
                     DATABASE_URL_FILE"
                ));
            }
        };
        let url = url.expose_secret();
        let known = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
        // The error of the parser is left out: it may quote the password.
        match PgConnectOptions::from_str(url) {
            Ok(options) if known => Ok(options),
            _ => invalid(format!("{variable} is not the URL of a Postgres: give {EXAMPLE}")),
        }
    }
}

const EXAMPLE: &str = "one such as postgres://user:password@localhost:5432/orders";

fn secret(variable: &str, path: &Path) -> Result<SecretString, Invalid> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().into()),
        Err(error) => {
            let path = path.display();
            invalid(format!("{variable}: cannot read {path} ({error}): name a file this user may read"))
        }
    }
}

fn web_address(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if ["http", "https"].contains(&url.scheme()) => Ok(url),
        Ok(_) => Err("it has to begin with http:// or https://".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// A time that has to pass for anything to happen, such as `500ms` or `2s`.
fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration.is_zero() => Err("more than zero is needed".into()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}; write it as 500ms or 2s")),
    }
}
