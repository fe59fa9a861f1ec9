//! Drills against the rules that they rehearse, and the runbooks that name them.

use std::fs;

use regex::Regex;

use super::{FAILURE_TYPES, metric_names, rules, runbook};

#[test]
fn every_failure_type_has_a_drill_and_its_runbook_names_it() {
    let rules = rules();
    let drills: Vec<_> = stack::drills::Drill::all().collect();
    let naming = Regex::new(r"make drill NAME=(\w+)").unwrap();
    for drill in &drills {
        let rule = rules.iter().find(|rule| rule.alert && rule.name == drill.alert());
        let told = rule.and_then(|rule| rule.labels.get("failure_type")).map(String::as_str);
        assert_eq!(told, Some(drill.failure_type()), "{} expects {}", drill.name(), drill.alert());
    }
    for failure_type in FAILURE_TYPES {
        let own: Vec<_> = drills.iter().filter(|drill| drill.failure_type() == failure_type).collect();
        let text = fs::read_to_string(runbook(failure_type)).unwrap();
        let rehearse = text.split("## Rehearse").nth(1).unwrap();
        let names: Vec<_> = naming.captures_iter(rehearse).map(|found| found[1].to_owned()).collect();
        assert!(own.iter().any(|drill| names.iter().any(|name| name == drill.name())), "{failure_type}: {names:?}");
        for name in names {
            assert!(drills.iter().any(|drill| drill.name() == name), "{failure_type} names the drill {name}");
        }
    }
}

/// Seconds of `15s`, `5m`, `1h` or `3d`.
fn seconds(text: &str) -> u64 {
    let unit = match text.chars().last().unwrap() {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        other => panic!("{text}: {other}"),
    };
    text[..text.len() - 1].parse::<u64>().unwrap() * unit
}

#[test]
fn drills_wait_as_long_as_their_rules_say() {
    let rules = rules();
    let ranges = Regex::new(r"\[(\d+[smhd])").unwrap();
    let ranges = |expression: &str| -> Vec<u64> { ranges.captures_iter(expression).map(|f| seconds(&f[1])).collect() };
    for drill in stack::drills::Drill::all() {
        // The sum of two rules.
        let Some(window) = drill.window().filter(|_| drill.name() != "relay_down") else { continue };
        let rule = rules.iter().find(|rule| rule.name == drill.alert()).unwrap();
        let (name, of) = (drill.name(), |text: &Option<String>| text.as_deref().map_or(0, seconds));
        assert_eq!((window.lasting, window.keep), (of(&rule.lasting), of(&rule.keep)), "{name}");
        let read = metric_names(&rule.expression);
        let recorded = rules.iter().filter(|other| !other.alert && read.contains(&other.name));
        let known: Vec<u64> =
            recorded.flat_map(|other| ranges(&other.expression)).chain(ranges(&rule.expression)).collect();
        assert!(
            known.contains(&window.range) || window.range == 0,
            "{name}: {} is no range of {known:?}",
            window.range
        );
    }
}
