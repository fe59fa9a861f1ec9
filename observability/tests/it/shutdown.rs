use std::collections::BTreeSet;
use std::sync::Mutex;

use serde_json::Value;

use crate::collector::{Behaviour, Collector, hex, wait_until};
use crate::program::{self, Program, lost};
use crate::sinks::{Folder, PIPE};

/// Ends the program while ten clients ask it, and says the traces of all that was answered.
fn end_under_load(hello: &mut Program) -> BTreeSet<String> {
    let (port, answered) = (hello.port, Mutex::new(BTreeSet::new()));
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                program::ask(port, "reader", usize::MAX, |_, answer| {
                    let trace = answer.split_once("traceresponse: 00-").unwrap().1;
                    answered.lock().unwrap().insert(trace[..32].to_owned());
                })
            });
        }
        wait_until("some load", || answered.lock().unwrap().len() > 1000);
        hello.terminate();
    });
    assert!(hello.ended().success());
    answered.into_inner().unwrap()
}

/// The traces of all requests that were answered, by their closing lines.
fn closed(lines: &[Value]) -> BTreeSet<String> {
    let closing = lines.iter().filter(|line| line["message"] == "GET /hello/{name} → 200");
    closing.map(|line| line["trace_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_shutdown_under_load_leaves_a_line_and_a_span_of_every_request_that_was_answered() {
    let collector = Collector::start();
    let mut hello = Program::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())]);
    let answered = end_under_load(&mut hello);
    let lines = hello.all();
    assert_eq!(lines.last().unwrap()["message"], "stopped");
    let sent: BTreeSet<_> = collector.spans().iter().map(|span| hex(&span.trace_id)).collect();
    assert_eq!(closed(&lines), answered);
    assert_eq!(sent, answered);
}

#[test]
fn a_shutdown_under_load_without_a_collector_counts_the_span_of_every_request_in_the_last_line() {
    let mut collector = Collector::start();
    collector.behave(Behaviour::Stop);
    let mut hello = Program::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())]);
    let answered = end_under_load(&mut hello);
    let lines = hello.all();
    assert_eq!(closed(&lines), answered);
    let told = lines.iter().rev().take_while(|line| line["message"] == "telemetry was lost").cloned();
    let told: Vec<_> = told.collect();
    let lost = lost(&told, "spans", "shutdown") + lost(&told, "spans", "export");
    assert_eq!(lost, answered.len());
}

#[test]
fn a_shutdown_under_load_with_a_blocked_stdout_counts_its_lines_in_the_last_line_of_the_file() {
    let (collector, folder) = (Collector::start(), Folder::new("shutdown"));
    let settings = [("LOG_DIR", folder.as_str()), ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.endpoint())];
    let mut hello = Program::silent(&settings);
    let answered = end_under_load(&mut hello);
    let lines = folder.lines();
    let sent: BTreeSet<_> = collector.spans().iter().map(|span| hex(&span.trace_id)).collect();
    assert_eq!(closed(&lines), answered);
    assert_eq!(sent, answered);
    assert_eq!(lines.last().unwrap()["message"], "telemetry was lost");
    let (missing, lost) = (lines.len() - 1 - hello.intact(), lost(&lines, "lines", "stdout"));
    assert!((missing..missing + PIPE).contains(&lost), "{lost} counted, {missing} missing");
}
