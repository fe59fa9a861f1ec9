//! `doctor`: which part is unhealthy, since when, its last error, and what to do.

use std::{fs, process::ExitCode};

use chrono::{DateTime, Local, Utc};

use crate::{
    compose::doctor::{self, Containers},
    config::Settings,
    handle::ComponentStatus,
    ledger,
    terminal::say,
};

pub(crate) async fn run() -> anyhow::Result<ExitCode> {
    let settings = Settings::from_environment()?;
    let folder = settings.state();
    let left = ledger::left(&folder);
    if !left.is_empty() {
        say(&format!(
            "The runner was killed, and these still run: {}.\nWhat to do: `make down` stops them, `make up` starts anew.",
            left.join(", ")
        ));
        return Ok(ExitCode::FAILURE);
    }
    let Containers { parts: status, escalates } = look(&settings).await?;
    let now = Utc::now();
    for component in &status {
        say(&describe(component, now));
    }
    if !escalates {
        say("The bypass reaches nobody: set ESCALATION_URL to hear of alerts that the relay could not deliver.");
    }
    let healthy = status.iter().all(|component| component.healthy);
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The stack that is up, of either kind.
async fn look(settings: &Settings) -> anyhow::Result<Containers> {
    let running = crate::running().await;
    if running.is_err()
        && !settings.ignores_docker()
        && let Some(containers) = doctor::look().await
    {
        return Ok(containers);
    }
    let url = fs::read_to_string(settings.state().join("secrets/escalation_url"));
    Ok(Containers { parts: running?.status().await?, escalates: !url.is_ok_and(|url| url.is_empty()) })
}

fn describe(component: &ComponentStatus, now: DateTime<Utc>) -> String {
    let ComponentStatus { name, healthy, since, restarts, trouble, last_error, log, advice, .. } = component;
    let verdict = if *healthy { "healthy" } else { "UNHEALTHY" };
    let clock = since.with_timezone(&Local).format("%H:%M:%S");
    let times = if *restarts > 0 { format!(", restarted {restarts} times") } else { String::new() };
    let mut lines = vec![format!("{name:<17} {verdict:<9} since {clock} ({}){times}", ago(now - since))];
    if let Some(trouble) = trouble {
        lines.push(format!("    trouble:    {trouble}"));
        lines.push(format!("    last error: {}", last_error.as_deref().unwrap_or("none in its log")));
        lines.push(format!("    log:        {log}"));
        lines.push(format!("    what to do: {advice}"));
    }
    lines.join("\n")
}

fn ago(time: chrono::Duration) -> String {
    match time.num_seconds() {
        seconds @ ..120 => format!("{} s", seconds.max(0)),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handle::Condition;

    #[test]
    fn an_unhealthy_part_is_described_with_what_to_do() {
        let now = Utc::now();
        let text = describe(
            &ComponentStatus {
                name: "postgres".to_owned(),
                condition: Condition::Down,
                healthy: false,
                since: now - chrono::Duration::seconds(12),
                pid: None,
                restarts: 0,
                trouble: Some("was killed".to_owned()),
                last_error: Some("FATAL: the database system is shutting down".to_owned()),
                log: "/state/logs/postgres.log".to_owned(),
                advice: "see its log".to_owned(),
            },
            now,
        );

        for part in ["UNHEALTHY", "(12 s)", "was killed", "FATAL", "/state/logs/postgres.log", "see its log"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn time_is_told_in_the_unit_a_person_would_use() {
        assert_eq!(ago(chrono::Duration::seconds(7)), "7 s");
        assert_eq!(ago(chrono::Duration::seconds(600)), "10 min");
        assert_eq!(ago(chrono::Duration::hours(5)), "5 h");
    }
}
