//! One of the servers under test, as a child process on core 0.

use std::fs::File;
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

    #[cfg(feature = "paired")]
    pub(crate) const fn popular(sampled: u8) -> Self {
        Self { program: "popular", sampled }
    }

    pub(crate) fn name(self) -> String {
        if self == Self::BARE { self.program.into() } else { format!("{} {} %", self.program, self.sampled) }
    }

    /// Beside this program, but for the peers, which have a profile of their own.
    fn path(self) -> anyhow::Result<PathBuf> {
        let folder = std::env::current_exe()?.parent().context("a folder")?.to_owned();
        Ok(if self.program == "popular" { folder.join("../popular") } else { folder }.join(self.program))
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
        let program = subject.path()?;
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
