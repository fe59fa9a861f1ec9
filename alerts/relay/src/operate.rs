//! What the program can say about itself without serving.
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;

use crate::alertmanager::Pairs;
use crate::channel::{INBOX, Sender, Verdict};
use crate::config::{Args, Config};
use crate::incident::Subject;
use crate::message::Message;

const PATIENCE: Duration = Duration::from_secs(3);

/// `relay check`: says what the configuration means.
pub fn describe(config: &Config) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout();
    writeln!(out, "The configuration is complete.")?;
    writeln!(out, "store    {}", config.data_dir.display())?;
    writeln!(out, "intake   http://{}", config.listen)?;
    let channels: Vec<_> = std::iter::once(INBOX).chain(config.channels.iter().map(|channel| channel.name)).collect();
    writeln!(out, "channels {}", channels.join(", "))?;
    for warning in warnings(config) {
        writeln!(out, "warning  {warning}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What works, but not as one would wish.
pub(crate) fn warnings(config: &Config) -> Vec<String> {
    let no_chat = "No chat is configured: only the inbox shows incidents.";
    let no_bypass = "The way around the relay reaches nobody: ESCALATION_URL_FILE is not set, or its file is empty.";
    let no_door = "The inbox is closed: it can be reached from other machines, so RELAY_SIGN_IN_TOKEN_FILE is needed.";
    let found = [
        (config.channels.is_empty(), no_chat),
        (!config.bypass, no_bypass),
        (!config.local && config.sign_in.is_none(), no_door),
    ];
    let found = found.into_iter().filter(|(wrong, _)| *wrong).map(|(_, text)| text.to_owned());
    found.chain(config.doubts.iter().cloned()).collect()
}

/// `relay explain`: who would be told of an alert, when and why.
pub fn explain(config: &Config, file: &Path) -> anyhow::Result<ExitCode> {
    #[derive(serde::Deserialize)]
    struct Alert {
        labels: Pairs,
    }
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum File {
        Notification { alerts: Vec<Alert> },
        Alert(Alert),
    }
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let file = serde_json::from_str(&text)
        .context("neither an alert, an object with labels, nor a notification, an object with alerts")?;
    let alerts = match file {
        File::Notification { alerts } => alerts,
        File::Alert(alert) => vec![alert],
    };
    for alert in alerts {
        let name = alert.labels.get("alertname").map_or("an alert without a name", String::as_str);
        writeln!(std::io::stdout(), "{name}\n{}", config.policy.explain(&alert.labels))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `relay selftest`: sends a marked message to every chat.
pub fn selftest(config: &Config) -> anyhow::Result<ExitCode> {
    let (sender, _) = Sender::new()?;
    actix_web::rt::System::new().block_on(async {
        let mut failed = false;
        for channel in &config.channels {
            let (verdict, _) = sender.send(channel, &Message::sample(Subject::Test), false, None).await;
            failed |= verdict != Verdict::Accepted;
            let said = match verdict {
                Verdict::Accepted => "accepted".to_owned(),
                Verdict::Later { why, .. } => format!("not accepted: {why}"),
                Verdict::MessageRefused { why } => format!("the message was refused: {why}"),
                Verdict::ChannelBroken { why } => format!("broken: {why}"),
            };
            writeln!(std::io::stdout(), "{:<12} {said}", channel.name)?;
        }
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    })
}

/// `relay health`: asks the relay on this machine whether it is ready.
pub fn health(args: &Args) -> anyhow::Result<ExitCode> {
    let mut address: SocketAddr = args.relay_admin_listen;
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    actix_web::rt::System::new().block_on(async {
        let client = observability::client::builder().no_proxy().tls_certs_only([]).timeout(PATIENCE).build()?;
        let answer = client.get(format!("http://{address}/health/ready")).send().await;
        let answer = answer
            .with_context(|| format!("no relay answers at {address}; RELAY_ADMIN_LISTEN says where it listens"))?;
        let (ready, text) = (answer.status().is_success(), answer.text().await?);
        write!(std::io::stdout(), "{text}")?;
        Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}
