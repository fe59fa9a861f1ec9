//! Alertmanager: groups alerts, mutes symptoms, tells the relay.

use super::{Component, Launch, Probe};
use crate::{
    folder::Folder,
    obtain::templates,
    ports::{Ports, Role},
    programs::Found,
};

pub(crate) fn alertmanager(found: &Found, folder: &Folder, ports: &Ports) -> anyhow::Result<Component> {
    let config = folder.config().join("alerts");
    let url = ports.url(Role::Alertmanager);
    let arguments = [
        format!("--config.file={}", config.join("alertmanager.yml").display()),
        format!("--storage.path={}", folder.data("alertmanager")?.display()),
        format!("--web.listen-address={}", ports.local(Role::Alertmanager)),
        format!("--web.external-url={url}"),
        // Empty: a single one needs no cluster, whose listener would be open to the network.
        "--cluster.listen-address=".to_owned(),
    ];
    let (program, arguments) = templates::provide(&found.path, arguments.map(Into::into).to_vec())?;
    // It looks for the files of `url_file` in the folder it runs in.
    let launch = Launch { program, arguments, folder: config, ..Launch::default() };
    let ready = Probe::Http(format!("{url}/-/ready"));
    Ok(Component { needs: &["relay"], ..Component::new("alertmanager", launch, ready) })
}
