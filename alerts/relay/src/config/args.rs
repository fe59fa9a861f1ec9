//! The settings as flags and variables.
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

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
    pub(super) relay_listen: SocketAddr,

    /// Where monitoring asks: /metrics and /health. Never publish it.
    #[arg(long, env = "RELAY_ADMIN_LISTEN", default_value = "127.0.0.1:8091")]
    pub(crate) relay_admin_listen: SocketAddr,

    /// The folder of the store; made when it is missing. Required.
    #[arg(long, env = "RELAY_DATA_DIR", default_value = "", hide_default_value = true)]
    pub(super) relay_data_dir: String,

    /// File with the bearer token that Alertmanager sends. Required.
    #[arg(long, env = "RELAY_TOKEN_FILE", default_value = "", hide_default_value = true)]
    pub(super) relay_token_file: String,

    /// The relay's own address as people open it: links to incidents and runbooks.
    #[arg(long, env = "PUBLIC_URL_RELAY", default_value = "", hide_default_value = true)]
    pub(super) public_url_relay: String,

    /// Grafana's address as people open it: links to the alert's panel.
    #[arg(long, env = "PUBLIC_URL_GRAFANA", default_value = "", hide_default_value = true)]
    pub(super) public_url_grafana: String,

    /// Prometheus' address as people open it: links to the alert's graph, where there is no Grafana.
    #[arg(long, env = "PUBLIC_URL_PROMETHEUS", default_value = "", hide_default_value = true)]
    pub(super) public_url_prometheus: String,

    /// Jaeger's address as people open it: links to failing traces.
    #[arg(long, env = "PUBLIC_URL_JAEGER", default_value = "", hide_default_value = true)]
    pub(super) public_url_jaeger: String,

    /// File with the URL of a Slack incoming webhook.
    #[arg(long, env = "SLACK_WEBHOOK_URL_FILE", default_value = "", hide_default_value = true)]
    pub(super) slack_webhook_url_file: String,

    /// File with the URL of a Mattermost incoming webhook.
    #[arg(long, env = "MATTERMOST_WEBHOOK_URL_FILE", default_value = "", hide_default_value = true)]
    pub(super) mattermost_webhook_url_file: String,

    /// File with the URL of a Rocket.Chat incoming integration.
    #[arg(long, env = "ROCKETCHAT_WEBHOOK_URL_FILE", default_value = "", hide_default_value = true)]
    pub(super) rocketchat_webhook_url_file: String,

    /// File with the URL of a Discord webhook, with or without its `/slack`.
    #[arg(long, env = "DISCORD_WEBHOOK_URL_FILE", default_value = "", hide_default_value = true)]
    pub(super) discord_webhook_url_file: String,

    /// File with the URL of anything that takes a JSON object and answers 2xx.
    #[arg(long, env = "WEBHOOK_URL_FILE", default_value = "", hide_default_value = true)]
    pub(super) webhook_url_file: String,

    /// File with the URL that Alertmanager uses when the relay itself fails. Only read to warn when there is none.
    #[arg(long, env = "ESCALATION_URL_FILE", default_value = "", hide_default_value = true)]
    pub(super) escalation_url_file: String,

    /// File that says who hears what, and sets up further channels. Without one, every chat hears everything.
    #[arg(long, env = "RELAY_POLICY", default_value = "", hide_default_value = true)]
    pub(super) relay_policy: String,

    /// Where the relay asks Prometheus whether what ended has ended. Empty: it believes what it is told.
    #[arg(long, env = "PROMETHEUS_URL", default_value = "", hide_default_value = true)]
    pub(super) prometheus_url: String,

    /// Where the relay asks Alertmanager for what it has missed.
    #[arg(long, env = "ALERTMANAGER_URL", default_value = "", hide_default_value = true)]
    pub(super) alertmanager_url: String,

    /// Where the relay reads an incident's log lines.
    #[arg(long, env = "LOKI_URL", default_value = "", hide_default_value = true)]
    pub(super) loki_url: String,

    /// File with a URL that is asked every minute while the relay works: who hears nothing any more knows it is dead.
    #[arg(long, env = "HEARTBEAT_URL_FILE", default_value = "", hide_default_value = true)]
    pub(super) heartbeat_url_file: String,

    /// Without a heartbeat for this long, monitoring counts as silent. Three of its beats are a good choice.
    #[arg(long, env = "RELAY_HEARTBEAT_PATIENCE", default_value = "45s", value_parser = humantime::parse_duration)]
    pub(super) relay_heartbeat_patience: Duration,

    /// File with the token that opens the inbox. Needed unless it can be reached from this machine only.
    #[arg(long, env = "RELAY_SIGN_IN_TOKEN_FILE", default_value = "", hide_default_value = true)]
    pub(super) relay_sign_in_token_file: String,

    #[command(flatten)]
    pub(super) telemetry: observability::Settings,
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
