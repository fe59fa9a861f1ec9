//! The relay: carries alerts to chat, keeps the inbox.

use std::{ffi::OsString, path::Path};

use super::{Component, Launch, Probe};
use crate::{
    folder::Folder,
    ports::{Ports, Role},
};

/// The files that name its chats.
pub(crate) const CHATS: [&str; 5] = [
    "SLACK_WEBHOOK_URL_FILE",
    "MATTERMOST_WEBHOOK_URL_FILE",
    "ROCKETCHAT_WEBHOOK_URL_FILE",
    "DISCORD_WEBHOOK_URL_FILE",
    "WEBHOOK_URL_FILE",
];

pub(crate) fn relay(
    program: &Path,
    folder: &Folder,
    ports: &Ports,
    unset: Vec<&'static str>,
    more: &[(String, OsString)],
) -> anyhow::Result<Component> {
    let secrets = folder.path().join("secrets");
    let mut set: Vec<(String, OsString)> = vec![
        ("RELAY_LISTEN".to_owned(), ports.local(Role::Relay).into()),
        ("RELAY_ADMIN_LISTEN".to_owned(), ports.local(Role::RelayAdmin).into()),
        ("RELAY_DATA_DIR".to_owned(), folder.data("relay")?.into()),
        ("RELAY_TOKEN_FILE".to_owned(), secrets.join("relay_token").into()),
        ("ESCALATION_URL_FILE".to_owned(), secrets.join("escalation_url").into()),
        ("PROMETHEUS_URL".to_owned(), ports.url(Role::Prometheus).into()),
        ("ALERTMANAGER_URL".to_owned(), ports.url(Role::Alertmanager).into()),
        ("DEPLOYMENT_ENVIRONMENT".to_owned(), "local".into()),
    ];
    set.extend_from_slice(more);
    let launch =
        Launch { program: program.to_owned(), set, unset, folder: folder.path().to_owned(), ..Launch::default() };
    let ready = Probe::Http(format!("{}/health/ready", ports.url(Role::RelayAdmin)));
    let needs = &["otel-collector"];
    Ok(Component { needs, restarts: true, ..Component::new("relay", launch, ready) })
}
