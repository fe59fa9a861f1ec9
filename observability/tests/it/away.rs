use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::collector::{Behaviour, Collector, wait_until};
use crate::program::{Program, lost};
use crate::sinks::{self, Folder};

/// No request may take this long because telemetry is stuck. Far above what a busy machine needs.
const STUCK: Duration = Duration::from_secs(1);
/// So many MiB more may be taken by what waits.
const MEMORY: u64 = 16;
const GREETING: &str = "GET /hello/{name}";

#[test]
fn a_collector_that_refuses_for_a_while_and_comes_back_has_every_span_once() {
    let mut collector = Collector::start();
    let hello = Program::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())]);
    let before = hello.peak_memory();
    collector.behave(Behaviour::Answer(503));
    assert!(hello.greet(200) < STUCK);
    wait_until("a second attempt", || collector.requests() >= 2);
    collector.behave(Behaviour::Stop);
    assert!(hello.greet(200) < STUCK);
    collector.behave(Behaviour::Accept);
    assert!(hello.greet(200) < STUCK);

    collector.wait_for_spans(600);
    let ids: BTreeSet<_> = collector.spans().into_iter().map(|span| span.span_id).collect();
    assert_eq!((ids.len(), collector.spans().len()), (600, 600));
    assert!(hello.peak_memory() < before + MEMORY, "from {before} to {} MiB", hello.peak_memory());
    assert!(hello.dropped("spans", "export") + hello.dropped("spans", "queue_full") < 1.0);
}

#[test]
fn spans_that_a_collector_refuses_for_good_are_counted_and_told() {
    for (behaviour, cause) in [
        (Behaviour::Answer(400), "the collector answered 400 Bad Request"),
        (Behaviour::Answer(308), "the collector answered 308 Permanent Redirect"),
        (Behaviour::Reject, "the collector rejected spans: too old"),
    ] {
        let mut collector = Collector::start();
        collector.behave(behaviour);
        let mut hello = Program::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())]);
        hello.greet(1);
        let told = hello.line("telemetry was lost");
        assert_eq!((told["signal"].as_str(), told["reason"].as_str()), (Some("spans"), Some("export")), "{told}");
        assert_eq!((told["lost"].as_u64(), told["failure_type"].as_str()), (Some(1), Some("telemetry")), "{told}");
        assert_eq!((&told["cause"], collector.requests()), (&cause.into(), 1));
        assert!((hello.dropped("spans", "export") - 1.0).abs() < f64::EPSILON);
    }
}

#[test]
fn a_process_whose_collector_is_away_ends_in_time_and_its_last_line_counts_the_spans() {
    for behaviour in [Behaviour::Stop, Behaviour::Swallow] {
        let mut collector = Collector::start();
        collector.behave(behaviour);
        let mut hello = Program::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())]);
        assert!(hello.greet(100) < STUCK);
        hello.terminate();
        hello.line("stopped");
        assert!(hello.ended().success());
        let lost: u64 = hello.rest().iter().map(|line| line["lost"].as_u64().unwrap()).sum();
        assert_eq!(lost, 100, "{behaviour:?}");
    }
}

#[test]
fn a_collector_that_never_answers_costs_bounded_memory_and_what_does_not_fit_is_counted() {
    let mut collector = Collector::start();
    let mut hello = Program::start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint()),
        ("RUST_LOG", "info,observability=error"),
    ]);
    hello.greet(100);
    let before = hello.peak_memory();
    collector.behave(Behaviour::Swallow);
    // A span of more than 4 KiB: 8 MiB are full after 2,000 of them.
    assert!(hello.greet_by(&"long".repeat(1024), 2500) < STUCK);
    hello.line("telemetry was lost");
    assert!(hello.peak_memory() < before + MEMORY, "from {before} to {} MiB", hello.peak_memory());

    collector.behave(Behaviour::Accept);
    wait_until("what waited is there", || collector.named(GREETING) > 1600);
    hello.terminate();
    assert!(hello.ended().success());
    let lines = hello.all();
    let dropped = lost(&lines, "spans", "queue_full");
    assert!((300..1000).contains(&dropped), "{dropped} dropped");
    assert_eq!(collector.named(GREETING) + dropped, 2600);
}

