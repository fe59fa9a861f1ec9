//! What no single value shows: settings that are missing, contradict each other, or point nowhere.

use std::{fs, path::Path, str::FromStr as _};

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::PgConnectOptions;

use super::{AuthMode, Config};
use crate::{
    auth::{Auth, Renewal},
    payments::Payments,
};

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
        self.migrate_options()?;
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
        self.agree_on_the_environment()?;
        if self.faults && self.is_production() {
            return invalid("FAULTS is on in a DEPLOYMENT_ENVIRONMENT that is production: set FAULTS to off");
        }
        if self.is_production() && cfg!(debug_assertions) {
            return invalid(
                "DEPLOYMENT_ENVIRONMENT is production, but this program is a debug build: deploy one that was \
                 built with --release",
            );
        }
        Ok(())
    }

    /// Many name the environment in the attributes, where nothing here looks for it.
    fn agree_on_the_environment(&self) -> Result<(), Invalid> {
        let attributes = self.telemetry.resource_attributes.as_deref().unwrap_or_default();
        let names = ["deployment.environment.name", "deployment.environment"];
        let pairs = attributes.split(',').filter_map(|pair| pair.split_once('='));
        let mut environments = pairs.filter(|(name, _)| names.contains(&name.trim())).map(|(_, value)| value.trim());
        match environments.find(|environment| *environment != self.telemetry.environment) {
            Some(environment) => invalid(format!(
                "OTEL_RESOURCE_ATTRIBUTES says that this is {environment}, and DEPLOYMENT_ENVIRONMENT that it is {}: \
                 say it in DEPLOYMENT_ENVIRONMENT",
                self.telemetry.environment
            )),
            None => Ok(()),
        }
    }

    /// Whether this is where real customers are.
    fn is_production(&self) -> bool {
        let mut words = self.telemetry.environment.split(|character: char| !character.is_alphanumeric());
        words.any(|word| ["production", "prod", "live"].iter().any(|name| word.eq_ignore_ascii_case(name)))
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
            (AuthMode::Jwks, None, Some(url)) => match Auth::jwks(url.clone(), Renewal::default(), issuer, audience) {
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
        let options = postgres("DATABASE_URL", self.database_url.as_ref(), self.database_url_file.as_deref())?;
        options.ok_or_else(|| {
            Invalid(format!(
                "DATABASE_URL is not set: give {EXAMPLE}, or name a file that holds it in DATABASE_URL_FILE"
            ))
        })
    }

    /// The role for migrations, from `DATABASE_MIGRATE_URL` or `DATABASE_MIGRATE_URL_FILE`, if there is one.
    pub fn migrate_options(&self) -> Result<Option<PgConnectOptions>, Invalid> {
        let (url, file) = (self.database_migrate_url.as_ref(), self.database_migrate_url_file.as_deref());
        postgres("DATABASE_MIGRATE_URL", url, file)
    }
}

fn postgres(
    variable: &str,
    url: Option<&SecretString>,
    file: Option<&Path>,
) -> Result<Option<PgConnectOptions>, Invalid> {
    let in_file = format!("{variable}_FILE");
    let (variable, url) = match (url, file) {
        (Some(_), Some(_)) => return invalid(format!("{variable} and {in_file} are both set: remove one")),
        (Some(url), None) => (variable, url.clone()),
        (None, Some(path)) => (in_file.as_str(), secret(&in_file, path)?),
        (None, None) => return Ok(None),
    };
    let url = url.expose_secret();
    let known = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
    // The error of the parser is left out: it may quote the password.
    match PgConnectOptions::from_str(url) {
        Ok(options) if known => Ok(Some(options)),
        _ => invalid(format!("{variable} is not the URL of a Postgres: give {EXAMPLE}")),
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
