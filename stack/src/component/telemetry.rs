//! Loki, Jaeger and the collector: their files read ports and folders from variables named alike.

use std::time::Duration;

use super::{Component, Launch, Probe};
use crate::{
    folder::Folder,
    ports::{Ports, Role},
    programs::Found,
};

pub(crate) fn loki(found: &Found, folder: &Folder, ports: &Ports) -> anyhow::Result<Component> {
    let ready = format!("{}/ready", ports.url(Role::Loki));
    let arguments = ["-config.expand-env=true", "-config.file"];
    Ok(Component::new("loki", launch(found, "loki", arguments.as_slice(), folder, ports)?, Probe::Http(ready)))
}

pub(crate) fn jaeger(found: &Found, folder: &Folder, ports: &Ports) -> anyhow::Result<Component> {
    let ready = format!("{}/status", ports.url(Role::JaegerHealth));
    Ok(Component::new("jaeger", launch(found, "jaeger", &["--config"], folder, ports)?, Probe::Http(ready)))
}

pub(crate) fn collector(
    found: &Found,
    folder: &Folder,
    ports: &Ports,
    more: &[(String, String)],
) -> anyhow::Result<Component> {
    // Without the gate, every restart would begin all span metrics anew under another id.
    let arguments = ["--feature-gates=-connector.spanmetrics.includeCollectorInstanceID", "--config"];
    let mut launch = launch(found, "otel-collector", &arguments, folder, ports)?;
    launch.set.extend([
        ("LOG_DIR".to_owned(), folder.lines("programs")?.into()),
        ("PG_LOG_DIR".to_owned(), folder.lines("postgres")?.into()),
    ]);
    launch.set.extend(more.iter().map(|(name, value)| (name.clone(), value.into())));
    let ready = Probe::Http(ports.url(Role::CollectorHealth));
    Ok(Component {
        // It goes first, while both still take what it holds.
        needs: &["loki", "jaeger"],
        patience: Duration::from_secs(30),
        ..Component::new("otel-collector", launch, ready)
    })
}

/// The file is the last argument; everything else is variables.
fn launch(found: &Found, name: &str, arguments: &[&str], folder: &Folder, ports: &Ports) -> anyhow::Result<Launch> {
    let config = folder.config().join(name);
    let mut arguments: Vec<_> = arguments.iter().map(Into::into).collect();
    arguments.push(config.join("config.yaml").into());
    let prefix = name.rsplit('-').next().unwrap_or(name).to_uppercase();
    let listeners = Role::ALL.into_iter().filter(|role| role.host() == name);
    let mut set: Vec<_> =
        listeners.map(|role| (role.variable().to_owned(), ports.get(role).to_string().into())).collect();
    set.push((format!("{prefix}_BIND"), "127.0.0.1".into()));
    set.push((format!("{prefix}_DATA"), folder.data(name)?.into()));
    set.push(("DEPLOYMENT_ENVIRONMENT".to_owned(), "local".into()));
    Ok(Launch { program: found.path.clone(), arguments, set, folder: config, ..Launch::default() })
}
