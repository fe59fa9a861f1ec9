//! `relay` carries alerts to chat; `relay check`, `explain`, `selftest` and `health` help to operate it.
use std::process::ExitCode;

use clap::Parser as _;
use relay::{Args, Command, Config};

const SERVICE: observability::Service = observability::Service {
    name: "relay",
    version: env!("CARGO_PKG_VERSION"),
    revision: match option_env!("REVISION") {
        Some(revision) => revision,
        None => "unknown",
    },
};

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    if args.command == Some(Command::Health) {
        return relay::health(&args);
    }
    let config = Config::load(&args).unwrap_or_else(|error| error.exit());
    match &args.command {
        Some(Command::Check) => return relay::describe(&config),
        Some(Command::Explain { alert }) => return relay::explain(&config, alert),
        Some(Command::Selftest) => return relay::selftest(&config),
        _ => {}
    }
    let telemetry = observability::init(SERVICE, &config.telemetry, relay::METRICS)?;
    actix_web::rt::System::new()
        .block_on(relay::run(config, telemetry.report()))
        .inspect_err(|error| tracing::error!(error.cause = format!("{error:#}"), "relay stopped"))?;
    Ok(ExitCode::SUCCESS)
}
