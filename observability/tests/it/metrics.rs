use std::collections::BTreeSet;

use observability::metrics::{Counter, Gauge, intern, own};
use observability::testing::Capture;

static SEEN: Counter<1> = Counter::new("seen_total", "Things seen.", ["kind"]);
static HERE: Gauge<0> = Gauge::new("here", "Whether it is here.", []).fast();

#[test]
fn names_and_labels_follow_prometheus() {
    let mut names = BTreeSet::new();
    for metric in own() {
        let name = metric.name();
        assert!(names.insert(name), "{name} is declared twice");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        let histogram = !metric.buckets().is_empty();
        assert!(!histogram || name.ends_with("_seconds"), "{name}");
        for label in metric.labels() {
            assert!(!["le", "job", "instance", "service", "env"].contains(label), "{name} {label}");
        }
    }
}

#[test]
fn fast_metrics_are_served_apart_and_only_there() {
    let capture = Capture::with("info", 1.0, &[&SEEN, &HERE]);
    SEEN.increment(["bird"]);
    HERE.set([], 1.0);
    let report = capture.reporter();
    let (fast, rest) = (report.render_fast(), report.render());
    for name in ["here 1\n", "unix_time_seconds ", "process_start_time_seconds "] {
        assert!(fast.contains(&format!("\n{name}")), "{name} in {fast}");
        assert!(!rest.contains(&format!("\n{name}")), "{name} in {rest}");
    }
    assert!(rest.contains("# HELP seen_total Things seen.\n# TYPE seen_total counter\nseen_total{kind=\"bird\"} 1\n"));
    assert!(!fast.contains("seen_total"));
}

#[test]
fn a_counter_without_labels_is_visible_before_its_first_event() {
    assert!(Capture::start().report().contains("\ndb_write_refused_total 0\n"));
}

#[test]
fn the_database_is_neither_up_nor_down_until_somebody_knows() {
    assert!(!Capture::start().report().contains("\ndb_up "));
}

#[test]
fn values_from_configuration_are_bounded() {
    for number in 0..64 {
        assert_eq!(intern("test_label", &number.to_string()), number.to_string());
    }
    assert_eq!(intern("test_label", "one too many"), "other");
    assert_eq!(intern("test_label", "63"), "63");
}
