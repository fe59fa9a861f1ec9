//! The real program, started with settings of its own and spoken to over the network.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use serde_json::Value;

/// The program with an empty environment.
pub(crate) fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_service"));
    command.args(arguments).env_clear().envs(environment.iter().copied());
    command
}

/// Runs it to its end.
pub(crate) fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    command(arguments, environment).output().unwrap()
}

/// The program, serving.
pub(crate) struct Program {
    pub(crate) process: Child,
    pub(crate) public: String,
    pub(crate) admin: String,
    lines: Receiver<Value>,
}

impl Program {
    /// Starts it on free ports, and returns when it listens.
    pub(crate) fn serve(database_url: &str, environment: &[(&str, &str)]) -> Self {
        let fixed = [("DATABASE_URL", database_url), ("LISTEN", "127.0.0.1:0"), ("ADMIN_LISTEN", "127.0.0.1:0")];
        let mut program = Self::spawn(command(&[], &fixed).envs(environment.iter().copied()));
        let listening = program.line("listening");
        program.public = listening["listen"].as_str().unwrap().into();
        program.admin = listening["admin_listen"].as_str().unwrap().into();
        program
    }

    /// Starts the payments provider that it can play, on a free port: `public`.
    pub(crate) fn payments_stub() -> Self {
        let mut program = Self::spawn(&mut command(&["payments-stub"], &[("PAYMENTS_LISTEN", "127.0.0.1:0")]));
        program.public = program.line("listening")["listen"].as_str().unwrap().into();
        program
    }

    fn spawn(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).unwrap());
            }
        });
        Self { process, public: String::new(), admin: String::new(), lines }
    }

    /// Waits for a line with this message.
    pub(crate) fn line(&self, message: &str) -> Value {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(20));
            let line = line.unwrap_or_else(|_| panic!("no line says {message:?}"));
            if line["message"].as_str().is_some_and(|text| text.starts_with(message)) {
                return line;
            }
        }
    }

    /// What a probe gets: status and body.
    pub(crate) fn probe(&self, path: &str) -> (u16, String) {
        exchange(&self.admin, "GET", path, "").unwrap()
    }

    pub(crate) fn terminate(&self) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One request on one connection: status and body.
pub(crate) fn exchange(address: &str, method: &str, path: &str, body: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nhost: test\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Ok((status, body.to_owned()))
}
