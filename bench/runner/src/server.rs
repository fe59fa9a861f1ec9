//! One of the servers under test, as a child process on core 0.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;

/// What is served, and how much of it is traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    /// `bare`, `ours` or `popular`.
    pub(crate) program: &'static str,
    /// Percent of requests that are sampled.
    pub(crate) sampled: u8,
}

impl Subject {
    pub(crate) const BARE: Self = Self { program: "bare", sampled: 0 };

    pub(crate) const fn ours(sampled: u8) -> Self {
        Self { program: "ours", sampled }
    }

    pub(crate) const fn popular(sampled: u8) -> Self {
        Self { program: "popular", sampled }
    }

    pub(crate) fn name(self) -> String {
        if self == Self::BARE { self.program.into() } else { format!("{} {} %", self.program, self.sampled) }
    }
}

pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// The process that serves, below `taskset` and `valgrind`, which replace themselves by it.
    pub(crate) pid: u32,
}

impl Server {
    /// Starts it behind `wrapper`, for example valgrind, and waits until it listens.
    pub(crate) fn start(subject: Subject, collector: &str, wrapper: &[String]) -> anyhow::Result<Self> {
        let program = programs()?.join(subject.program);
        let mut words = vec!["taskset".to_owned(), "-c".to_owned(), "0".to_owned()];
        words.extend(wrapper.iter().cloned());
        words.push(program.display().to_string());
        let (first, rest) = words.split_first().context("a command")?;
        let lines = File::create(std::env::temp_dir().join(format!("bench-{}.jsonl", std::process::id())))?;
        let mut child = Command::new(first)
            .args(rest)
            .env("OTEL_TRACES_SAMPLER_ARG", format!("{}", f64::from(subject.sampled) / 100.0))
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(lines)
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{first} is needed: install util-linux and valgrind"))?;
        let pid = child.id();
        let said = child.stderr.take().context("its error output")?;
        // Valgrind speaks first, each line between equal signs.
        let address = BufReader::new(said).lines().map_while(Result::ok).find_map(|line| line.parse().ok());
        let address = address.with_context(|| format!("{} ended before it listened", program.display()))?;
        Ok(Self { child, address, pid })
    }

    /// User and system time so far, in seconds.
    pub(crate) fn cpu(&self) -> anyhow::Result<(f64, f64)> {
        const TICKS: f64 = 100.0;
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        let fields: Vec<&str> = stat.rsplit_once(')').context("stat")?.1.split_whitespace().collect();
        let read = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).context("a time");
        Ok((read(11)? / TICKS, read(12)? / TICKS))
    }

    /// Resident memory, in MiB.
    pub(crate) fn resident(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        let kibibytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kibibytes / 1024.0)
    }

    /// Asks it to end, and waits.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        Command::new("kill").arg(self.pid.to_string()).status()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The servers are built beside this program.
fn programs() -> anyhow::Result<PathBuf> {
    Ok(std::env::current_exe()?.parent().context("a folder")?.to_owned())
}
