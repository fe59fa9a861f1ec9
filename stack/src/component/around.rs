//! What asks the others: `postgres_exporter` for Prometheus, k6 as the customers.

use super::{Component, Launch, Probe};
use crate::{
    config::repository,
    folder::Folder,
    ports::{Ports, Role},
    programs::Found,
};

pub(crate) fn postgres_exporter(found: &Found, folder: &Folder, ports: &Ports) -> Component {
    // Without connect_timeout a frozen Postgres would hold up the scrape until it counts as failed.
    let uri = format!("{}/orders?sslmode=disable&connect_timeout=2", ports.local(Role::Postgres));
    let password = folder.path().join("secrets/exporter_password");
    let launch = Launch {
        program: found.path.clone(),
        arguments: vec![format!("--web.listen-address={}", ports.local(Role::PostgresExporter)).into()],
        set: vec![
            ("DATA_SOURCE_URI".to_owned(), uri.into()),
            ("DATA_SOURCE_USER".to_owned(), "exporter".into()),
            ("DATA_SOURCE_PASS_FILE".to_owned(), password.into()),
        ],
        folder: folder.path().to_owned(),
        ..Launch::default()
    };
    let ready = Probe::Http(ports.url(Role::PostgresExporter));
    Component { needs: &["postgres"], ..Component::new("postgres-exporter", launch, ready) }
}

/// `LOAD_RPS` requests a second.
pub(crate) fn load(found: &Found, folder: &Folder, ports: &Ports) -> Component {
    let address = ports.local(Role::Load);
    // Without summary and thresholds it keeps no measurement, so it may run for months.
    let mut arguments: Vec<_> =
        ["run", "--quiet", "--summary-mode=disabled", "--no-thresholds", "--no-usage-report"].map(Into::into).into();
    arguments.extend([format!("--address={address}").into(), repository().join("load/orders.js").into()]);
    let launch = Launch {
        program: found.path.clone(),
        arguments,
        set: vec![("BASE_URL".to_owned(), ports.url(Role::Service).into())],
        folder: folder.path().to_owned(),
        ..Launch::default()
    };
    let ready = Probe::Http(format!("http://{address}/v1/status"));
    Component { needs: &["service"], ..Component::new("load", launch, ready) }
}
