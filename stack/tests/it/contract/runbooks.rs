//! Runbooks: their parts, their first commands, and the names in them.

use std::{collections::BTreeSet, fs};

use regex::Regex;

use super::{declared, failure_types, files, metric_names, repository, rules};

/// What is published under compose, too, and moved by drills to their own: service, relay, Prometheus, Alertmanager.
const PORTS: [&str; 4] = ["8080", "8090", "9090", "9093"];

#[test]
fn runbooks_have_the_parts_that_messages_and_readers_rely_on() {
    for file in files("alerts/runbooks", ".md") {
        let text = fs::read_to_string(&file).unwrap();
        let headings: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        let expected = ["Meaning", "Impact", "First look", "Likely causes", "Mitigation", "Prevention", "Rehearse"];
        assert_eq!(headings, expected, "{}", file.display());
        let first = text.split("## First look\n\n").nth(1).unwrap().split("\n\n").next().unwrap();
        assert!(first.len() <= 140 && !first.contains('\n'), "{}: {first}", file.display());
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(failure_types().contains(&name), "{name} is a runbook of no failure type");
    }
}

/// Each drill runs it, on ports of its own, natively and under compose.
#[test]
fn the_first_command_of_a_runbook_asks_a_published_port() {
    let port = Regex::new(r"http://127\.0\.0\.1:(\d+)/").unwrap();
    for file in files("alerts/runbooks", ".md") {
        let text = fs::read_to_string(&file).unwrap();
        let first =
            text.split("## First look\n").nth(1).unwrap().split("```sh\n").nth(1).unwrap().lines().next().unwrap();
        let asked: Vec<_> = port.captures_iter(first).map(|found| found[1].to_owned()).collect();
        assert!(first.starts_with("curl ") && !asked.is_empty(), "{}: {first}", file.display());
        assert!(asked.iter().all(|port| PORTS.contains(&port.as_str())), "{}: {first}", file.display());
    }
}

#[test]
fn runbooks_and_readme_name_only_alerts_and_metrics_that_exist() {
    let declared = declared();
    let alerts: BTreeSet<_> = rules().into_iter().filter(|rule| rule.alert).map(|rule| rule.name).collect();
    let alert = Regex::new(r"`((?:[A-Z][a-z0-9]+){2,})`").unwrap();
    let query = Regex::new(r"'query=(.*)'").unwrap();
    for file in files("alerts/runbooks", ".md").into_iter().chain([repository().join("README.md")]) {
        let text = fs::read_to_string(&file).unwrap();
        for found in alert.captures_iter(&text) {
            assert!(alerts.contains(&found[1]), "{} names the alert {}", file.display(), &found[1]);
        }
        for name in query.captures_iter(&text).flat_map(|found| metric_names(&found[1])) {
            assert!(declared.contains(&name), "{} names the metric {name}", file.display());
        }
    }
}
