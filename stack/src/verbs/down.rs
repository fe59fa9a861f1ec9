//! `down`: stops what is up, or what a killed runner left behind.

use std::process::ExitCode;

use tokio::time::Instant;

use crate::{config::Settings, control, stack, terminal::say};

pub(crate) async fn run() -> anyhow::Result<ExitCode> {
    let settings = Settings::from_environment()?;
    let folder = settings.state();
    let begun = Instant::now();
    let stopped = control::stop(&folder).await?;
    if stopped {
        say(&format!("Stopped in {:.1} s.", begun.elapsed().as_secs_f64()));
    }
    let cleaned = stack::clean_up(&settings, true, &|line| say(&line)).await?;
    if !stopped && !cleaned {
        say("Nothing was running.");
    }
    Ok(ExitCode::SUCCESS)
}
