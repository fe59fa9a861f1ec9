use std::fs;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use serde_json::Value;

use crate::collector::wait_until;
use crate::program::{self, Program, lost};

/// No request may take this long because a sink is stuck. Far above what a busy machine needs.
const STUCK: Duration = Duration::from_secs(1);
/// So many MiB more may be taken by what waits.
const MEMORY: u64 = 16;
/// No more lines than this fit into a pipe.
pub(crate) const PIPE: usize = 64 * 1024 / 200;

/// A folder of its own, which goes with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lines-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// All lines of all files. Each must be JSON.
    pub(crate) fn lines(&self) -> Vec<Value> {
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
pub(crate) fn mounted(arguments: &str) -> Command {
    let script = format!("mount {arguments} && exec {}", program::path().to_str().unwrap());
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    command
}

/// Runs a command where such a program sees it.
pub(crate) fn inside(program: &Program, arguments: &[&str]) {
    let id = program.id().to_string();
    let enter = ["--user", "--mount", "--preserve-credentials", "--target", &id];
    assert!(Command::new("nsenter").args(enter).args(arguments).status().unwrap().success());
}

#[test]
fn a_full_disk_delays_no_request_every_lost_line_is_counted_and_told_and_room_ends_it() {
    let folder = Folder::new("full");
    let mut hello = Program::run(
        mounted(&format!("-t tmpfs -o size=256k tmpfs {}", folder.as_str())),
        &[("LOG_DIR", folder.as_str())],
    );
    // The disk is mounted for the process alone, and held here beyond its end.
    let disk = fs::File::open(format!("/proc/{}/root{}", hello.id(), folder.as_str())).unwrap();
    let seen = Folder(format!("/proc/self/fd/{}", disk.as_raw_fd()).into());
    let before = hello.peak_memory();
    assert!(hello.greet(2000) < STUCK);
    let told = hello.line("telemetry was lost");
    assert_eq!((told["signal"].as_str(), told["reason"].as_str()), (Some("lines"), Some("file")), "{told}");
    assert!(told["cause"].as_str().unwrap().contains("No space left"), "{told}");
    assert!(hello.peak_memory() < before + MEMORY, "from {before} to {} MiB", hello.peak_memory());

    // With what is mounted named, mount asks nothing of mtab: the owner it has there is nobody in this namespace.
    inside(&hello, &["mount", "-o", "remount,size=16m", "tmpfs", folder.as_str()]);
    let greeted = seen.greetings();
    hello.greet(1);
    wait_until("the line that has room", || seen.greetings() > greeted);
    hello.terminate();
    assert!(hello.ended().success());
    let lines = hello.all();
    assert_eq!(lines.len() - seen.lines().len(), lost(&lines, "lines", "file"));
}

#[test]
fn a_folder_that_becomes_read_only_is_counted_and_comes_back() {
    let folder = Folder::new("read-only");
    let command = mounted(&format!("--bind {0} {0}", folder.as_str()));
    let mut hello = Program::run(command, &[("LOG_DIR", folder.as_str())]);
    let before = hello.peak_memory();
    hello.greet(1);
    wait_until("the first line", || folder.greetings() == 1);
    inside(&hello, &["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", folder.as_str()]);
    assert!(hello.greet(2000) < STUCK);
    assert!(hello.line("telemetry was lost")["cause"].as_str().unwrap().contains("Read-only"));
    assert!(hello.peak_memory() < before + MEMORY, "from {before} to {} MiB", hello.peak_memory());
    inside(&hello, &["umount", folder.as_str()]);
    wait_until("a line after it", || {
        hello.greet(1);
        folder.greetings() > 1
    });
    hello.terminate();
    assert!(hello.ended().success());
    let lines = hello.all();
    assert_eq!(lines.len() - folder.lines().len(), lost(&lines, "lines", "file"));
}

#[test]
fn a_blocked_stdout_delays_neither_requests_nor_the_file_and_its_losses_are_in_the_files_last_line() {
    let folder = Folder::new("blocked");
    let mut hello = Program::silent(&[("LOG_DIR", folder.as_str())]);
    let before = hello.peak_memory();
    // Of 1 KiB a request: the pipe holds 64 KiB, and the queue behind it 4 MiB.
    for _ in 0..10 {
        assert!(hello.greet(2000) < STUCK);
    }
    wait_until("the file has all", || folder.greetings() == 20_000);
    assert!(hello.peak_memory() < before + 24, "from {before} to {} MiB", hello.peak_memory());
    hello.terminate();
    assert!(hello.ended().success());
    let lines = folder.lines();
    assert_eq!(lines.last().unwrap()["message"], "telemetry was lost");
    assert_eq!(lost(&lines, "lines", "file"), 0);
    // What the pipe holds counts as lost, for nobody had read it in time. The last line cannot count itself.
    let (written, lost) = (lines.len() - 1, lost(&lines, "lines", "stdout"));
    let missing = written - hello.intact();
    assert!((missing..missing + PIPE).contains(&lost), "{lost} counted, {missing} missing");
}

#[test]
fn a_stdout_that_is_read_again_goes_on_and_what_it_lacks_is_counted() {
    let folder = Folder::new("unblocked");
    let mut hello = Program::silent(&[("LOG_DIR", folder.as_str())]);
    wait_until("lines are lost", || {
        assert!(hello.greet(1000) < STUCK);
        lost(&folder.lines(), "lines", "stdout") > 0
    });
    hello.listen();
    hello.greet_by("somebody", 1);
    while hello.line("greeting")["name_length"] != 8 {}
    hello.terminate();
    assert!(hello.ended().success());
    let lines = folder.lines();
    assert_eq!(lines.len() - hello.all().len(), lost(&lines, "lines", "stdout"));
}

#[test]
fn a_stdout_that_is_closed_is_counted_and_nothing_else_happens() {
    let folder = Folder::new("closed");
    let mut hello = Program::silent(&[("LOG_DIR", folder.as_str())]);
    hello.greet(1);
    hello.read_to("GET /hello/{name} → 200");
    hello.close_stdout();
    let before = hello.peak_memory();
    assert!(hello.greet(2000) < STUCK);
    assert!(hello.peak_memory() < before + MEMORY, "from {before} to {} MiB", hello.peak_memory());
    hello.terminate();
    assert!(hello.ended().success());
    let lines = folder.lines();
    assert_eq!((folder.greetings(), lost(&lines, "lines", "file")), (2001, 0));
    // All but those that were read, and the last, which cannot count itself.
    assert_eq!(lost(&lines, "lines", "stdout"), lines.len() - hello.all().len() - 1);
}

#[test]
fn a_burst_on_a_disk_that_hangs_delays_no_request_and_what_does_not_fit_is_counted() {
    let folder = Folder::new("hangs");
    // A pipe in the file's place, for this hour and the next. It holds 64 KiB.
    let pipes = [0, 1].map(|hours| {
        let hour = (Utc::now() + TimeDelta::hours(hours)).format("%Y-%m-%d-%H");
        let path = folder.0.join(format!("hello.{hour}.jsonl"));
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        // Open for both, so that nobody waits for a reader.
        let held = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        (held, path)
    });
    let mut hello = Program::run(Command::new(program::path()), &[("LOG_DIR", folder.as_str())]);
    let before = hello.peak_memory();
    let port = hello.port;
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| assert!(program::ask(port, "reader", 400, |took, _| assert!(took < STUCK))));
        }
    });
    assert!(hello.peak_memory() < before + 48, "from {before} to {} MiB", hello.peak_memory());

    let readers = pipes.map(|(held, path)| {
        let reader = fs::File::open(path).unwrap();
        drop(held);
        std::thread::spawn(move || std::io::read_to_string(reader).unwrap())
    });
    hello.terminate();
    assert!(hello.ended().success());
    let lines: String = readers.map(|reader| reader.join().unwrap()).concat();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_burst = |line: &&Value| line["message"] == "greeting" || line["message"] == "GET /hello/{name} → 200";
    let lost = lost(&lines, "lines", "buffer_full");
    assert!(lost > 10_000, "{lost}");
    // The program says a few things of its own, which may be among the lost.
    let (others, all) = (10, lines.iter().filter(of_burst).count() + lost);
    assert!((40_000..40_000 + others).contains(&all), "{all}");
}
