//! Processes as `/proc` shows them: whether one is still the one that was started, and everything it started itself.
//!
//! Signals to a process group would not do: every Postgres backend opens a session, and so a group, of its own.

use std::{collections::BTreeSet, fs, time::Duration};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// Ticks since boot; two processes of one number never share it.
    started: u64,
}

struct Stat {
    state: String,
    parent: u32,
    started: u64,
}

impl Process {
    /// The live process with this number.
    pub(crate) fn find(pid: u32) -> Option<Self> {
        let started = stat(pid)?.started;
        Some(Self { pid, started })
    }

    /// This very program.
    pub(crate) fn current() -> Option<Self> {
        Self::find(std::process::id())
    }

    /// A zombie counts as gone: it holds nothing but its number.
    pub(crate) fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started && stat.state != "Z")
    }

    pub(crate) fn send(self, signal: Signal) {
        if let (true, Ok(pid)) = (self.is_alive(), i32::try_from(self.pid)) {
            // It may end between the look and the signal; then there is nobody left to tell.
            let _ = signal::kill(Pid::from_raw(pid), signal);
        }
    }

    /// It and everything that descends from it.
    pub(crate) fn tree(self) -> BTreeSet<Self> {
        let all = all();
        let mut tree = BTreeSet::from([self]);
        loop {
            let parents: BTreeSet<u32> = tree.iter().map(|process| process.pid).collect();
            let before = tree.len();
            tree.extend(all.iter().filter(|(_, parent)| parents.contains(parent)).map(|(process, _)| *process));
            if tree.len() == before {
                return tree;
            }
        }
    }

    /// Stops every process of the tree, those included that were being started meanwhile.
    pub(crate) fn freeze(self) -> BTreeSet<Self> {
        let mut frozen = BTreeSet::new();
        loop {
            let tree = self.tree();
            if tree == frozen {
                return frozen;
            }
            for process in tree.difference(&frozen) {
                process.send(Signal::SIGSTOP);
            }
            frozen = tree;
        }
    }

    pub(crate) fn thaw(self) {
        for process in self.tree() {
            process.send(Signal::SIGCONT);
        }
    }

    /// SIGKILL to the whole tree. It is frozen first, so that nothing can start anything while it dies.
    pub(crate) fn kill(self) -> BTreeSet<Self> {
        let tree = self.freeze();
        for process in &tree {
            process.send(Signal::SIGKILL);
        }
        tree
    }
}

/// Waits until none of `processes` is left; false when `patience` ran out first.
pub(crate) async fn wait_gone(processes: &BTreeSet<Process>, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    while processes.iter().any(|process| process.is_alive()) {
        if Instant::now() > deadline {
            return false;
        }
        sleep(Duration::from_millis(5)).await;
    }
    true
}

/// Every live process with its parent's number.
fn all() -> Vec<(Process, u32)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| {
            let stat = stat(pid)?;
            let started = stat.started;
            (stat.state != "Z").then_some((Process { pid, started }, stat.parent))
        })
        .collect()
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name stands in parentheses and may hold anything, parentheses included.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some(Stat {
        state: fields.next()?.to_owned(),
        parent: fields.next()?.parse().ok()?,
        started: fields.nth(17)?.parse().ok()?,
    })
}
