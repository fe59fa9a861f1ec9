//! Docker, as a person at a terminal uses it.

use std::{ffi::OsStr, path::Path, process::Output};

use serde_json::Value;
use tokio::process::Command;

pub(crate) fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// What `docker` prints on both outputs; it must succeed.
pub(crate) async fn docker(arguments: &[impl AsRef<OsStr>]) -> String {
    let command = &mut Command::new("docker");
    let Output { status, stdout, stderr } = command.args(arguments).current_dir(repository()).output().await.unwrap();
    let said = String::from_utf8([stdout, stderr].concat()).unwrap();
    assert!(status.success(), "{said}");
    said
}

/// The whole configuration, with every default filled in and no variable of this shell.
pub(crate) async fn configuration() -> Value {
    let mut command = Command::new("docker");
    command.args(["compose", "--env-file", "/dev/null", "--file", "docker-compose.yml", "config", "--format", "json"]);
    let output = command.current_dir(repository()).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
