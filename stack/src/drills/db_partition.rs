//! One of two instances of the service is cut off from the database.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::LazyLock,
    time::{Duration, Instant},
};

use anyhow::Context;
use futures_util::future::BoxFuture;
use reqwest::Url;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    sync::watch,
};

use super::runner::{Fault, Injury, Scene, Window};
use crate::{binaries, task};

/// Both are scraped and judged every second.
pub(super) const PARTITION: Fault = Fault::new(
    "db_partition",
    "db_partition",
    "DatabaseUnreachableFromInstance",
    &Partition,
    Window { range: 0, fill: 0, lasting: 5, keep: 15, steps: 1 + 1 },
);

const SEEN_WITHIN: Duration = Duration::from_secs(30);

/// Whether the second instance reaches the database.
static CONNECTED: LazyLock<watch::Sender<bool>> = LazyLock::new(|| watch::Sender::new(true));

#[derive(Debug)]
struct Partition;

impl Injury for Partition {
    fn prepare<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(async move {
            CONNECTED.send_replace(true);
            let folder = scene.stack().folder()?;
            let secret = fs::read_to_string(folder.join("secrets/database_url"))?;
            let mut database = Url::parse(&secret).context("the service's database has no URL")?;
            let port = database.port().context("the service's database has no port")?;
            let wire = TcpListener::bind("127.0.0.1:0").await?;
            // The error has no words.
            let moved = database.set_port(Some(wire.local_addr()?.port()));
            moved.ok().context("the service's database cannot be reached through another port")?;
            scene.hold(carry(wire, ([127, 0, 0, 1], port).into()));
            let (instance, name) = Instance::start(&database, folder).await?;
            scene.hold(instance.live());
            let up = format!(r#"db_up{{job="app-fast", instance="{name}"}}"#);
            scene.until_query(&up, 1.0, Instant::now() + SEEN_WITHIN).await
        })
    }

    fn inflict<'a>(&'a self, _: &'a Scene) -> BoxFuture<'a, anyhow::Result<String>> {
        Box::pin(async {
            CONNECTED.send_replace(false);
            Ok("one of two instances is cut off from the database".to_owned())
        })
    }

    fn remedy(&self) -> String {
        "it reaches the database again".to_owned()
    }

    fn repair<'a>(&'a self, _: &'a Scene) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(async move {
            CONNECTED.send_replace(true);
            Ok(())
        })
    }
}

/// Carries connections to `database` while the instance is connected to it.
async fn carry(wire: TcpListener, database: SocketAddr) {
    let mut carried = Vec::new();
    while let Ok((mut client, _)) = wire.accept().await {
        let mut connected = CONNECTED.subscribe();
        carried.push(task::spawn(async move {
            let through = async {
                let mut server = TcpStream::connect(database).await?;
                copy_bidirectional(&mut client, &mut server).await
            };
            tokio::select! {
                biased;
                _ = connected.wait_for(|connected| !connected) => {}
                _ = through => {}
            }
        }));
    }
}

/// Another process of the service, and the file by which Prometheus finds it: both go when this is dropped.
struct Instance {
    process: Child,
    target: PathBuf,
}

impl Instance {
    /// With the name that Prometheus gives it.
    async fn start(database: &Url, folder: &Path) -> anyhow::Result<(Self, String)> {
        let target = folder.join("config/prometheus/targets/second-instance.yml");
        let admin = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
        let process = Command::new(binaries::program(&binaries::folder()?, "service")?)
            .env_clear()
            .envs([("LISTEN", "127.0.0.1:0"), ("DATABASE_URL", database.as_str())])
            .env("ADMIN_LISTEN", admin.to_string())
            // The lines of both go to the same file, each in one piece.
            .env("LOG_DIR", folder.join("logs/programs"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("a second instance cannot be started")?;
        let labels = "service: orders, env: local";
        let fast = "__scrape_interval__: 1s, __scrape_timeout__: 1s, __metrics_path__: /metrics/fast";
        let targets = format!(
            "- targets: [{admin}]\n  labels: {{ job: app-fast, {labels}, {fast} }}\n\
             - targets: [{admin}]\n  labels: {{ job: app, {labels} }}\n"
        );
        fs::write(&target, targets).with_context(|| format!("{} cannot be written", target.display()))?;
        Ok((Self { process, target }, admin.to_string()))
    }

    async fn live(mut self) {
        // It lives until this is dropped. Should it end before, Prometheus says so.
        drop(self.process.wait().await);
        std::future::pending::<()>().await;
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.target);
    }
}
