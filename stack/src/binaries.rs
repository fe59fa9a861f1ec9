//! Builds service and relay, in the profile of the runner itself, and finds them beside it.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, bail};
use tokio::{process::Command, sync::OnceCell};

use crate::config::{Settings, cargo_variables, repository};

static BUILT: OnceCell<()> = OnceCell::const_new();

/// The folder that holds this runner and the programs built with it.
pub(crate) fn folder() -> anyhow::Result<PathBuf> {
    let runner = std::env::current_exe()?;
    let folder = runner.parent().context("the runner has no folder")?;
    // A test's executable lies one folder deeper.
    let folder = if folder.ends_with("deps") { folder.parent() } else { Some(folder) };
    Ok(folder.context("the runner has no folder")?.to_owned())
}

/// Builds both, once in the life of this process.
pub(crate) async fn build(settings: &Settings) -> anyhow::Result<()> {
    BUILT.get_or_try_init(|| run_cargo(settings)).await.copied()
}

/// A program of this workspace in `folder`.
pub(crate) fn program(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let program = folder.join(name);
    if !program.is_file() {
        bail!("{} is missing: build it with `cargo build -p {name}`", program.display());
    }
    Ok(program)
}

/// The commit they are built from; empty outside of git. Told to a program when it starts: one that had it built in would be
/// compiled anew with each commit.
pub async fn revision() -> String {
    let mut command = Command::new("git");
    command.args(["rev-parse", "--short", "HEAD"]).current_dir(repository()).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.ok().filter(|output| output.status.success());
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

async fn run_cargo(settings: &Settings) -> anyhow::Result<()> {
    let folder = folder()?;
    let target = folder.parent().context("the runner lies in no target folder")?;
    let mut command = Command::new(settings.cargo());
    command
        .args(["build", "--quiet", "--package", "service", "--package", "relay"])
        .arg("--target-dir")
        .arg(target)
        .args(profile(&folder))
        .current_dir(repository())
        .stdin(Stdio::null())
        // What cargo says is for the person who waits, not part of the runner's answer.
        .stdout(Stdio::null())
        .kill_on_drop(true);
    for variable in cargo_variables() {
        command.env_remove(variable);
    }
    let status = command.status().await.context("cargo is missing: install it with rustup (https://rustup.rs)")?;
    if !status.success() {
        bail!("service and relay do not build: see above");
    }
    Ok(())
}

/// Cargo names the folder after the profile, with one exception.
fn profile(folder: &Path) -> Vec<String> {
    match folder.file_name().and_then(|name| name.to_str()) {
        None | Some("debug") => Vec::new(),
        Some(name) => vec!["--profile".to_owned(), name.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_is_the_runners_own() {
        assert!(profile(Path::new("target/debug")).is_empty());
        assert_eq!(profile(Path::new("target/release")), ["--profile", "release"]);
    }
}
