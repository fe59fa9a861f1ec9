use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::collector::wait_until;
use crate::program::{self, Program};

/// No request may take this long because a sink is stuck. Far above what a busy machine needs.
const STUCK: Duration = Duration::from_secs(1);

/// A folder of its own, which goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lines-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn as_str(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// All lines of all files. Each must be JSON.
    fn lines(&self) -> Vec<Value> {
        let files = fs::read_dir(&self.0).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
        let texts: Vec<_> = files.collect();
        texts.iter().flat_map(|text| text.lines()).map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn greetings(&self) -> usize {
        self.lines().iter().filter(|line| line["message"] == "greeting").count()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_log_file_that_is_deleted_or_rotated_is_opened_anew_without_a_restart() {
    let folder = Folder::new("rotated");
    let hello = Program::start(&[("LOG_DIR", folder.as_str())]);
    hello.greet(1);
    wait_until("the first line", || folder.greetings() == 1);
    let file = fs::read_dir(&folder.0).unwrap().next().unwrap().unwrap().path();
    fs::rename(&file, file.with_extension("old")).unwrap();
    hello.greet(1);
    wait_until("the line after the rotation", || file.exists() && folder.greetings() == 2);
    fs::remove_file(&file).unwrap();
    hello.greet(1);
    wait_until("the line after the deletion", || file.exists() && folder.greetings() == 2);
    assert!(hello.dropped("lines", "file") < 1.0);
}

/// The program in a mount namespace of its own, after `mount` with these arguments.
fn mounted(arguments: &str) -> Command {
    let script = format!("mount {arguments} && exec {}", program::path().to_str().unwrap());
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    command
}

#[test]
fn a_full_disk_delays_no_request_every_lost_line_is_counted_and_told_and_room_ends_it() {
    let folder = Folder::new("full");
    let mut hello = Program::run(
        mounted(&format!("-t tmpfs -o size=256k tmpfs {}", folder.as_str())),
        &[("LOG_DIR", folder.as_str())],
    );
    // Seen through the process: the disk is mounted for it alone.
    let seen = PathBuf::from(format!("/proc/{}/root{}", hello.id(), folder.as_str()));
    assert!(hello.greet(2000) < STUCK);
    let told = hello.line("telemetry was lost");
    assert_eq!((told["signal"].as_str(), told["reason"].as_str()), (Some("lines"), Some("file")), "{told}");
    assert!(told["cause"].as_str().unwrap().contains("No space left"), "{told}");

    let files = || fs::read_dir(&seen).unwrap().map(|entry| entry.unwrap().path());
    let read = || files().map(|file| fs::read_to_string(file).unwrap()).collect::<String>();
    let held = read();
    assert!(held.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "a torn line");
    wait_until("every line is in the file or counted", || {
        let written = f64::from(u32::try_from(read().lines().count()).unwrap());
        let lines = 2.0 * hello.metric("greetings_total");
        // Asking is a request with a line of its own.
        written + hello.dropped("lines", "file") >= lines
    });

    files().for_each(|file| fs::remove_file(file).unwrap());
    hello.greet(1);
    wait_until("the line that has room", || read().contains("greeting"));
    hello.terminate();
    assert!(hello.ended().success());
}

#[test]
fn a_folder_that_becomes_read_only_is_counted_and_comes_back() {
    let folder = Folder::new("read-only");
    let command = mounted(&format!("--bind {0} {0}", folder.as_str()));
    let mut hello = Program::run(command, &[("LOG_DIR", folder.as_str())]);
    hello.greet(1);
    wait_until("the first line", || folder.greetings() == 1);
    let inside = |arguments: &[&str]| {
        let id = hello.id().to_string();
        let enter = ["--user", "--mount", "--preserve-credentials", "--target", &id];
        assert!(Command::new("nsenter").args(enter).args(arguments).status().unwrap().success());
    };
    inside(&["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", folder.as_str()]);
    assert!(hello.greet(10) < STUCK);
    wait_until("the lines are counted", || hello.dropped("lines", "file") >= 20.0);
    inside(&["umount", folder.as_str()]);
    hello.greet(1);
    wait_until("the line after it", || folder.greetings() == 2);
    assert!(hello.line("telemetry was lost")["cause"].as_str().unwrap().contains("Read-only"));
}

#[test]
fn a_blocked_stdout_delays_neither_requests_nor_the_file_and_its_losses_are_in_the_files_last_line() {
    let folder = Folder::new("blocked");
    let hello = Program::silent(&[("LOG_DIR", folder.as_str())]);
    let before = hello.peak_memory();
    let long = "long".repeat(1000);
    assert!(hello.greet_by(&long, 20) < STUCK);
    // Of 1 KiB a request: the pipe holds 64 KiB, and the queue behind it 4 MiB.
    for _ in 0..10 {
        assert!(hello.greet(2000) < STUCK);
    }
    wait_until("lines are dropped", || hello.dropped("lines", "stdout") > 0.0);
    wait_until("the file has all", || folder.greetings() == 20_020);
    assert!(hello.dropped("lines", "file") < 1.0);
    assert!(hello.peak_memory() < before + 24, "from {before} to {} MiB", hello.peak_memory());
    hello.terminate();
    let mut hello = hello;
    assert!(hello.ended().success());
    let lines = folder.lines();
    let told: Vec<_> = lines.iter().filter(|line| line["message"] == "telemetry was lost").collect();
    assert_eq!(lines.last(), told.last().copied(), "{:?}", lines.last());
    let lost: u64 = told.iter().map(|line| line["lost"].as_u64().unwrap()).sum();
    assert!(lost > 20_000, "{lost}");
}

#[test]
fn a_stdout_that_is_closed_is_counted_and_nothing_else_happens() {
    let folder = Folder::new("closed");
    let mut hello = Program::silent(&[("LOG_DIR", folder.as_str())]);
    hello.close_stdout();
    assert!(hello.greet(10) < STUCK);
    wait_until("the lines are counted", || hello.dropped("lines", "stdout") >= 20.0);
    wait_until("the file has all", || folder.greetings() == 10);
    hello.terminate();
    assert!(hello.ended().success());
}
