mod drills;
mod runbooks;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use observability::metrics::Metric;
use regex::Regex;
use serde_yaml_ng::Value;

/// The failures this project is about. A link of the chain from fault to runbook may miss for none of them.
const FAILURE_TYPES: [&str; 27] = [
    "alert_pipeline",
    "breaker",
    "clock",
    "crash_loop",
    "db_down",
    "db_partition",
    "db_pool",
    "db_readonly",
    "db_slow",
    "dependency",
    "deploy_regression",
    "disk",
    "errors",
    "fd",
    "latency",
    "memory",
    "migration",
    "panic",
    "pg_capacity",
    "pg_locks",
    "restart",
    "saturation",
    "service_down",
    "slo_burn",
    "telemetry",
    "traffic",
    "watchdog",
];

/// Those that the service itself can tell of a request or of its own start.
const SEEN_BY_SERVICE: [&str; 9] =
    ["breaker", "db_down", "db_pool", "db_readonly", "dependency", "errors", "latency", "migration", "saturation"];

/// Series of programs that are not ours. The drills show that they exist.
const THIRD_PARTY: [&str; 15] = [
    "ALERTS",
    "alertmanager_notifications_failed_total",
    "loki_discarded_samples_total",
    "otelcol_exporter_send_failed_log_records",
    "otelcol_exporter_send_failed_spans",
    "pg_settings_max_connections",
    "pg_settings_superuser_reserved_connections",
    "pg_stat_activity_count",
    "pg_stat_activity_max_tx_duration",
    "pg_stat_database_deadlocks",
    "pg_up",
    "prometheus_notifications_dropped_total",
    "prometheus_rule_evaluation_failures_total",
    "prometheus_rule_group_last_evaluation_timestamp_seconds",
    "up",
];

/// Words of `PromQL` that stand where a metric name could.
const WORDS: [&str; 14] = [
    "and",
    "or",
    "unless",
    "bool",
    "offset",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "inf",
    "nan",
    "atan2",
];

/// Relative to the package's folder, in which its tests are started: so these judge a copy of the project, too.
fn repository() -> &'static Path {
    Path::new("..")
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(repository().join(folder))
        .unwrap_or_else(|error| panic!("{folder}: {error}"))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no file in {folder} ends in {ending}");
    files
}

pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) alert: bool,
    pub(crate) expression: String,
    lasting: Option<String>,
    keep: Option<String>,
    labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

pub(crate) fn rules() -> Vec<Rule> {
    let text = |value: &Value| value.as_str().map_or_else(|| serde_yaml_ng::to_string(value).unwrap(), str::to_owned);
    let map = |value: &Value| -> BTreeMap<String, String> {
        value
            .as_mapping()
            .into_iter()
            .flatten()
            .map(|(key, value)| (text(key), text(value).trim().to_owned()))
            .collect()
    };
    let mut rules = Vec::new();
    for file in files("alerts/rules", ".yml").into_iter().chain(files("prometheus", "recording.yml")) {
        let document: Value = serde_yaml_ng::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        for rule in
            document["groups"].as_sequence().unwrap().iter().flat_map(|group| group["rules"].as_sequence().unwrap())
        {
            let alert = rule["alert"].as_str();
            rules.push(Rule {
                name: alert.or(rule["record"].as_str()).unwrap().to_owned(),
                alert: alert.is_some(),
                expression: text(&rule["expr"]),
                lasting: rule["for"].as_str().map(str::to_owned),
                keep: rule["keep_firing_for"].as_str().map(str::to_owned),
                labels: map(&rule["labels"]),
                annotations: map(&rule["annotations"]),
            });
        }
    }
    rules
}

fn runbook(failure_type: &str) -> PathBuf {
    repository().join(format!("alerts/runbooks/{failure_type}.md"))
}

fn failure_types() -> BTreeSet<String> {
    rules().iter().filter_map(|rule| rule.labels.get("failure_type").cloned()).collect()
}

