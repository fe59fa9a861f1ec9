//! `check-alerts`: rules, routes and their tests, tried by the programs in use, and by those of Debian 12,
//! which are the oldest that must load them.

use tokio::process::Command;

use crate::{
    config::{Settings, repository},
    programs::{self, Found, Program},
    terminal::{complain, say},
};

pub(crate) async fn run() -> anyhow::Result<bool> {
    let settings = Settings::from_environment()?;
    let tell = |line: String| complain(&line);
    let prometheus = programs::find(&settings, Program::Prometheus, &tell).await?;
    let alertmanager = programs::find(&settings, Program::Alertmanager, &tell).await?;
    let passed = check(&prometheus, &alertmanager).await?;
    let debian = async {
        let prometheus = programs::cached(&settings, Program::Prometheus, Vec::new(), &tell).await?;
        anyhow::Ok((prometheus, programs::cached(&settings, Program::Alertmanager, Vec::new(), &tell).await?))
    };
    Ok(match debian.await {
        Ok((prometheus, alertmanager)) => check(&prometheus, &alertmanager).await? && passed,
        Err(error) if settings.requires_all() => return Err(error),
        Err(error) => {
            say(&format!("SKIPPED: needs Debian's Prometheus and Alertmanager ({error:#})"));
            passed
        }
    })
}

async fn check(prometheus: &Found, alertmanager: &Found) -> anyhow::Result<bool> {
    for (program, found) in [(Program::Prometheus, prometheus), (Program::Alertmanager, alertmanager)] {
        let (major, minor) = found.version;
        say(&format!("with {} {major}.{minor}", program.name()));
    }
    let status = Command::new(repository().join("alerts/check.sh"))
        .env("PROMTOOL", prometheus.path.with_file_name("promtool"))
        .env("AMTOOL", alertmanager.path.with_file_name("amtool"))
        .kill_on_drop(true)
        .status()
        .await?;
    Ok(status.success())
}
