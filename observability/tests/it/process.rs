use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use serde_json::Value;

/// The example program, in a process of its own that ends with the test.
struct Hello {
    child: Child,
    lines: BufReader<ChildStdout>,
    port: u16,
}

impl Hello {
    fn start(settings: &[(&str, &str)]) -> Self {
        // Cargo builds examples along with tests, next to them.
        let program = std::env::current_exe().unwrap().parent().unwrap().with_file_name("examples").join("hello");
        let command = &mut Command::new(program);
        let mut child = command.env_clear().envs(settings.iter().copied()).stdout(Stdio::piped()).spawn().unwrap();
        let mut hello = Self { lines: BufReader::new(child.stdout.take().unwrap()), child, port: 0 };
        let listening = hello.line("listening");
        hello.port = listening["port"].as_u64().unwrap().try_into().unwrap();
        hello
    }

    /// The next line with this message.
    fn line(&mut self, message: &str) -> Value {
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "it ended without saying `{message}`");
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            if line["message"] == message {
                return line;
            }
        }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn terminate(&mut self) {
        let status = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Hello {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Takes OTLP, and hands over each body it was sent.
fn collector() -> (String, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, bodies) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.get_mut().write_all(answer).unwrap();
            if sender.send(body).is_err() {
                return;
            }
        }
    });
    (endpoint, bodies)
}

#[test]
fn one_request_is_seen_on_stdout_in_the_file_in_the_report_and_at_the_collector() {
    let folder = std::env::temp_dir().join(format!("hello-{}", std::process::id()));
    let (endpoint, bodies) = collector();
    let settings = [("LOG_DIR", folder.to_str().unwrap()), ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)];
    let mut hello = Hello::start(&settings);
    let answer = hello.get("/hello/reader");
    assert!(answer.ends_with("Hello, reader!"), "{answer}");

    let greeting = hello.line("greeting");
    let closing = hello.line("GET /hello/{name} → 200");
    assert_eq!((&closing["name_length"], &closing["trace_id"]), (&6.into(), &greeting["trace_id"]));
    let traceresponse = format!("traceresponse: 00-{}-", closing["trace_id"].as_str().unwrap());
    assert!(answer.contains(&traceresponse), "{answer}");

    let report = hello.get("/metrics");
    assert!(report.contains("\ngreetings_total 1\n"), "{report}");
    assert!(report.contains("telemetry_dropped_total{signal=\"spans\",reason=\"export\"} 0\n"), "{report}");

    let body = bodies.recv_timeout(Duration::from_secs(10)).unwrap();
    let sent = String::from_utf8_lossy(&body);
    assert!(sent.contains("GET /hello/{name}") && sent.contains("service.name"), "{sent}");

    hello.terminate();
    hello.line("stopped");
    assert!(hello.child.wait().unwrap().success());
    let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    assert_eq!(file.extension().unwrap(), "jsonl");
    let lines = std::fs::read_to_string(&file).unwrap();
    let messages: Vec<_> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["message"].clone()).collect();
    assert_eq!((messages.first().unwrap(), messages.last().unwrap()), (&"listening".into(), &"stopped".into()));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_collector_that_refuses_is_counted_and_the_process_still_ends() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut hello = Hello::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{closed}"))]);
    hello.get("/hello/reader");
    let warning = hello.line("spans could not be sent: is the collector up?");
    assert_eq!((&warning["failure_type"], &warning["spans"]), (&"telemetry".into(), &1.into()));
    assert!(hello.get("/metrics").contains("telemetry_dropped_total{signal=\"spans\",reason=\"export\"} 1\n"));
    hello.terminate();
    hello.line("stopped");
    assert!(hello.child.wait().unwrap().success());
}

#[test]
fn a_wrong_setting_stops_the_start_and_is_named() {
    for (name, value) in [("RUST_LOG", "app=loud"), ("LOG_DIR", "/proc/logs"), ("OTEL_TRACES_SAMPLER_ARG", "2")] {
        let program = std::env::current_exe().unwrap().parent().unwrap().with_file_name("examples").join("hello");
        let output = Command::new(program).env_clear().env(name, value).output().unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(name), "{name}: {said}");
    }
}
