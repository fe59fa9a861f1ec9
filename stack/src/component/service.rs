//! The service itself.

use std::{ffi::OsString, path::Path, time::Duration};

use nix::sys::signal::Signal;

use super::{Component, Launch, Probe};
use crate::{
    folder::Folder,
    ports::{Ports, Role},
};

pub(crate) fn service(
    program: &Path,
    folder: &Folder,
    ports: &Ports,
    database_url_file: &Path,
    more: &[(String, OsString)],
) -> Component {
    let mut set: Vec<(String, OsString)> = vec![
        ("LISTEN".to_owned(), ports.local(Role::Service).into()),
        ("ADMIN_LISTEN".to_owned(), ports.local(Role::ServiceAdmin).into()),
        ("DATABASE_URL_FILE".to_owned(), database_url_file.into()),
        ("MIGRATE".to_owned(), "true".into()),
        // Nothing balances load here, so nobody has to learn that it is going away.
        ("DRAIN_DELAY".to_owned(), "0s".into()),
        ("DEPLOYMENT_ENVIRONMENT".to_owned(), "local".into()),
    ];
    set.extend_from_slice(more);
    Component {
        name: "service",
        needs: &["postgres"],
        meaning: "users get errors: when postgres is healthy, see its log",
        launch: Launch {
            program: program.to_owned(),
            set,
            // It would contradict the file.
            unset: vec!["DATABASE_URL"],
            folder: folder.path().to_owned(),
            ..Launch::default()
        },
        cluster: None,
        ready: Probe::Http(format!("{}/health/ready", ports.url(Role::ServiceAdmin))),
        patience: Duration::from_secs(30),
        stop: Signal::SIGTERM,
        restarts: true,
    }
}
