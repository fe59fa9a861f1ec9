//! Every alert leads to a panel of a dashboard, where its metric is drawn.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use serde_json::Value;

use crate::contract::{metric_names, rules};

/// It fires while all is well, and leads to what the relay hears of it.
const NOTHING_TO_DRAW: [&str; 1] = ["Watchdog"];

/// The expressions of every panel that draws something, those in rows included, by `<uid>/<panel id>`.
fn panels() -> BTreeMap<String, Vec<String>> {
    fn collect(uid: &str, panels: &Value, found: &mut BTreeMap<String, Vec<String>>) {
        for panel in panels.as_array().into_iter().flatten() {
            collect(uid, &panel["panels"], found);
            if let Some(targets) = panel["targets"].as_array() {
                let expressions = targets.iter().filter_map(|target| Some(target["expr"].as_str()?.to_owned()));
                found.insert(format!("{uid}/{}", panel["id"]), expressions.collect());
            }
        }
    }
    let mut found = BTreeMap::new();
    // Relative, so that this judges a copy of the project, too.
    let files = fs::read_dir("../grafana/dashboards").unwrap().map(|entry| entry.unwrap().path());
    for file in files.filter(|path: &PathBuf| path.extension().is_some_and(|ending| ending == "json")) {
        let dashboard: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        collect(dashboard["uid"].as_str().unwrap(), &dashboard["panels"], &mut found);
    }
    found
}

/// What an expression is about: its metrics, and those behind the recorded ones among them.
fn measured(expression: &str, recorded: &BTreeMap<String, String>) -> BTreeSet<String> {
    let names = metric_names(expression);
    let behind: Vec<_> =
        names.iter().filter_map(|name| recorded.get(name)).map(|rule| measured(rule, recorded)).collect();
    let plain = |name: &String| {
        let endings = ["_bucket", "_count", "_sum"];
        endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name).to_owned()
    };
    names.iter().map(plain).chain(behind.into_iter().flatten()).collect()
}

#[test]
fn every_alert_leads_to_a_panel_that_draws_its_metric() {
    let (panels, rules) = (panels(), rules());
    let recorded = rules.iter().filter(|rule| !rule.alert);
    let recorded: BTreeMap<_, _> = recorded.map(|rule| (rule.name.clone(), rule.expression.clone())).collect();
    let mut wrong = Vec::new();
    for rule in rules.iter().filter(|rule| rule.alert && !NOTHING_TO_DRAW.contains(&rule.name.as_str())) {
        let panel = rule.annotations.get("dashboard").map_or("no panel", String::as_str);
        let Some(drawn) = panels.get(panel) else {
            wrong.push(format!("{}: there is no panel {panel}", rule.name));
            continue;
        };
        let drawn: BTreeSet<_> = drawn.iter().flat_map(|expression| measured(expression, &recorded)).collect();
        let wanted = measured(&rule.expression, &recorded);
        if wanted.is_disjoint(&drawn) {
            wrong.push(format!("{}: {panel} draws {drawn:?}, not {wanted:?}", rule.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
