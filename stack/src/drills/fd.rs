//! The service is running out of file descriptors.

use anyhow::Context;
use futures_util::future::BoxFuture;
use tokio::process::Command;

use super::runner::{Fault, Injury, Scene, Window};

/// Few enough that the fault is no burden for the machine, and more than the service itself needs.
const LIMIT: u32 = 512;
/// With its own some 88 % of them: over the 80 % of the rule, and enough left for requests.
const OPEN: &str = "420";

pub(super) const DESCRIPTORS: Fault = Fault::new(
    "fd",
    "fd",
    "FdExhaustion",
    &Descriptors,
    Window { range: 15, fill: 5, lasting: 60, keep: 0, steps: Window::SLOW },
);

#[derive(Debug)]
struct Descriptors;

impl Injury for Descriptors {
    fn inflict<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<String>> {
        Box::pin(async move {
            limit(scene, &LIMIT.to_string()).await?;
            scene.stack().service_admin(&["fault", "files", "--amount", OPEN, "--for", "10m"]).await?;
            Ok(format!("{OPEN} files are held open, of {LIMIT} that it may open"))
        })
    }

    fn remedy(&self) -> String {
        "the files are closed, and it may open as many as before".to_owned()
    }

    fn repair<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(async move {
            scene.stack().service_admin(&["fault", "files", "--end"]).await?;
            // Nobody may raise the hard limit, so that is how far up it can go.
            limit(scene, "").await
        })
    }
}

/// Sets the soft limit of the service's process; an empty one is as high as the hard limit.
async fn limit(scene: &Scene, soft: &str) -> anyhow::Result<()> {
    let status = scene.stack().status().await?;
    let pid = status.iter().find(|component| component.name == "service").and_then(|component| component.pid);
    let pid = pid.context("the service has no process")?;
    let hard = std::fs::read_to_string(format!("/proc/{pid}/limits")).context("its limits cannot be read")?;
    let hard = hard.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().nth(1));
    let soft = if soft.is_empty() { hard.context("it has no limit")? } else { soft };
    let mut command = Command::new("prlimit");
    command.args(["--pid", &pid.to_string(), &format!("--nofile={soft}:")]).kill_on_drop(true);
    let output = command.output().await.context("prlimit of util-linux is missing")?;
    anyhow::ensure!(output.status.success(), "prlimit: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
