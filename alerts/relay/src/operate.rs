//! What the program can say about itself without serving.
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;

use crate::channel::{Channel, INBOX};
use crate::config::{Args, Config};

const PATIENCE: Duration = Duration::from_secs(3);

/// `relay check`: says what the configuration means.
pub fn describe(config: &Config) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout();
    writeln!(out, "The configuration is complete.")?;
    writeln!(out, "store    {}", config.data_dir.display())?;
    writeln!(out, "intake   http://{}", config.listen)?;
    let channels: Vec<_> = std::iter::once(INBOX).chain(config.channels.iter().map(Channel::name)).collect();
    writeln!(out, "channels {}", channels.join(", "))?;
    for warning in warnings(config) {
        writeln!(out, "warning  {warning}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What works, but not as one would wish.
pub(crate) fn warnings(config: &Config) -> Vec<&'static str> {
    let no_chat = "No chat is configured: only the inbox shows incidents.";
    let no_bypass = "The way around the relay reaches nobody: ESCALATION_URL_FILE is not set, or its file is empty.";
    let found = [(config.channels.is_empty(), no_chat), (!config.bypass, no_bypass)];
    found.into_iter().filter(|(wrong, _)| *wrong).map(|(_, text)| text).collect()
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