/// The metric names of a `PromQL` expression: identifiers that are no function, label, string or duration.
pub(crate) fn metric_names(expression: &str) -> BTreeSet<String> {
    let strings = Regex::new(r#""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"#).unwrap();
    let matchers = Regex::new(r"\{[^}]*\}|\[[^\]]*\]|\boffset\s+\w+").unwrap();
    let groupings = Regex::new(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)").unwrap();
    let identifiers = Regex::new(r"[a-zA-Z_:][a-zA-Z0-9_:]*(\s*\()?").unwrap();
    let bare = strings.replace_all(expression, "\"\"");
    let bare = matchers.replace_all(&bare, " ");
    let bare = groupings.replace_all(&bare, " ");
    identifiers
        .find_iter(&bare)
        .map(|found| found.as_str())
        .filter(|word| !word.ends_with('(') && !WORDS.contains(word))
        .map(str::to_owned)
        .collect()
}

/// Every name the code declares, with what Prometheus appends to histograms.
fn declared() -> BTreeSet<String> {
    let of = |metrics: &[&'static dyn Metric]| -> Vec<String> {
        let endings = |metric: &&&dyn Metric| -> &[&str] {
            if metric.buckets().is_empty() { &[""] } else { &["_bucket", "_count", "_sum"] }
        };
        metrics.iter().flat_map(|metric| endings(&metric).iter().map(|end| format!("{}{end}", metric.name()))).collect()
    };
    let own = of(observability::metrics::own()).into_iter().chain(of(service::metrics::ALL)).chain(of(relay::METRICS));
    let process = observability::metrics::PROCESS.into_iter().map(str::to_owned);
    let recorded = rules().into_iter().filter(|rule| !rule.alert).map(|rule| rule.name);
    own.chain(process).chain(recorded).chain(THIRD_PARTY.map(str::to_owned)).collect()
}

#[test]
fn rules_name_only_metrics_that_exist() {
    let declared = declared();
    for rule in rules() {
        for name in metric_names(&rule.expression) {
            let known = declared.contains(&name);
            assert!(known, "{} reads {name}, which nothing declares", rule.name);
        }
    }
}

#[test]
fn the_contract_would_notice_a_metric_that_nothing_declares() {
    let names = metric_names(
        r#"sum by (service) (rate(gone_total{job="app", x=~"a{2}"}[1m] offset 10m)) > 0.5 unless on (env) up == 1"#,
    );
    assert_eq!(names, ["gone_total", "up"].map(str::to_owned).into());
    assert!(!declared().contains("gone_total"));
}

#[test]
fn every_failure_type_has_a_rule_a_test_a_route_and_a_runbook() {
    let tests: String =
        files("alerts/rules/tests", "_test.yml").iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let routes = fs::read_to_string(repository().join("alerts/rules/tests/routes.tsv")).unwrap();
    assert_eq!(failure_types(), FAILURE_TYPES.map(str::to_owned).into(), "failure types of the rules");
    for failure_type in FAILURE_TYPES {
        assert!(tests.contains(&format!("failure_type: {failure_type},")), "{failure_type} has no promtool test");
        let has_route = routes.lines().any(|line| line.split('\t').nth(1) == Some(failure_type));
        assert!(has_route, "{failure_type} has no row in routes.tsv");
        assert!(runbook(failure_type).exists(), "{failure_type} has no runbook");
    }
}

#[test]
fn every_alert_has_a_promtool_test_of_its_own() {
    let tests: String =
        files("alerts/rules/tests", "_test.yml").iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    for rule in rules().into_iter().filter(|rule| rule.alert) {
        let expected = Regex::new(&format!(r"alertname: {}\n +exp_alerts:", rule.name)).unwrap();
        assert!(expected.is_match(&tests), "{} fires in no promtool test that reads its message", rule.name);
    }
}

#[test]
fn the_programs_name_only_failure_types_that_exist() {
    let seen: BTreeSet<_> = service::failure::FailureType::ALL.iter().map(|seen| seen.as_str()).collect();
    assert_eq!(seen, SEEN_BY_SERVICE.into(), "failure types that the service knows");
    assert!(seen.iter().all(|seen| FAILURE_TYPES.contains(seen)));
    let written = Regex::new(r#"failure_type(?: = |: )"(\w+)""#).unwrap();
    for folder in ["observability/src", "service/src", "alerts/relay/src"] {
        let mut folders = vec![repository().join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() {
                    folders.push(entry);
                } else if entry.extension().is_some_and(|ending| ending == "rs") {
                    for found in written.captures_iter(&fs::read_to_string(&entry).unwrap()) {
                        assert!(FAILURE_TYPES.contains(&&found[1]), "{} names {}", entry.display(), &found[1]);
                    }
                }
            }
        }
    }
}

#[test]
fn the_table_of_routes_has_the_labels_of_the_rules() {
    let routes = fs::read_to_string(repository().join("alerts/rules/tests/routes.tsv")).unwrap();
    let rows: Vec<Vec<&str>> = routes.lines().skip(2).map(|line| line.split('\t').collect()).collect();
    for rule in rules().into_iter().filter(|rule| rule.alert) {
        let label = |name: &str| rule.labels.get(name).map(String::as_str);
        let of = |row: &&Vec<&str>| row[0] == rule.name && label("failure_type").is_none_or(|own| own == row[1]);
        let rows: Vec<_> = rows.iter().filter(of).collect();
        assert!(!rows.is_empty(), "{} has no row", rule.name);
        for row in rows {
            assert_eq!((Some(row[2]), Some(row[3])), (label("severity"), label("tier")), "{}", rule.name);
        }
    }
}

#[test]
fn every_alert_says_what_it_is_about_and_where_to_read_on() {
    for rule in rules().into_iter().filter(|rule| rule.alert) {
        for label in ["severity", "tier"] {
            assert!(rule.labels.contains_key(label), "{} lacks the label {label}", rule.name);
        }
        // The way around the relay takes its failure type from the alert it is about.
        assert!(rule.labels.contains_key("failure_type") || rule.labels["tier"] == "escalation", "{}", rule.name);
        // A query only where the fault leaves lines of service, relay or Postgres: only theirs are in Loki.
        for annotation in ["summary", "impact", "description", "runbook", "dashboard"] {
            assert!(rule.annotations.contains_key(annotation), "{} lacks the annotation {annotation}", rule.name);
        }
        // Of what other parts say, the message gives the command that shows it.
        let of_parts =
            rule.labels.get("failure_type").is_some_and(|it| matches!(it.as_str(), "telemetry" | "alert_pipeline"));
        let says =
            rule.annotations.contains_key("query") || rule.annotations["description"].contains("Its own words: ");
        assert!(says || !of_parts, "{} leads to no line", rule.name);
        let runbook = &rule.annotations["runbook"];
        let named = runbook.strip_prefix("runbooks/").unwrap_or_else(|| panic!("{}: {runbook}", rule.name));
        let own = rule.labels.get("failure_type").map_or("{{ $labels.failure_type }}", String::as_str);
        assert_eq!(named, own, "{}: {runbook}", rule.name);
    }
}