/// Answers so late, and must get everything once.
fn is_waited_for(pause: Duration) {
    let mut collector = Collector::start();
    let mut hello = Program::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())]);
    collector.behave(Behaviour::Slow(pause));
    let before = hello.peak_memory();
    // So few that they go as one batch.
    assert!(hello.greet(10) < STUCK);
    collector.wait_for_spans(10);
    assert!(hello.peak_memory() < before + MEMORY, "from {before} to {} MiB", hello.peak_memory());
    hello.terminate();
    assert!(hello.ended().success());
    assert_eq!(hello.all().last().unwrap()["message"], "stopped");
    assert_eq!(collector.spans().len(), 10);
}

#[test]
fn a_slow_collector_delays_no_request_and_gets_every_span_once() {
    is_waited_for(Duration::from_secs(6));
}

#[test]
#[ignore = "takes half a minute"]
fn a_collector_that_takes_twenty_seconds_gets_every_span_once() {
    is_waited_for(Duration::from_secs(20));
}

/// Slow, so it runs by night: `cargo test -p observability -- --ignored`.
#[test]
#[ignore = "takes half a minute"]
fn a_restart_of_thirty_seconds_loses_no_span() {
    let mut collector = Collector::start();
    let hello = Program::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())]);
    collector.behave(Behaviour::Stop);
    let back = Instant::now() + Duration::from_secs(30);
    let mut greetings = 0;
    while Instant::now() < back {
        assert!(hello.greet(20) < STUCK);
        greetings += 20;
        std::thread::sleep(Duration::from_millis(100));
    }
    collector.behave(Behaviour::Accept);
    collector.wait_for_spans(greetings);
    assert_eq!(collector.spans().len(), greetings);
    assert!(hello.dropped("spans", "export") + hello.dropped("spans", "queue_full") < 1.0);
}

/// Half of all requests took less, and all but one of a hundred.
fn quantiles(mut durations: Vec<Duration>) -> (f64, f64) {
    durations.sort_unstable();
    let at = |percent: usize| durations[durations.len() * percent / 100].as_secs_f64();
    (at(50), at(99))
}

#[test]
#[ignore = "compares latencies, so it wants a quiet machine and a release build"]
fn requests_take_as_long_as_ever_while_a_backend_is_stuck() {
    let sound = Collector::start();
    let mut stuck = [Behaviour::Stop, Behaviour::Swallow, Behaviour::Slow(Duration::from_secs(20))].map(|behaviour| {
        let mut collector = Collector::start();
        collector.behave(behaviour);
        collector
    });
    let at = |collector: &Collector| Program::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.endpoint())]);
    let normal = at(&sound);
    let [refused, swallowed, slow] = stuck.each_mut().map(|collector| at(collector));
    let silent = || Program::silent(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &*sound.endpoint())]);
    let (blocked, mut closed) = (silent(), silent());
    closed.close_stdout();
    let folders = ["full-by-night", "read-only-by-night"].map(Folder::new);
    let [full, read_only] = folders.each_ref().map(|folder| {
        let room = sinks::mounted(&format!("-t tmpfs -o size=64k tmpfs {}", folder.as_str()));
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", &*sound.endpoint());
        Program::run(room, &[endpoint, ("LOG_DIR", folder.as_str())])
    });
    sinks::inside(&read_only, &["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", folders[1].as_str()]);
    for (name, program) in [
        ("refused", refused),
        ("swallowed", swallowed),
        ("slow", slow),
        ("blocked stdout", blocked),
        ("closed stdout", closed),
        ("full disk", full),
        ("read-only folder", read_only),
    ] {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        // Turn by turn: the machine's moods hit both.
        for _ in 0..40 {
            program.ask("reader", 500, |took, _| with.push(took));
            normal.ask("reader", 500, |took, _| without.push(took));
        }
        let ((p50, p99), (normal_p50, normal_p99)) = (quantiles(with), quantiles(without));
        println!("{name}: p50 {:.3} of normal, p99 {:.3} of normal", p50 / normal_p50, p99 / normal_p99);
        assert!(p50 <= normal_p50 * 1.1 && p99 <= normal_p99 * 2.0, "{name}");
    }
}
