//! The service itself, and the payments provider it calls: the same program.

use std::{ffi::OsString, path::Path};

use super::{Component, Launch, Probe};
use crate::{
    folder::Folder,
    ports::{Ports, Role},
};

pub(crate) fn service(program: &Path, folder: &Folder, ports: &Ports, more: &[(String, OsString)]) -> Component {
    let secrets = folder.path().join("secrets");
    let mut set: Vec<(String, OsString)> = vec![
        ("LISTEN".to_owned(), ports.local(Role::Service).into()),
        ("ADMIN_LISTEN".to_owned(), ports.local(Role::ServiceAdmin).into()),
        ("DATABASE_URL_FILE".to_owned(), secrets.join("database_url").into()),
        ("DATABASE_MIGRATE_URL_FILE".to_owned(), secrets.join("database_migrate_url").into()),
        ("MIGRATE".to_owned(), "true".into()),
        ("CONFIG_FILE".to_owned(), folder.deployment().into()),
        // It listens to this machine only, and whoever is on it may rehearse.
        ("FAULTS".to_owned(), "on".into()),
        ("PAYMENTS_URL".to_owned(), ports.url(Role::PaymentsStub).into()),
        // Nothing balances load here, so nobody has to learn that it is going away.
        ("DRAIN_DELAY".to_owned(), "0s".into()),
        ("DEPLOYMENT_ENVIRONMENT".to_owned(), "local".into()),
    ];
    set.extend_from_slice(more);
    // These would contradict the files.
    let unset = vec!["DATABASE_URL", "DATABASE_MIGRATE_URL"];
    let launch =
        Launch { program: program.to_owned(), set, unset, folder: folder.path().to_owned(), ..Launch::default() };
    let ready = Probe::Http(format!("{}/health/ready", ports.url(Role::ServiceAdmin)));
    let needs = &["postgres", "otel-collector"];
    Component { needs, restarts: true, ..Component::new("service", launch, ready) }
}

/// Plays the third party. A real one does not wait for the service either, so nothing here needs it to be ready.
pub(crate) fn payments_stub(program: &Path, folder: &Folder, ports: &Ports, more: &[(String, OsString)]) -> Component {
    let mut set: Vec<(String, OsString)> = vec![
        ("PAYMENTS_LISTEN".to_owned(), ports.local(Role::PaymentsStub).into()),
        ("DEPLOYMENT_ENVIRONMENT".to_owned(), "local".into()),
    ];
    set.extend_from_slice(more);
    let launch = Launch {
        program: program.to_owned(),
        arguments: vec!["payments-stub".into()],
        set,
        folder: folder.path().to_owned(),
        ..Launch::default()
    };
    let ready = Probe::Http(format!("{}/health/ready", ports.url(Role::PaymentsStub)));
    let needs = &["otel-collector"];
    Component { needs, restarts: true, ..Component::new("payments-stub", launch, ready) }
}
