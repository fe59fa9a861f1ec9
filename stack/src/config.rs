//! What the environment says: the only place that reads it. Variables that are ports of `up` are flags too.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{Args, Parser};
use nix::unistd::Uid;

use crate::{component::CHATS, ports::Role};

/// Where things are, and how the parts are configured that are not configured by files.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    /// Folder with the programs (prometheus, alertmanager, postgres/bin/...), asked before PATH
    #[arg(long, env = "STACK_BIN")]
    stack_bin: Option<OsString>,
    /// Folder of data, logs and secrets [default: .lookout in the repository]
    #[arg(long, env = "LOOKOUT_STATE")]
    state: Option<OsString>,
    /// Folder that obtained programs are kept in [default: ~/.cache/lookout, as root /var/cache/lookout]
    #[arg(long, env = "LOOKOUT_CACHE")]
    cache: Option<OsString>,
    /// Where alerts go that the relay did not deliver
    #[arg(long, env = "ESCALATION_URL")]
    escalation_url: Option<String>,
    /// Whether a file that names a chat of the person is set
    #[arg(skip = names_a_chat())]
    has_chat: bool,
    #[arg(long, env = "RELAY_POLICY")]
    relay_policy: Option<OsString>,
    #[arg(long, env = "PUBLIC_URL_RELAY")]
    public_url_relay: Option<String>,
    #[arg(long, env = "PUBLIC_URL_PROMETHEUS")]
    public_url_prometheus: Option<String>,
    #[arg(long, env = "PUBLIC_URL_JAEGER")]
    public_url_jaeger: Option<String>,
    /// `all`: what would be skipped for want of a program is a failure
    #[arg(long, env = "STACK_REQUIRE")]
    require: Option<String>,
    /// `0`: what may run as containers is no concern
    #[arg(long, env = "DOCKER")]
    docker: Option<String>,
    #[arg(long, env = "PATH")]
    path: Option<OsString>,
    #[arg(long, env = "HOME")]
    home: Option<OsString>,
    #[arg(long, env = "CARGO")]
    cargo: Option<OsString>,
}

#[derive(Parser)]
struct Environment {
    #[command(flatten)]
    settings: Settings,
}

impl Settings {
    /// Without a command line: what a test or a drill starts from.
    pub(crate) fn from_environment() -> anyhow::Result<Self> {
        let environment =
            Environment::try_parse_from(["stack"]).context("a variable of the environment cannot be read")?;
        Ok(environment.settings)
    }

    pub(crate) fn stack_bin(&self) -> Option<PathBuf> {
        given(self.stack_bin.as_ref())
    }

    pub(crate) fn state(&self) -> PathBuf {
        given(self.state.as_ref()).unwrap_or_else(|| repository().join(".lookout"))
    }

    pub(crate) fn cache(&self) -> PathBuf {
        given(self.cache.as_ref()).unwrap_or_else(|| match given(self.home.as_ref()) {
            // An unprivileged user, as whom Postgres may have to run, cannot look into root's home.
            Some(home) if !Uid::effective().is_root() => home.join(".cache/lookout"),
            _ => PathBuf::from("/var/cache/lookout"),
        })
    }

    pub(crate) fn escalation_url(&self) -> Option<String> {
        self.escalation_url.clone().filter(|url| !url.is_empty())
    }

    pub(crate) fn requires_all(&self) -> bool {
        self.require.as_deref() == Some("all")
    }

    pub(crate) fn ignores_docker(&self) -> bool {
        self.docker.as_deref() == Some("0")
    }

    pub(crate) fn has_chat(&self) -> bool {
        self.has_chat
    }

    pub(crate) fn has_policy(&self) -> bool {
        given(self.relay_policy.as_ref()).is_some()
    }

    /// What the person set for links that work from elsewhere.
    pub(crate) fn public_url(&self, role: Role) -> Option<String> {
        let url = match role {
            Role::Relay => &self.public_url_relay,
            Role::Prometheus => &self.public_url_prometheus,
            Role::Jaeger => &self.public_url_jaeger,
            _ => &None,
        };
        url.clone()
    }

    pub(crate) fn path(&self) -> Vec<PathBuf> {
        self.path.iter().flat_map(|path| std::env::split_paths(path)).collect()
    }

    pub(crate) fn cargo(&self) -> OsString {
        self.cargo.clone().unwrap_or_else(|| "cargo".into())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "clap takes a variable for each name, and the names are a list elsewhere"
)]
fn names_a_chat() -> bool {
    CHATS.iter().any(|name| given(std::env::var_os(name).as_ref()).is_some())
}

fn given(value: Option<&OsString>) -> Option<PathBuf> {
    value.filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The folder that this workspace is in.
pub(crate) fn repository() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// Variables that cargo sets for the program it runs. Passed on to another cargo, they make it rebuild what is up to date.
pub(crate) fn cargo_variables() -> Vec<OsString> {
    let prefixes = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
    std::env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| name.to_str().is_some_and(|name| prefixes.iter().any(|prefix| name.starts_with(prefix))))
        .collect()
}
