//! Prometheus: scrapes, evaluates the rules, tells Alertmanager.

use std::{path::Path, time::Duration};

use super::{Component, Launch, Probe};
use crate::{
    folder::Folder,
    ports::{Ports, Role},
};

pub(crate) fn prometheus(program: &Path, folder: &Folder, ports: &Ports) -> anyhow::Result<Component> {
    let config = folder.config().join("prometheus");
    let url = ports.url(Role::Prometheus);
    let arguments = [
        format!("--config.file={}", config.join("prometheus.yml").display()),
        format!("--storage.tsdb.path={}", folder.data("prometheus")?.display()),
        "--storage.tsdb.retention.time=7d".to_owned(),
        "--storage.tsdb.retention.size=2GB".to_owned(),
        format!("--web.listen-address={}", ports.local(Role::Prometheus)),
        // Alerts link to it; by default with this machine's name, on which it does not listen.
        format!("--web.external-url={url}"),
        "--web.enable-lifecycle".to_owned(),
        "--enable-feature=exemplar-storage".to_owned(),
        // By default it repeats an alert only every minute: a restarted Alertmanager would not know it for so long.
        "--rules.alert.resend-delay=15s".to_owned(),
        // By default what has a `for` of less than ten minutes would begin anew after a restart, and be told as over.
        "--rules.alert.for-grace-period=0s".to_owned(),
    ];
    let launch = Launch {
        program: program.to_owned(),
        arguments: arguments.map(Into::into).to_vec(),
        folder: config,
        ..Launch::default()
    };
    Ok(Component {
        // An alert that Alertmanager misses is sent again only after the resend delay, and a
        // service that does not listen yet would be reported.
        needs: &["alertmanager", "service"],
        patience: Duration::from_mins(1),
        ..Component::new("prometheus", launch, Probe::Http(format!("{url}/-/ready")))
    })
}
