//! A Postgres cluster of one test's own, to be killed and frozen.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tempfile::TempDir;

use super::eventually;

pub(crate) struct Cluster {
    folder: TempDir,
    port: u16,
    postgres: Option<Child>,
}

impl Cluster {
    /// A cluster that is set up, but does not run.
    pub(crate) fn prepare() -> Self {
        let folder = tempfile::Builder::new().prefix("service-test-").tempdir().unwrap();
        let outcome = as_ordinary_user("initdb")
            .args(["--no-sync", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "-D"])
            .arg(folder.path().join("data"))
            .output()
            .unwrap();
        assert!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stderr));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { folder, port, postgres: None }
    }

    /// A running cluster with the service's schema.
    pub(crate) async fn start() -> Self {
        let mut cluster = Self::prepare();
        cluster.run().await;
        let mut connection = PgConnection::connect_with(&cluster.options()).await.unwrap();
        sqlx::migrate!().run(&mut connection).await.unwrap();
        cluster
    }

    /// Starts it, and returns when it accepts connections.
    pub(crate) async fn run(&mut self) {
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        let postgres = as_ordinary_user("postgres")
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .args(["-p", &self.port.to_string()])
            .args(["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories=", "-c", "max_connections=150"])
            .args(["-c", "log_line_prefix=%a ", "-c", "log_min_duration_statement=0"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.postgres = Some(postgres);
        let options = self.options();
        eventually("Postgres accepts connections", Duration::from_secs(20), async || {
            PgConnection::connect_with(&options).await.is_ok()
        })
        .await;
    }

    /// What it has said: of each statement, the application's name first.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    pub(crate) fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username("postgres")
            .database("postgres")
    }

    /// As after a crash of the machine: no goodbye, the port refuses.
    pub(crate) fn kill(&mut self) {
        if let Some(mut postgres) = self.postgres.take() {
            let family = family(postgres.id());
            signal("KILL", &family);
            postgres.wait().unwrap();
        }
    }

    /// Every process of the cluster stops in its tracks; the kernel still accepts connections.
    pub(crate) fn freeze(&self) {
        signal("STOP", &family(self.postgres.as_ref().unwrap().id()));
    }

    pub(crate) fn thaw(&self) {
        signal("CONT", &family(self.postgres.as_ref().unwrap().id()));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A process and its children.
fn family(pid: u32) -> Vec<String> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    std::iter::once(pid.to_string()).chain(children.split_whitespace().map(String::from)).collect()
}

fn signal(name: &str, pids: &[String]) {
    // A child may have ended by itself meanwhile, which is fine.
    Command::new("kill").arg(format!("-{name}")).args(pids).stderr(Stdio::null()).status().unwrap();
}

/// Postgres refuses to run as root; inside this namespace root looks like `nobody`.
fn as_ordinary_user(program: &str) -> Command {
    let program = find(program);
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return Command::new(program);
    }
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-user=65534", "--map-group=65534"]).arg(program);
    command
}

#[expect(clippy::disallowed_methods, reason = "tests have no config.rs; where programs are is up to the machine")]
fn find(program: &str) -> PathBuf {
    let stack = std::env::var_os("STACK_BIN").map(PathBuf::from);
    let stack = stack.iter().flat_map(|folder| [folder.join("postgres/bin"), folder.clone()]);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    stack
        .chain(std::env::split_paths(&path))
        .chain(debian.map(|version| version.path().join("bin")))
        .map(|folder| folder.join(program))
        .find(|path| Path::is_file(path))
        .unwrap_or_else(|| panic!("{program} is missing: name its folder in STACK_BIN"))
}
