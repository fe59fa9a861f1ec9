//! The file that names every process of a stack, so that the next runner can clean up after one that was killed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::process::{Process, wait_gone};

/// Longer than any component takes to save what it must.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    /// Start times count from boot, and so mean nothing after the next one.
    boot: String,
    runner: Process,
    components: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    process: Process,
    stop: String,
}

/// The open file of this runner. It is removed with its owner.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: PathBuf,
    record: Mutex<Record>,
}

impl Ledger {
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let runner = Process::current().ok_or_else(|| io::Error::other("/proc is not there"))?;
        let ledger = Self {
            path: path(folder),
            record: Mutex::new(Record { boot: boot(), runner, components: BTreeMap::new() }),
        };
        ledger.change(|_| ())?;
        Ok(ledger)
    }

    pub(crate) fn add(&self, name: &str, process: Process, stop: Signal) -> io::Result<()> {
        self.change(|components| {
            let stop = stop.as_str().to_owned();
            components.insert(name.to_owned(), Entry { process, stop });
        })
    }

    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        self.change(|components| {
            components.remove(name);
        })
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Entry>)) -> io::Result<()> {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut record.components);
        // Renamed into place: a runner killed in between leaves the old list, not half a one.
        let new = self.path.with_extension("new");
        fs::write(&new, serde_json::to_vec_pretty(&*record)?)?;
        fs::rename(&new, &self.path)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        let record = self.record.get_mut().unwrap_or_else(PoisonError::into_inner);
        if record.components.is_empty() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The runner of the stack in `folder`, when it lives.
pub(crate) fn runner(folder: &Path) -> Option<Process> {
    let runner = read(folder)?.runner;
    runner.is_alive().then_some(runner)
}

/// Ends what a killed runner left behind in `folder`, and names it.
pub(crate) async fn clean_up(folder: &Path) -> Vec<String> {
    let left = orphans(folder);
    let mut tree = BTreeSet::new();
    for (_, entry) in &left {
        tree.extend(entry.process.tree());
        entry.process.thaw();
        entry.process.send(entry.stop.parse().unwrap_or(Signal::SIGTERM));
    }
    if !wait_gone(&tree, PATIENCE).await {
        for process in tree.clone() {
            tree.extend(process.kill());
        }
        wait_gone(&tree, PATIENCE).await;
    }
    if !left.is_empty() {
        let _ = fs::remove_file(path(folder));
    }
    names(&left)
}

/// What a killed runner left behind in `folder`.
pub(crate) fn left(folder: &Path) -> Vec<String> {
    names(&orphans(folder))
}

fn orphans(folder: &Path) -> Vec<(String, Entry)> {
    let Some(record) = read(folder).filter(|record| !record.runner.is_alive()) else {
        return Vec::new();
    };
    let components = record.components.into_iter();
    components.filter(|(_, entry)| entry.process.is_alive()).collect()
}

fn names(left: &[(String, Entry)]) -> Vec<String> {
    left.iter().map(|(name, entry)| format!("{name} (process {})", entry.process.pid)).collect()
}

fn read(folder: &Path) -> Option<Record> {
    let text = fs::read(path(folder)).ok()?;
    let record: Record = serde_json::from_slice(&text).ok()?;
    (record.boot == boot()).then_some(record)
}

fn path(folder: &Path) -> PathBuf {
    folder.join("processes.json")
}

fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}
