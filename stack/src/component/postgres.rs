//! Postgres: the service's database, with a role that owns it and migrates it, and one that reads and writes rows.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use tokio::{io::AsyncWriteExt, process::Command};

use super::{Component, Launch, Probe};
use crate::{
    folder::Folder,
    identity::Identity,
    ports::{Ports, Role},
    programs::Found,
};

/// The service's role, and the name of its database.
pub(crate) const SERVICE: &str = "orders";
/// Owns the database; migrations run as it.
const OWNER: &str = "orders_migrate";
/// Reads statistics and nothing else.
const EXPORTER: &str = "exporter";
const ADMINISTRATOR: &str = "postgres";

/// The files of one database server, and how they are made.
#[derive(Debug)]
pub(crate) struct Cluster {
    bin: PathBuf,
    data: PathBuf,
    identity: Identity,
    major: u32,
    durable: bool,
    administrator_password: String,
    service_password: String,
    owner_password: String,
    exporter_password: String,
}

/// `durable` is for data that is kept; what is thrown away anyway need not reach the disk. `lines` is the folder where the
/// collector expects its lines; without one they go to its output.
pub(crate) fn postgres(
    found: &Found,
    identity: Identity,
    folder: &Folder,
    ports: &Ports,
    durable: bool,
    lines: Option<&Path>,
) -> anyhow::Result<Component> {
    let bin = found.path.parent().context("the program has no folder")?.to_owned();
    let data = folder.data("postgres")?;
    let cluster = Cluster {
        bin: bin.clone(),
        data: data.clone(),
        identity,
        major: found.version.0,
        durable,
        administrator_password: folder.random_secret("postgres_password")?,
        service_password: folder.random_secret("database_password")?,
        owner_password: folder.random_secret("database_migrate_password")?,
        exporter_password: folder.random_secret("exporter_password")?,
    };
    let port = ports.get(Role::Postgres);
    let mut settings = vec![
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        // The default folder belongs to root, and a path may be too long for a socket.
        "unix_socket_directories=".to_owned(),
    ];
    if !durable {
        settings.extend(["fsync=off", "full_page_writes=off", "synchronous_commit=off"].map(str::to_owned));
    }
    if let Some(lines) = lines {
        identity.give(lines)?;
        let file = folder.config().join("postgres/postgresql.conf");
        // A file outside the data folder would look for all others beside itself.
        settings.extend([
            format!("config_file={}", file.display()),
            format!("data_directory={}", data.display()),
            format!("hba_file={}", data.join("pg_hba.conf").display()),
            format!("ident_file={}", data.join("pg_ident.conf").display()),
            format!("log_directory={}", lines.display()),
        ]);
    } else {
        // Tests side by side, each with pools of its own.
        settings.push("max_connections=200".to_owned());
    }
    let mut arguments = vec!["-D".into(), data.into_os_string()];
    for setting in settings {
        arguments.extend(["-c".into(), setting.into()]);
    }
    let (program, arguments) = identity.wrap(&found.path, arguments);
    let launch = Launch { program, arguments, folder: folder.path().to_owned(), ..Launch::default() };
    Ok(Component {
        cluster: Some(cluster),
        patience: Duration::from_mins(1),
        // SIGTERM would wait for every client.
        stop: Signal::SIGINT,
        ..Component::new("postgres", launch, Probe::Postgres { program: bin.join("pg_isready"), port })
    })
}

impl Cluster {
    pub(crate) fn url(&self, ports: &Ports) -> String {
        url(ADMINISTRATOR, &self.administrator_password, ports, ADMINISTRATOR)
    }

    pub(crate) fn administrator_url(&self, ports: &Ports) -> String {
        url(ADMINISTRATOR, &self.administrator_password, ports, SERVICE)
    }

    pub(crate) fn service_url(&self, ports: &Ports) -> String {
        url(SERVICE, &self.service_password, ports, SERVICE)
    }

    pub(crate) fn owner_url(&self, ports: &Ports) -> String {
        url(OWNER, &self.owner_password, ports, SERVICE)
    }

