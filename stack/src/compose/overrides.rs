//! What fresh containers have, and those of `docker compose up` have not.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::policy;

/// Where Postgres finds its small disk.
pub(crate) const SMALL_DISK: &str = "/small_disk";
/// Of the log files.
pub(crate) const LOGS_BYTES: u64 = 64 << 20;
const POLICY: &str = "/etc/relay/policy.toml";

/// How a drill's containers differ from those of `docker compose up`.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// More environment for service and relay.
    pub env: Vec<(String, String)>,
    /// With a second chat, which hears of the first one's trouble.
    pub second_chat: bool,
    /// The log files are on a disk of 64 MiB, and Postgres has another one of 16 MiB.
    pub small_disks: bool,
}

/// They, as files that go away when this is dropped.
#[derive(Debug)]
pub(super) struct Files {
    folder: TempDir,
    pub(super) overrides: Overrides,
}

impl Files {
    pub(super) fn write(overrides: &Overrides) -> anyhow::Result<Self> {
        let files = Self { folder: tempfile::tempdir()?, overrides: overrides.clone() };
        // Where chat will be is known later.
        fs::write(files.policy(), "")?;
        fs::write(files.path(), overrides.compose(&files.policy()).to_string())?;
        Ok(files)
    }

    /// The file for `docker compose`.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("overrides.json")
    }

    fn policy(&self) -> PathBuf {
        self.folder.path().join("policy.toml")
    }

    /// The relay hears of it when it starts anew.
    pub(super) fn play(&self, chat: &str) -> anyhow::Result<()> {
        let policy = policy::played(chat, self.overrides.second_chat);
        fs::write(self.policy(), policy).context("the relay's policy cannot be written")
    }
}

impl Overrides {
    fn compose(&self, policy: &Path) -> Value {
        let environment: Map<_, _> = self.env.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let mut relay = environment.clone();
        relay.insert("RELAY_POLICY".to_owned(), json!(POLICY));
        let mounted = format!("{}:{POLICY}:ro", policy.display());
        let service = json!({"environment": environment});
        let relay = json!({"environment": relay, "volumes": [mounted]});
        if !self.small_disks {
            return json!({"services": {"service": service, "relay": relay}});
        }
        let postgres = json!({"tmpfs": [format!("{SMALL_DISK}:uid=999,gid=999,size=16m")]});
        // What fills the log files' disk is memory of the one who writes it.
        let init = json!({"mem_limit": "128m"});
        let logs = json!({"type": "tmpfs", "device": "tmpfs", "o": format!("size={LOGS_BYTES}")});
        let services = json!({"service": service, "relay": relay, "postgres": postgres, "init": init});
        json!({"services": services, "volumes": {"logs": {"driver_opts": logs}}})
    }
}
