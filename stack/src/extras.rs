//! The parts that join when their program is found, and what is missed without them: the one place that says so.

use anyhow::bail;
use futures_util::future::join_all;

use crate::{
    component::{Component, collector, jaeger, load, loki, postgres_exporter},
    config::Settings,
    folder::Folder,
    ports::Ports,
    programs::{self, Found, Program},
};

/// The program, the part that it is, and what a run lacks without it.
const EXTRAS: [(Program, &str, &str); 5] = [
    (Program::Loki, "loki", "no search in lines"),
    (Program::Jaeger, "jaeger", "no traces to open"),
    (Program::Collector, "otel-collector", "neither lines nor spans are collected"),
    (Program::PostgresExporter, "postgres-exporter", "no figures from inside Postgres"),
    (Program::K6, "load", "no light traffic"),
];

/// What this machine has of them.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    pub(crate) found: Vec<(&'static str, Program, Found)>,
    /// A sentence for each that is missing.
    pub(crate) missed: Vec<String>,
    missing: Vec<&'static str>,
}

impl Extras {
    pub(crate) async fn find(settings: &Settings) -> Self {
        let mut extras = Self::default();
        let answers = EXTRAS.map(|(program, ..)| programs::present(settings, program));
        for ((program, part, without), answer) in EXTRAS.into_iter().zip(join_all(answers).await) {
            match answer {
                Ok(found) => extras.found.push((part, program, found)),
                Err(refused) => {
                    extras.missing.push(part);
                    let refused =
                        if refused.is_empty() { refused.concat() } else { format!(" ({})", refused.join("; ")) };
                    extras.missed.push(format!("Without {}: {without}.{refused}", program.name()));
                }
            }
        }
        if !extras.missing.is_empty() {
            extras.missed.push(
                "They come with Docker (`make up DOCKER=1`), or lie on PATH, or in the folder STACK_BIN.".to_owned(),
            );
        }
        extras.missed.push("Without Grafana, which comes with Docker only: no dashboards.".to_owned());
        extras
    }

    pub(crate) fn has(&self, part: &str) -> bool {
        self.found.iter().any(|(found, ..)| *found == part)
    }

    /// `more` is environment for the collector.
    pub(crate) fn components(
        &self,
        folder: &Folder,
        ports: &Ports,
        more: &[(String, String)],
    ) -> anyhow::Result<Vec<Component>> {
        let component = |(_, program, found): &(_, Program, Found)| match program {
            Program::Loki => loki(found, folder, ports),
            Program::Jaeger => jaeger(found, folder, ports),
            Program::Collector => collector(found, folder, ports, more),
            Program::PostgresExporter => Ok(postgres_exporter(found, folder, ports)),
            _ => Ok(load(found, folder, ports)),
        };
        self.found.iter().map(component).collect()
    }
}

/// The optional parts that this machine lacks; an error when `STACK_REQUIRE` is `all` and there are any.
pub async fn missing() -> anyhow::Result<Vec<&'static str>> {
    let settings = Settings::from_environment()?;
    let missing = Extras::find(&settings).await.missing;
    if settings.requires_all() && !missing.is_empty() {
        bail!("STACK_REQUIRE is all, and these are missing: {}", missing.join(", "));
    }
    Ok(missing)
}
