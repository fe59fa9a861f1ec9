//! Prometheus and Alertmanager from Debian's packages, unpacked instead of installed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::{settle, tool, workspace};
use crate::programs::Program;

/// Elsewhere there are no such packages.
const SYSTEM: &str = "it is fetched on Debian and Ubuntu only";

pub(super) fn folder(program: Program, cache: &Path) -> PathBuf {
    home(program, cache).join("usr/bin")
}

pub(super) async fn obtain(program: Program, cache: &Path) -> anyhow::Result<()> {
    let to = home(program, cache);
    let work = workspace(&to)?;
    let apt = Apt::new(cache)?;
    // Only when the package is unknown to a list fetched before: the list is the larger part.
    if apt.run(&["download", package(program)], &work).await.is_err() {
        apt.run(&["update"], &work).await?;
        apt.run(&["download", package(program)], &work).await?;
    }
    let archive = find(&work)?;
    tool("dpkg-deb", SYSTEM, ["-x", &archive, "."], &work).await?;
    fs::remove_file(work.join(archive))?;
    settle(&work, &to)
}

/// apt with a state and a cache of its own, so that it needs no root and leaves the system's alone.
struct Apt {
    options: Vec<String>,
}

impl Apt {
    fn new(cache: &Path) -> anyhow::Result<Self> {
        let apt = cache.join("apt");
        for folder in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(apt.join(folder))?;
        }
        let options = [
            format!("Dir::State={}", apt.join("state").display()),
            format!("Dir::Cache={}", apt.join("cache").display()),
            "Dir::State::status=/var/lib/dpkg/status".to_owned(),
            // As root, apt would fetch as a user who cannot write here.
            "APT::Sandbox::User=root".to_owned(),
        ];
        Ok(Self { options: options.into_iter().flat_map(|option| ["-o".to_owned(), option]).collect() })
    }

    async fn run(&self, arguments: &[&str], folder: &Path) -> anyhow::Result<()> {
        let options = self.options.iter().map(String::as_str);
        tool("apt-get", SYSTEM, options.chain(arguments.iter().copied()), folder).await
    }
}

fn package(program: Program) -> &'static str {
    match program {
        Program::Alertmanager => "prometheus-alertmanager",
        _ => "prometheus",
    }
}

fn home(program: Program, cache: &Path) -> PathBuf {
    cache.join(format!("debian-{}", package(program)))
}

fn find(folder: &Path) -> anyhow::Result<String> {
    fs::read_dir(folder)?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .find(|name| Path::new(name).extension().is_some_and(|extension| extension == "deb"))
        .context("apt-get fetched no package")
}
