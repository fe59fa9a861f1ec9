use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::collector::Collector;
use crate::program::{self, Program};

#[test]
fn one_request_is_seen_on_stdout_in_the_file_in_the_report_and_at_the_collector() {
    let folder = std::env::temp_dir().join(format!("hello-{}", std::process::id()));
    let collector = Collector::start();
    let settings = [("LOG_DIR", folder.to_str().unwrap()), ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())];
    let mut hello = Program::start(&settings);
    let answer = hello.get("/hello/reader");
    assert!(answer.ends_with("Hello, reader!"), "{answer}");

    let greeting = hello.line("greeting");
    let closing = hello.line("GET /hello/{name} → 200");
    assert_eq!((&closing["name_length"], &closing["trace_id"]), (&6.into(), &greeting["trace_id"]));
    let traceresponse = format!("traceresponse: 00-{}-", closing["trace_id"].as_str().unwrap());
    assert!(answer.contains(&traceresponse), "{answer}");
    assert!((hello.metric("greetings_total") - 1.0).abs() < f64::EPSILON);

    collector.wait_for_spans(1);
    assert_eq!(collector.spans()[0].name, "GET /hello/{name}");
    assert!(collector.resources()[0].contains("service.name"), "{:?}", collector.resources());

    hello.terminate();
    hello.line("stopped");
    assert!(hello.ended().success());
    let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    assert_eq!(file.extension().unwrap(), "jsonl");
    let lines = std::fs::read_to_string(&file).unwrap();
    let messages: Vec<_> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["message"].clone()).collect();
    assert_eq!((messages.first().unwrap(), messages.last().unwrap()), (&"listening".into(), &"stopped".into()));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn an_outgoing_call_carries_the_trace_into_the_next_service() {
    let collector = Collector::start();
    let hello = Program::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())]);
    assert!(hello.get("/ask/reader").ends_with("Hello, reader!"));
    collector.wait_for_spans(3);
    let spans = collector.spans();
    let named = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let (asked, call, greeted) = (named("GET /ask/{name}"), named("GET"), named("GET /hello/{name}"));
    assert_eq!((&call.parent_span_id, &greeted.parent_span_id), (&asked.span_id, &call.span_id));
    assert!(spans.iter().all(|span| span.trace_id == asked.trace_id));
}

#[test]
fn a_deployment_may_say_which_version_it_is_and_lines_may_be_for_people() {
    let folder = std::env::temp_dir().join(format!("deployed-{}", std::process::id()));
    let version = "service.version=9.9.9,vcs.ref.head.revision=abc123";
    let hello = Program::start(&[("OTEL_RESOURCE_ATTRIBUTES", version), ("LOG_DIR", folder.to_str().unwrap())]);
    let report = hello.get("/metrics");
    assert!(report.contains("volume_free_ratio{volume=\"logs\"} 0."), "{report}");
    let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    assert!(std::fs::read_to_string(file).unwrap().contains("\"version\":\"9.9.9\""));
    std::fs::remove_dir_all(folder).unwrap();
    let mut command = Command::new(program::path());
    command.env_clear().env("LOG_FORMAT", "text").stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.contains(" INFO  listening port="), "{line}");
}

#[test]
fn a_wrong_setting_stops_the_start_and_is_named() {
    for (name, value) in [
        ("RUST_LOG", "app=loud"),
        ("LOG_DIR", "/proc/logs"),
        ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector"),
    ] {
        let output = Command::new(program::path()).env_clear().env(name, value).output().unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(name), "{name}: {said}");
    }
}
