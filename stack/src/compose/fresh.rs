//! A compose stack of its own: free ports, a project and image names that nobody else has, all gone afterwards.

use std::{
    process::{Command, Stdio, id},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::Context;
use serde_json::Value;

use super::{
    docker::{Project, docker},
    overrides::{Files, Overrides},
};
use crate::{
    binaries,
    ports::{Ports, Role},
};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// What docker-compose.yml publishes.
pub(crate) const PUBLISHED: [Role; 8] = [
    Role::Service,
    Role::Relay,
    Role::Grafana,
    Role::Prometheus,
    Role::Alertmanager,
    Role::Loki,
    Role::Jaeger,
    Role::CollectorHealth,
];
const GONE: [&str; 4] = ["down", "--volumes", "--remove-orphans", "--timeout=10"];

/// Goes away when dropped.
#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) project: Project,
    pub(super) files: Option<Files>,
    images: [String; 2],
    /// How long everything took to be healthy, the images being there.
    pub(super) healthy_after: Duration,
    removed: AtomicBool,
    _ports: Ports,
}

impl Fresh {
    pub(super) async fn start(overrides: Option<&Overrides>, say: &(dyn Fn(String) + Sync)) -> anyhow::Result<Self> {
        let name = format!("lookout-{}-{}", id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let ports = Ports::free(&PUBLISHED)?;
        let mut environment =
            vec![("COMPOSE_PROJECT_NAME".to_owned(), name.clone()), ("IMAGE_TAG".to_owned(), name.clone())];
        environment.push(("REVISION".to_owned(), binaries::revision().await));
        let files = overrides.map(Files::write).transpose()?;
        environment.extend(compose_file(without_grafana(say).await?, files.as_ref()));
        environment.extend(PUBLISHED.map(|role| (role.variable().to_owned(), ports.get(role).to_string())));
        environment.extend(nobody_else(&ports));
        let mut fresh = Self {
            project: Project { environment },
            files,
            images: ["service", "relay"].map(|image| format!("lookout/{image}:{name}")),
            healthy_after: Duration::ZERO,
            removed: AtomicBool::new(false),
            _ports: ports,
        };
        fresh.project.compose(&["build", "--quiet"]).await.context("the images do not build")?;
        let begun = Instant::now();
        fresh.project.compose(&["up", "--detach", "--wait", "--no-build", "--quiet-pull"]).await?;
        fresh.healthy_after = begun.elapsed();
        Ok(fresh)
    }

    pub(super) async fn remove(&self) -> anyhow::Result<()> {
        self.removed.store(true, Ordering::Relaxed);
        self.project.compose(&GONE).await?;
        docker(&["image", "rm", &self.images[0], &self.images[1]]).await?;
        Ok(())
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.removed.load(Ordering::Relaxed) {
            // Nobody is left to be told when this fails.
            let _ = self.project.command(&GONE).into_std().stderr(Stdio::null()).status();
            let _ = Command::new("docker").args(["image", "rm"]).args(&self.images).output();
        }
    }
}

/// The variables that take out Grafana, where its image can neither be found nor pulled.
pub async fn without_grafana(say: &(dyn Fn(String) + Sync)) -> anyhow::Result<Option<(String, String)>> {
    let config: Value = serde_json::from_str(&Project::default().compose(&["config", "--format", "json"]).await?)?;
    let Some(image) = config.pointer("/services/grafana/image").and_then(Value::as_str) else {
        return Ok(None);
    };
    if docker(&["image", "inspect", image]).await.is_ok() || docker(&["pull", "--quiet", image]).await.is_ok() {
        return Ok(None);
    }
    say(format!("Without Grafana: {image} is neither here nor can it be pulled. There are no dashboards."));
    Ok(Some(("COMPOSE_FILE".to_owned(), "docker-compose.yml:stack/without-grafana.yml".to_owned())))
}

/// The variable that names all files of the project, if it is not the usual one alone.
fn compose_file(without: Option<(String, String)>, files: Option<&Files>) -> Option<(String, String)> {
    let Some(files) = files else { return without };
    let before = without.map_or_else(|| "docker-compose.yml".to_owned(), |(_, before)| before);
    Some(("COMPOSE_FILE".to_owned(), format!("{before}:{}", files.path().display())))
}

/// What a person has set for a stack of their own must neither hear of this one nor be linked to by it.
fn nobody_else(ports: &Ports) -> impl Iterator<Item = (String, String)> {
    let silent = super::player::CHATS.into_iter().chain(["HEARTBEAT_URL"]).map(|name| (name.to_owned(), String::new()));
    let links = [
        ("PUBLIC_URL_RELAY", Role::Relay),
        ("PUBLIC_URL_GRAFANA", Role::Grafana),
        ("PUBLIC_URL_PROMETHEUS", Role::Prometheus),
        ("PUBLIC_URL_JAEGER", Role::Jaeger),
    ];
    silent.chain(links.map(|(name, role)| (name.to_owned(), ports.url(role))))
}
