//! All settings, from flags or the environment, and the files they point to.
mod policy;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;

use crate::channel::{Channel, PLATFORMS, Target};
use crate::message::Links;
use crate::policy::Policy;

/// Carries alerts from Alertmanager to chat, and loses none.
///
/// Files hold what is secret: one line each. An empty file, like an empty variable, means "not used".
#[derive(Clone, Debug, Parser)]
#[command(name = "relay", version)]
pub struct Args {
    /// What to do; serves when left out.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Where Alertmanager delivers and people read: intake, inbox, runbooks.
    #[arg(long, env = "RELAY_LISTEN", default_value = "127.0.0.1:8090")]
    relay_listen: SocketAddr,

    /// Where monitoring asks: /metrics and /health. Never publish it.
    #[arg(long, env = "RELAY_ADMIN_LISTEN", default_value = "127.0.0.1:8091")]
    pub(crate) relay_admin_listen: SocketAddr,

    /// The folder of the store; made when it is missing. Required.
    #[arg(long, env = "RELAY_DATA_DIR", default_value = "", hide_default_value = true)]
    relay_data_dir: String,

    /// File with the bearer token that Alertmanager sends. Required.
    #[arg(long, env = "RELAY_TOKEN_FILE", default_value = "", hide_default_value = true)]
    relay_token_file: String,

    /// The relay's own address as people open it: links to incidents and runbooks.
    #[arg(long, env = "PUBLIC_URL_RELAY", default_value = "", hide_default_value = true)]
    public_url_relay: String,

    /// Prometheus' address as people open it: links to the alert's graph.
    #[arg(long, env = "PUBLIC_URL_PROMETHEUS", default_value = "", hide_default_value = true)]
    public_url_prometheus: String,

    /// Jaeger's address as people open it: links to failing traces.
    #[arg(long, env = "PUBLIC_URL_JAEGER", default_value = "", hide_default_value = true)]
    public_url_jaeger: String,

    /// File with the URL of a Slack incoming webhook.
    #[arg(long, env = "SLACK_WEBHOOK_URL_FILE", default_value = "", hide_default_value = true)]
    slack_webhook_url_file: String,

    /// File with the URL of a Mattermost incoming webhook.
    #[arg(long, env = "MATTERMOST_WEBHOOK_URL_FILE", default_value = "", hide_default_value = true)]
    mattermost_webhook_url_file: String,

    /// File with the URL of a Rocket.Chat incoming integration.
    #[arg(long, env = "ROCKETCHAT_WEBHOOK_URL_FILE", default_value = "", hide_default_value = true)]
    rocketchat_webhook_url_file: String,

    /// File with the URL of a Discord webhook, with or without its `/slack`.
    #[arg(long, env = "DISCORD_WEBHOOK_URL_FILE", default_value = "", hide_default_value = true)]
    discord_webhook_url_file: String,

    /// File with the URL of anything that takes a JSON object and answers 2xx.
    #[arg(long, env = "WEBHOOK_URL_FILE", default_value = "", hide_default_value = true)]
    webhook_url_file: String,

    /// File with the URL that Alertmanager uses when the relay itself fails. Only read to warn when there is none.
    #[arg(long, env = "ESCALATION_URL_FILE", default_value = "", hide_default_value = true)]
    escalation_url_file: String,

    /// File that says who hears what, and sets up further channels. Without one, every chat hears everything.
    #[arg(long, env = "RELAY_POLICY", default_value = "", hide_default_value = true)]
    relay_policy: String,

    /// Where the relay asks Prometheus whether what ended has ended. Empty: it believes what it is told.
    #[arg(long, env = "PROMETHEUS_URL", default_value = "", hide_default_value = true)]
    prometheus_url: String,

    /// Where the relay asks Alertmanager for what it has missed.
    #[arg(long, env = "ALERTMANAGER_URL", default_value = "", hide_default_value = true)]
    alertmanager_url: String,

    /// Where the relay reads an incident's log lines.
    #[arg(long, env = "LOKI_URL", default_value = "", hide_default_value = true)]
    loki_url: String,

    /// File with a URL that is asked every minute while the relay works: who hears nothing any more knows it is dead.
    #[arg(long, env = "HEARTBEAT_URL_FILE", default_value = "", hide_default_value = true)]
    heartbeat_url_file: String,

    /// File with the token that opens the inbox. Needed unless it can be reached from this machine only.
    #[arg(long, env = "RELAY_SIGN_IN_TOKEN_FILE", default_value = "", hide_default_value = true)]
    relay_sign_in_token_file: String,

    #[command(flatten)]
    telemetry: observability::Settings,
}

/// What the program can do besides serving.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Receives alerts and delivers them (the default).
    Serve,
    /// Checks the configuration, says what it means, and ends.
    Check,
    /// Asks the relay on this machine whether it is ready; for container probes.
    Health,
    /// Says who would be told of an alert, when and why.
    Explain {
        /// A JSON file with the alert, or with a notification as Alertmanager sends it.
        #[arg(long)]
        alert: PathBuf,
    },
    /// Sends a marked message to every chat and says what it answered.
    Selftest,
}

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
        Ok(Self {
            local: loopback && args.telemetry.environment == "local",
            sign_in: secret("RELAY_SIGN_IN_TOKEN_FILE", &args.relay_sign_in_token_file)?,
            heartbeat: secret("HEARTBEAT_URL_FILE", &args.heartbeat_url_file)?,
            prometheus: public_url("PROMETHEUS_URL", &args.prometheus_url)?,
            alertmanager: public_url("ALERTMANAGER_URL", &args.alertmanager_url)?,
            loki: public_url("LOKI_URL", &args.loki_url)?,
            policy,
            doubts,
            listen: args.relay_listen,
            admin_listen: args.relay_admin_listen,
            data_dir: data_dir.into(),
            token: secret("RELAY_TOKEN_FILE", token)?
                .ok_or_else(|| refuse("RELAY_TOKEN_FILE", "the file is empty; put a long random token into it"))?,
            links: Links {
                relay,
                prometheus: public_url("PUBLIC_URL_PROMETHEUS", &args.public_url_prometheus)?,
                jaeger: public_url("PUBLIC_URL_JAEGER", &args.public_url_jaeger)?,
            },
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
