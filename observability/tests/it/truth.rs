use std::collections::{BTreeMap, HashMap};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use jsonschema::Validator;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Held;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::Value;

use crate::collector::{Collector, hex, wait_until};
use crate::program::{self, Program};

/// What a request may carry, and telemetry never repeats.
const SECRETS: [&str; 3] = ["s3cret-token", "hunter2", "jane@example.com"];

/// Lines that are written inside of requests.
const INSIDE: [&str; 4] = ["asked", "cut", "slow", "panicked"];

static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let schema: Value = serde_json::from_str(include_str!("../../line.schema.json")).unwrap();
    jsonschema::validator_for(&schema).unwrap()
});

/// Whether this request's client is gone before the end of the answer.
fn leaves(number: usize) -> bool {
    number % 50 == 49
}

/// So many requests of all kinds, from so many clients at once.
fn load(port: u16, clients: usize, each: usize) {
    let client = observability::client::builder().build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let parent = Arc::new(AtomicUsize::new(1));
    let ask = |who: usize, number: usize| {
        let (path, method) = match number % 10 {
            1 => ("/bad".to_owned(), "GET"),
            2 => ("/broken".to_owned(), "GET"),
            3 => ("/busy".to_owned(), "POST"),
            5 => ("/failed".to_owned(), "GET"),
            6 => ("/nowhere/at/all".to_owned(), "BREW"),
            7 => ("/panic".to_owned(), "GET"),
            8 => ("/slow".to_owned(), "GET"),
            9 if leaves(number) => ("/endless".to_owned(), "GET"),
            9 => ("/ok/x/y".to_owned(), "HEAD"),
            _ => (format!("/ok/{who}/{number}"), "GET"),
        };
        let url = format!("http://127.0.0.1:{port}{path}?token=hunter2&mail=jane@example.com");
        let id = parent.fetch_add(1, Ordering::Relaxed);
        let traceparent = match number % 4 {
            0 => format!("00-{id:032x}-{id:016x}-01"),
            1 => format!("00-{id:032x}-{id:016x}-00"),
            2 => "00-forged-\"id\"-01".to_owned(),
            _ => format!("cc-{id:032x}-{id:016x}-01-later"),
        };
        client
            .request(method.parse().unwrap(), url)
            .header("authorization", "Bearer s3cret-token")
            .header("traceparent", traceparent)
            .header("x-request-id", if number.is_multiple_of(3) { "a{b}" } else { "r-1" })
            .body("jane@example.com")
            .send()
    };
    runtime.block_on(futures_util::future::join_all((0..clients).map(|who| async move {
        for number in 0..each {
            let answer = match ask(who, number).await {
                Ok(answer) => answer,
                // What breaks off may do so before its head has left.
                Err(_) if number % 10 == 2 => continue,
                Err(error) => panic!("{error}"),
            };
            if leaves(number) {
                drop(answer);
            } else {
                let _ = answer.bytes().await;
            }
        }
    })));
}

fn text<'a>(line: &'a Value, key: &str) -> &'a str {
    line[key].as_str().unwrap_or_default()
}

/// Lines by what the histogram tells apart.
fn by_kind(closing: &[&Value]) -> BTreeMap<String, (u64, f64)> {
    let mut kinds: BTreeMap<String, (u64, f64)> = BTreeMap::new();
    for line in closing {
        let (method, route) = (text(line, "http.request.method"), text(line, "http.route"));
        let status = line["http.response.status_code"].as_u64().unwrap();
        let error_type = match text(line, "failure_type") {
            "" if status == 499 => "cancelled".to_owned(),
            "" if status >= 500 => status.to_string(),
            failure_type => failure_type.to_owned(),
        };
        let kind = format!("{method} {route} {status} {error_type}");
        let kind = kinds.entry(kind).or_default();
        kind.0 += 1;
        kind.1 += line["duration_ms"].as_f64().unwrap() / 1000.0;
    }
    kinds
}

/// The same, from the report.
fn observed(report: &str) -> BTreeMap<String, (u64, f64)> {
    let mut kinds: BTreeMap<String, (u64, f64)> = BTreeMap::new();
    for line in report.lines() {
        let Some(series) = line.strip_prefix("http_server_request_duration_seconds_") else { continue };
        let (series, value) = series.rsplit_once(' ').unwrap();
        let label = |name: &str| {
            let from = series.split_once(&format!("{name}=\"")).unwrap().1;
            from.split_once('"').unwrap().0.to_owned()
        };
        let kind =
            ["http_request_method", "http_route", "http_response_status_code", "error_type"].map(label).join(" ");
        let kind = kinds.entry(kind).or_default();
        if series.starts_with("count") {
            kind.0 += value.parse::<u64>().unwrap();
        } else if series.starts_with("sum") {
            kind.1 += value.parse::<f64>().unwrap();
        }
    }
    // Known since its head was answered, and not observed: it ended otherwise.
    kinds.retain(|kind, (count, _)| *count > 0 && !kind.contains(" /metrics "));
    kinds
}

