//! The real runner as a child process, with a folder and ports of its own.

use std::{collections::BTreeMap, fs, io::Write, path::Path, process::Stdio, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

pub(crate) use crate::common::eventually;

/// Service and relay may have to be built first.
const PATIENCE: Duration = Duration::from_mins(5);

/// What a person may have set for a stack of their own.
const OF_A_PERSON: [&str; 7] = [
    "DATABASE_URL",
    "ESCALATION_URL",
    "SLACK_WEBHOOK_URL_FILE",
    "MATTERMOST_WEBHOOK_URL_FILE",
    "ROCKETCHAT_WEBHOOK_URL_FILE",
    "DISCORD_WEBHOOK_URL_FILE",
    "WEBHOOK_URL_FILE",
];

/// Whether all parts are there that a full stack has; says which are not.
pub(crate) async fn has_all_parts() -> bool {
    let missing = stack::missing().await.unwrap();
    if !missing.is_empty() {
        // Past the harness, which shows the output of failed tests only.
        let mut output = std::io::stdout();
        writeln!(output, "SKIPPED: needs {}", missing.join(", ")).unwrap();
    }
    missing.is_empty()
}

pub(crate) fn stack(state: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stack"));
    command.args(arguments).env("LOOKOUT_STATE", state).env("DOCKER", "0").stdin(Stdio::null()).kill_on_drop(true);
    for variable in OF_A_PERSON {
        command.env_remove(variable);
    }
    command
}

/// Takes away what cargo sets for the tests it runs: another cargo would rebuild what is up to date.
pub(crate) fn without_cargo_variables(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"].iter().any(|start| name.starts_with(start)) {
            command.env_remove(&*name);
        }
    }
    command
}

/// Runs the runner to its end: whether it succeeded, and everything it said.
pub(crate) async fn run(state: &Path, arguments: &[&str]) -> (bool, String) {
    finish(&mut stack(state, arguments)).await
}

pub(crate) async fn finish(command: &mut Command) -> (bool, String) {
    let output = timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// A stack that is up.
pub(crate) struct Up {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
    pub(crate) said: String,
    pub(crate) state: TempDir,
}

impl Up {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), arguments).await
    }

    /// Starts it, and returns when it has shown its links.
    pub(crate) async fn start_in(state: TempDir, arguments: &[&str]) -> Self {
        Self::start_with(state, arguments, &[]).await
    }

    /// The same, with these variables set.
    pub(crate) async fn start_with(state: TempDir, arguments: &[&str], variables: &[(&str, &Path)]) -> Self {
        let arguments = [&["up", "--core", "--free-ports"], arguments].concat();
        let mut command = stack(state.path(), &arguments);
        command.envs(variables.iter().copied());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut up = Self { child, output, said: String::new(), state };
        timeout(PATIENCE, up.listen_until("Ctrl-C stops it.")).await.unwrap();
        up
    }

    async fn listen_until(&mut self, last: &str) {
        loop {
            let line = self.output.next_line().await.unwrap();
            let line = line.unwrap_or_else(|| panic!("it ended without \"{last}\": {}", self.said));
            self.said.push_str(&line);
            self.said.push('\n');
            if line == last {
                return;
            }
        }
    }

    /// The address in the line that begins with `name`.
    pub(crate) fn link(&self, name: &str) -> &str {
        let line = self.said.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        line.split_whitespace().last().unwrap()
    }

    /// The main processes of all components, from the file that a later runner cleans up by.
    pub(crate) fn processes(&self) -> BTreeMap<String, i32> {
        let file = fs::read(self.state.path().join("processes.json")).unwrap();
        let file: Value = serde_json::from_slice(&file).unwrap();
        let components = file["components"].as_object().unwrap();
        let pid = |entry: &Value| i32::try_from(entry["process"]["pid"].as_i64().unwrap()).unwrap();
        components.iter().map(|(name, entry)| (name.clone(), pid(entry))).collect()
    }

    /// Sends the runner a signal and waits until it has ended.
    pub(crate) async fn end(mut self, signal: Signal) -> (bool, TempDir) {
        send(i32::try_from(self.child.id().unwrap()).unwrap(), signal);
        let status = timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        (status.success(), self.state)
    }

    /// Waits until the runner has ended by itself.
    pub(crate) async fn ended(mut self) -> (bool, TempDir) {
        let status = timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        (status.success(), self.state)
    }
}

pub(crate) fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// Whether any process that is not a zombie names `folder` on its command line.
pub(crate) fn anything_uses(folder: &Path) -> bool {
    let folder = folder.to_str().unwrap();
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(folder)
    })
}

pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}
