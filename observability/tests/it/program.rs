//! The example program, in a process of its own that ends with the test.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::collector::wait_until;

pub(crate) fn path() -> PathBuf {
    example("hello")
}

/// Cargo builds examples along with tests, next to them.
pub(crate) fn example(name: &str) -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().with_file_name("examples").join(name)
}

fn spawn(mut command: Command, settings: &[(&str, &str)]) -> Child {
    let command = command.env_clear().env("PATH", "/usr/bin:/bin").envs(settings.iter().copied());
    command.stdout(Stdio::piped()).spawn().unwrap()
}

/// A program of the stack: in the folder `STACK_BIN`, else on `PATH`. None is a failure where everything
/// has to be there.
#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests have no config.rs, and speak through stdout"
)]
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::var_os("STACK_BIN").map(PathBuf::from).into_iter().chain(std::env::split_paths(&path));
    let found = folders.map(|folder| folder.join(name)).find(|tool| tool.is_file());
    if found.is_none() {
        println!("SKIPPED: needs {name}");
        assert!(std::env::var_os("STACK_REQUIRE").is_none_or(|what| what != "all"), "{name} is missing");
    }
    found
}

fn lines(child: &mut Child) -> Receiver<String> {
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    lines
}

/// A number of the system's, by what stands before it.
fn number(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    value.trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// How much was lost of a signal, by what lines tell.
pub(crate) fn lost(lines: &[Value], signal: &str, reason: &str) -> usize {
    let told = lines.iter().filter(|line| line["message"] == "telemetry was lost");
    let told = told.filter(|line| line["signal"] == signal && line["reason"] == reason);
    told.map(|line| usize::try_from(line["lost"].as_u64().unwrap()).unwrap()).sum()
}

pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
    read: Vec<Value>,
    pub(crate) port: u16,
}

impl Program {
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        Self::run(Command::new(path()), settings)
    }

    /// Runs a command that becomes the program.
    pub(crate) fn run(command: Command, settings: &[(&str, &str)]) -> Self {
        let mut child = spawn(command, settings);
        let lines = lines(&mut child);
        let mut program = Self { child, lines, read: Vec::new(), port: 0 };
        program.port = program.line("listening")["port"].as_u64().unwrap().try_into().unwrap();
        program
    }

    /// Runs it and reads no more than the first line.
    pub(crate) fn silent(settings: &[(&str, &str)]) -> Self {
        let child = spawn(Command::new(path()), settings);
        let mut program = Self { child, lines: mpsc::channel().1, read: Vec::new(), port: 0 };
        program.read_to("listening");
        program.port = program.read[0]["port"].as_u64().unwrap().try_into().unwrap();
        program
    }

    /// Reads what a silent program has written, up to this message and no further.
    pub(crate) fn read_to(&mut self, message: &str) {
        let stdout = self.child.stdout.as_mut().unwrap();
        while self.read.last().is_none_or(|line| line["message"] != message) {
            let mut line = Vec::new();
            while line.last() != Some(&b'\n') {
                let mut byte = [0];
                stdout.read_exact(&mut byte).unwrap();
                line.extend(byte);
            }
            self.read.push(serde_json::from_slice(&line).unwrap());
        }
    }

    /// Reads what a silent program has written, and goes on to.
    pub(crate) fn listen(&mut self) {
        self.lines = lines(&mut self.child);
    }

    pub(crate) fn close_stdout(&mut self) {
        self.child.stdout = None;
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory it has had so far, in MiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        number(&format!("/proc/{}/status", self.id()), "VmHWM:") / 1024
    }

    /// How often a thread of this name has waited.
    pub(crate) fn wakes_of(&self, thread: &str) -> u64 {
        let threads =
            std::fs::read_dir(format!("/proc/{}/task", self.id())).unwrap().map(|entry| entry.unwrap().path());
        let named = |folder: &PathBuf| std::fs::read_to_string(folder.join("comm")).unwrap().trim() == thread;
        let folder = { threads }.find(named).unwrap();
        number(folder.join("status").to_str().unwrap(), "voluntary_ctxt_switches:")
    }

    /// The next line with this message.
    pub(crate) fn line(&mut self, message: &str) -> Value {
        loop {
            let line = self.lines.recv_timeout(Duration::from_mins(1)).unwrap_or_else(|_| panic!("no `{message}`"));
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            self.read.push(line.clone());
            if line["message"] == message {
                return line;
            }
        }
    }

    /// All lines of a program that has ended, those that were read before included.
    pub(crate) fn all(&self) -> Vec<Value> {
        [self.read.clone(), self.rest()].concat()
    }

    /// How many whole lines a silent program, which has ended, has written.
    pub(crate) fn intact(&mut self) -> usize {
        let mut unread = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut unread).unwrap();
        self.read.len() + unread.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count()
    }

    /// All lines that have not been read, when the program has ended.
    pub(crate) fn rest(&self) -> Vec<Value> {
        self.lines.iter().map(|line| serde_json::from_str(&line).unwrap()).collect()
    }

    pub(crate) fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Greets so many times over one connection, and says how long the slowest took.
    pub(crate) fn greet(&self, times: usize) -> Duration {
        self.greet_by("reader", times)
    }

    pub(crate) fn greet_by(&self, name: &str, times: usize) -> Duration {
        let mut slowest = Duration::ZERO;
        let all = self.ask(name, times, |took, _| slowest = slowest.max(took));
        assert!(all, "the program has closed the connection");
        slowest
    }

    /// Asks for greetings over one connection. False when the program closes it before the last.
    pub(crate) fn ask(&self, name: &str, times: usize, each: impl FnMut(Duration, &str)) -> bool {
        ask(self.port, name, times, each)
    }

    /// A value of its metrics.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let report = self.get("/metrics");
        let line = report.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in {report}")).parse().unwrap()
    }

    pub(crate) fn dropped(&self, signal: &str, reason: &str) -> f64 {
        self.metric(&format!("telemetry_dropped_total{{signal=\"{signal}\",reason=\"{reason}\"}}"))
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the program has ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks for greetings over one connection. False when the program closes it before the last.
pub(crate) fn ask(port: u16, name: &str, times: usize, mut each: impl FnMut(Duration, &str)) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let (ask, end) = (format!("GET /hello/{name} HTTP/1.1\r\nhost: test\r\n\r\n"), format!("Hello, {name}!"));
    for _ in 0..times {
        let began = Instant::now();
        // One write: pieces would wait for each other's acknowledgement.
        if stream.write_all(ask.as_bytes()).is_err() {
            return false;
        }
        let mut answer = Vec::new();
        while !answer.ends_with(end.as_bytes()) {
            let mut chunk = [0; 8192];
            let Ok(length @ 1..) = stream.read(&mut chunk) else { return false };
            answer.extend_from_slice(&chunk[..length]);
        }
        each(began.elapsed(), &String::from_utf8_lossy(&answer));
    }
    true
}