/// Requests that are being answered.
fn active(report: &str) -> f64 {
    let gauges = report.lines().filter(|line| line.starts_with("http_server_active_requests{"));
    gauges.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

fn attribute(span: &Span, key: &str) -> String {
    let held = span.attributes.iter().find(|held| held.key == key);
    match held.and_then(|held| held.value.as_ref()?.value.as_ref()) {
        Some(Held::StringValue(text)) => text.clone(),
        Some(Held::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

#[test]
fn after_twenty_thousand_mixed_requests_every_line_is_sound_and_lines_spans_and_numbers_agree() {
    for (ratio, each) in [("0", 50), ("0.1", 50), ("1", 2400)] {
        let collector = Collector::start();
        let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.endpoint()), ("OTEL_TRACES_SAMPLER_ARG", ratio)];
        let mut mixed = Program::run(Command::new(program::example("mixed")), &settings);
        load(mixed.port, 8, each);
        let mut report = String::new();
        wait_until("all but the question itself have ended", || {
            report = mixed.get("/metrics");
            active(&report) <= 1.0
        });
        mixed.terminate();
        assert!(mixed.ended().success());
        let lines = mixed.rest();
        assert_eq!(lines.last().unwrap()["message"], "stopped");

        check_lines(&lines);
        let closing = |line: &&Value| text(line, "target") == "observability::http" && line["http.route"] != "/metrics";
        let closing: Vec<_> = lines.iter().filter(closing).collect();
        assert_eq!(closing.len(), 8 * each);
        let kinds = by_kind(&closing);
        let count = |kind: &str| kinds.get(kind).map_or(0, |(count, _)| *count);
        let every = |nth: usize| u64::try_from(8 * each / nth).unwrap();
        assert_eq!(count("GET /endless 499 cancelled"), every(50), "{kinds:?}");
        assert_eq!(count("GET /broken 500 500"), every(10), "{kinds:?}");
        assert_eq!(count("GET /bad 502 502"), every(10), "{kinds:?}");
        assert_eq!(count("GET /panic 500 panic"), every(10), "{kinds:?}");
        check_numbers(&kinds, &observed(&report));
        let spans = collector.spans();
        check_spans(&closing, &spans);
        if ratio == "1" {
            // A caller that does not sample is obeyed.
            assert!(spans.iter().filter(|span| span.kind == 2).count() > 8 * each / 2);
        }
    }
}

fn check_lines(lines: &[Value]) {
    let mut last: HashMap<u64, u64> = HashMap::new();
    for line in lines {
        if let Err(error) = SCHEMA.validate(line) {
            panic!("{error}: {line}");
        }
        let said = line.to_string();
        assert!(said.len() <= 16 * 1024 && !said.contains("forged\",\"service"), "{said}");
        assert!(SECRETS.iter().all(|secret| !said.contains(secret)), "{said}");
        let keys: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys[..7], ["timestamp", "level", "message", "service", "version", "env", "target"]);
        assert_eq!(text(line, "service"), "mixed");
        if line["message"] == "asked" {
            let (client, number) = (line["client"].as_u64().unwrap(), line["number"].as_u64().unwrap());
            assert!(last.insert(client, number).is_none_or(|before| before < number), "out of order: {line}");
        }
        let inside = INSIDE.contains(&text(line, "message")) || line["target"] == "third::party";
        assert!(!inside || !text(line, "trace_id").is_empty(), "{line}");
    }
    assert!(lines.iter().any(|line| line["target"] == "third::party"));
    for message in INSIDE {
        assert!(lines.iter().any(|line| line["message"] == message), "no line says {message}");
    }
}

fn check_numbers(lines: &BTreeMap<String, (u64, f64)>, observed: &BTreeMap<String, (u64, f64)>) {
    assert_eq!(lines.keys().collect::<Vec<_>>(), observed.keys().collect::<Vec<_>>());
    for (kind, (count, seconds)) in lines {
        let (observations, sum) = observed[kind];
        assert_eq!(*count, observations, "{kind}");
        // A line has microseconds.
        let rounding = 0.000_001 * f64::from(u32::try_from(*count).unwrap());
        assert!((seconds - sum).abs() <= rounding, "{kind}: {seconds} in lines, {sum} observed");
    }
}

fn check_spans(closing: &[&Value], spans: &[Span]) {
    let lines: HashMap<_, _> = closing.iter().map(|line| (text(line, "span_id"), *line)).collect();
    for span in spans.iter().filter(|span| span.kind == 2 && attribute(span, "http.route") != "/metrics") {
        let line = lines.get(&*hex(&span.span_id)).unwrap_or_else(|| panic!("no line of {span:?}"));
        assert_eq!(text(line, "trace_id"), hex(&span.trace_id));
        assert_eq!(line["http.response.status_code"].to_string(), attribute(span, "http.response.status_code"));
        if line["http.route"] != "unmatched" {
            assert_eq!(text(line, "http.route"), attribute(span, "http.route"));
        }
        let took = f64::from(u32::try_from(span.end_time_unix_nano - span.start_time_unix_nano).unwrap()) / 1e6;
        let said = line["duration_ms"].as_f64().unwrap();
        assert!((took - said).abs() < 0.002, "{took} ms in the span, {said} ms in {line}");
        assert_eq!(span.status.as_ref().is_some_and(|status| status.code == 2), line["level"] == "ERROR", "{line}");
        let whole = format!("{span:?}");
        assert!(SECRETS.iter().all(|secret| !whole.contains(secret)), "{whole}");
    }
}