    /// Makes the files when there are none, and refuses those of another version.
    pub(crate) async fn prepare(&self) -> anyhow::Result<()> {
        match fs::read_to_string(self.data.join("PG_VERSION")) {
            Ok(version) => check_version(&self.data, version.trim(), self.major),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create().await,
            Err(error) => Err(error).with_context(|| format!("{} cannot be read", self.data.display())),
        }
    }

    async fn create(&self) -> anyhow::Result<()> {
        // Renamed into place when complete: an interrupted start leaves nothing that looks like data.
        let new = self.data.with_extension("new");
        let _ = fs::remove_dir_all(&new);
        fs::create_dir(&new)?;
        self.identity.give(&new)?;
        let folder = new.to_string_lossy().into_owned();
        let mut arguments = vec!["-D", &folder, "-U", ADMINISTRATOR, "--encoding=UTF8", "--locale=C"];
        arguments.extend(["--auth-local=trust", "--auth-host=scram-sha-256", "--no-instructions"]);
        if !self.durable {
            arguments.push("--no-sync");
        }
        self.run("initdb", &arguments, "").await?;
        let statements = format!(
            "ALTER ROLE {ADMINISTRATOR} PASSWORD '{}'\nCREATE ROLE {SERVICE} LOGIN PASSWORD '{}'\n\
             CREATE ROLE {OWNER} LOGIN PASSWORD '{}'\n\
             CREATE DATABASE {SERVICE} OWNER {OWNER}\n\
             CREATE ROLE {EXPORTER} LOGIN PASSWORD '{}' IN ROLE pg_monitor\n",
            self.administrator_password, self.service_password, self.owner_password, self.exporter_password
        );
        let single = ["--single", "-D", &folder, "-c", "log_min_messages=error", ADMINISTRATOR];
        self.run("postgres", &single, &statements).await?;
        fs::rename(&new, &self.data).with_context(|| {
            format!("{} holds something that is no data of PostgreSQL: remove it", self.data.display())
        })
    }

    async fn run(&self, program: &str, arguments: &[&str], input: &str) -> anyhow::Result<Output> {
        let arguments = arguments.iter().map(Into::into).collect();
        let (wrapper, arguments) = self.identity.wrap(&self.bin.join(program), arguments);
        let mut child = Command::new(wrapper)
            .args(arguments)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{program} cannot be started"))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).await?;
        }
        let output = child.wait_with_output().await?;
        if !output.status.success() {
            bail!("{program} failed: {}{}", String::from_utf8_lossy(&output.stderr).trim(), self.hint());
        }
        Ok(output)
    }

    fn hint(&self) -> &'static str {
        match self.identity {
            Identity::Own | Identity::Mapped => "",
            Identity::Nobody => {
                "\nAs root, PostgreSQL runs as user 65534, who must reach the programs and the data: \
                 choose folders outside your home with LOOKOUT_STATE and LOOKOUT_CACHE, or run this as an ordinary user"
            }
        }
    }
}

/// Why the server does not accept connections, when it does not.
pub(super) async fn ask(program: &Path, port: u16, patience: Duration) -> Result<(), String> {
    let output = Command::new(program)
        .args(["-h", "127.0.0.1", "-p", &port.to_string()])
        .args(["-t", &patience.as_secs().max(1).to_string()])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| format!("{} cannot be started: {error}", program.display()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn url(user: &str, password: &str, ports: &Ports, database: &str) -> String {
    format!("postgres://{user}:{password}@{}/{database}", ports.local(Role::Postgres))
}

fn check_version(data: &Path, found: &str, major: u32) -> anyhow::Result<()> {
    if found == major.to_string() {
        return Ok(());
    }
    bail!(
        "{} was written by PostgreSQL {found}, and the one found is {major}: name a folder with PostgreSQL {found} \
         in STACK_BIN, or start with `up --fresh`, which throws the old data away",
        data.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_of_another_version_is_refused_with_both_ways_out() {
        let refused = check_version(Path::new("/data"), "15", 18).unwrap_err().to_string();

        assert!(refused.starts_with("/data was written by PostgreSQL 15, and the one found is 18"), "{refused}");
        assert!(refused.contains("STACK_BIN") && refused.contains("up --fresh"), "{refused}");
        check_version(Path::new("/data"), "18", 18).unwrap();
    }
}
