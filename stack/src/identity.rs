//! As whom Postgres runs: it refuses root.

use std::{
    ffi::OsString,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::bail;
use nix::unistd::Uid;
use tokio::process::Command;

const NOBODY: u32 = 65_534;

/// Who a program runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Whoever runs this.
    Own,
    /// Root outside, somebody else inside a user namespace: files stay root's.
    Mapped,
    /// Another user, who must own the data.
    Nobody,
}

impl Identity {
    /// One that is not root.
    pub(crate) async fn unprivileged() -> anyhow::Result<Self> {
        if !Uid::effective().is_root() {
            return Ok(Self::Own);
        }
        for identity in [Self::Mapped, Self::Nobody] {
            let (program, arguments) = identity.wrap(Path::new("true"), Vec::new());
            let attempt = Command::new(program)
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            if attempt.await.is_ok_and(|status| status.success()) {
                return Ok(identity);
            }
        }
        bail!(
            "PostgreSQL does not run as root, and neither `unshare --user` nor `setpriv` works here: \
             install util-linux, or run this as an ordinary user"
        )
    }

    /// The command that runs `program` as this one.
    pub(crate) fn wrap(self, program: &Path, arguments: Vec<OsString>) -> (PathBuf, Vec<OsString>) {
        let (wrapper, options) = match self {
            Self::Own => return (program.to_owned(), arguments),
            Self::Mapped => {
                ("unshare", vec!["--user".to_owned(), format!("--map-user={NOBODY}"), format!("--map-group={NOBODY}")])
            }
            Self::Nobody => {
                ("setpriv", vec![format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".to_owned()])
            }
        };
        let mut all: Vec<OsString> = options.into_iter().map(OsString::from).collect();
        all.push("--".into());
        all.push(program.into());
        all.extend(arguments);
        (wrapper.into(), all)
    }

    /// Hands `folder` to whoever has to own it.
    pub(crate) fn give(self, folder: &Path) -> std::io::Result<()> {
        match self {
            Self::Own | Self::Mapped => Ok(()),
            Self::Nobody => chown(folder, Some(NOBODY), Some(NOBODY)),
        }
    }
}
