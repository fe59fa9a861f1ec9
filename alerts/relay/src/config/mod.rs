//! All settings, from flags or the environment, and the files they point to.
mod args;
mod policy;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::CommandFactory as _;
use clap::error::ErrorKind;
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;

pub use args::{Args, Command};

use crate::channel::{Channel, PLATFORMS, Target};
use crate::message::Links;
use crate::policy::Policy;

/// A configuration that is complete and makes sense.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) admin_listen: SocketAddr,
    pub(crate) data_dir: PathBuf,
    pub(crate) token: SecretString,
    pub(crate) links: Links,
    pub(crate) channels: Vec<Channel>,
    pub(crate) policy: Policy,
    /// What in the policy is not as its author may think.
    pub(crate) doubts: Vec<String>,
    pub(crate) bypass: bool,
    pub(crate) prometheus: Option<Url>,
    pub(crate) alertmanager: Option<Url>,
    pub(crate) loki: Option<Url>,
    pub(crate) heartbeat: Option<SecretString>,
    pub(crate) heartbeat_patience: Duration,
    pub(crate) sign_in: Option<SecretString>,
    /// Whether the inbox can be reached from this machine only, so that nobody has to sign in.
    pub(crate) local: bool,
    /// For `observability::init`.
    pub telemetry: observability::Settings,
}

/// Why the configuration cannot be used: one sentence that begins with the variable's name.
#[derive(Debug, Error)]
#[error("{variable}: {reason}")]
pub struct ConfigError {
    variable: &'static str,
    reason: String,
}

impl ConfigError {
    /// Says it on standard error and ends the program with status 2.
    pub fn exit(&self) -> ! {
        Args::command().error(ErrorKind::ValueValidation, self).exit()
    }
}

impl Config {
    /// Checks the arguments and reads the files they name.
    pub fn load(args: &Args) -> Result<Self, ConfigError> {
        let data_dir =
            required("RELAY_DATA_DIR", &args.relay_data_dir, "name the folder where the relay keeps its store")?;
        let token = required(
            "RELAY_TOKEN_FILE",
            &args.relay_token_file,
            "name the file with the token that Alertmanager sends",
        )?;
        let (channels, policy, doubts) = policy::File::read(&args.relay_policy)?.apply(channels(args)?)?;
        let relay = public_url("PUBLIC_URL_RELAY", &args.public_url_relay)?;
        let loopback = args.relay_listen.ip().is_loopback() || relay.as_ref().is_some_and(crate::message::loopback);
        let loki = public_url("LOKI_URL", &args.loki_url)?;
        Ok(Self {
            local: loopback && args.telemetry.environment == "local",
            sign_in: secret("RELAY_SIGN_IN_TOKEN_FILE", &args.relay_sign_in_token_file)?,
            heartbeat: secret("HEARTBEAT_URL_FILE", &args.heartbeat_url_file)?,
            heartbeat_patience: args.relay_heartbeat_patience,
            prometheus: public_url("PROMETHEUS_URL", &args.prometheus_url)?,
            alertmanager: public_url("ALERTMANAGER_URL", &args.alertmanager_url)?,
            policy,
            doubts,
            listen: args.relay_listen,
            admin_listen: args.relay_admin_listen,
            data_dir: data_dir.into(),
            token: secret("RELAY_TOKEN_FILE", token)?
                .ok_or_else(|| refuse("RELAY_TOKEN_FILE", "the file is empty; put a long random token into it"))?,
            links: Links {
                relay,
                grafana: public_url("PUBLIC_URL_GRAFANA", &args.public_url_grafana)?,
                prometheus: public_url("PUBLIC_URL_PROMETHEUS", &args.public_url_prometheus)?,
                jaeger: public_url("PUBLIC_URL_JAEGER", &args.public_url_jaeger)?,
                loki: loki.is_some(),
            },
            loki,
            channels,
            bypass: secret("ESCALATION_URL_FILE", &args.escalation_url_file)?.is_some(),
            telemetry: args.telemetry.clone(),
        })
    }
}

fn channels(args: &Args) -> Result<Vec<Channel>, ConfigError> {
    let known = [
        ("slack", "SLACK_WEBHOOK_URL_FILE", &args.slack_webhook_url_file),
        ("mattermost", "MATTERMOST_WEBHOOK_URL_FILE", &args.mattermost_webhook_url_file),
        ("rocketchat", "ROCKETCHAT_WEBHOOK_URL_FILE", &args.rocketchat_webhook_url_file),
        ("discord", "DISCORD_WEBHOOK_URL_FILE", &args.discord_webhook_url_file),
        ("webhook", "WEBHOOK_URL_FILE", &args.webhook_url_file),
    ];
    let mut channels = Vec::new();
    for (name, variable, file) in known {
        let platform = PLATFORMS.iter().find(|platform| platform.name() == name);
        if let (Some(platform), Some(url)) = (platform, secret(variable, file)?) {
            // The text of the file is the credential, so the message must not quote it.
            let url = web_address(url.expose_secret())
                .ok_or_else(|| refuse(variable, "the file does not hold an http or https URL"))?;
            let target = Target { url, secret: None, to: String::new(), mention: String::new(), body: None };
            let per_minute = platform.per_minute();
            // Chats of one's own stand in one's own network; who wants to be strict uses the policy.
            channels.push(Channel {
                name,
                platform: *platform,
                target: target.into(),
                per_minute,
                allow_private: true,
                hook: false,
            });
        }
    }
    Ok(channels)
}

fn required<'a>(variable: &'static str, value: &'a str, advice: &str) -> Result<&'a str, ConfigError> {
    if value.is_empty() { Err(refuse(variable, format!("not set; {advice}"))) } else { Ok(value) }
}

fn secret(variable: &'static str, file: &str) -> Result<Option<SecretString>, ConfigError> {
    if file.is_empty() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(Path::new(file))
        .map_err(|error| refuse(variable, format!("cannot read {file}: {error}")))?;
    Ok(Some(text.trim()).filter(|text| !text.is_empty()).map(SecretString::from))
}

fn public_url(variable: &'static str, value: &str) -> Result<Option<Url>, ConfigError> {
    if value.is_empty() {
        return Ok(None);
    }
    web_address(value).map(Some).ok_or_else(|| {
        refuse(variable, format!("{value:?} is no http or https URL; leave it empty to leave its links out"))
    })
}

fn web_address(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

fn refuse(variable: &'static str, reason: impl Into<String>) -> ConfigError {
    ConfigError { variable, reason: reason.into() }
}
