//! `inhibition.tsv` says who mutes whom: tried on the real Alertmanager, and complete.

use std::{collections::BTreeMap, fs, time::Duration};

use regex::Regex;
use serde_json::Value as Json;
use serde_yaml_ng::Value;

use crate::{
    alerting::{Alert, Stage, alert, on_each_alertmanager},
    common::holds_within,
    machine,
};

/// Far longer than Alertmanager takes to read a hundred alerts.
const PATIENCE: Duration = Duration::from_secs(10);

/// Its two alerts are in environments of their own, so that no other row has a say.
struct Row {
    line: String,
    source: Alert,
    target: Alert,
    muted: bool,
}

fn rows() -> Vec<Row> {
    let table = fs::read_to_string("../alerts/rules/tests/inhibition.tsv").unwrap();
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    lines.enumerate().map(|(number, line)| row(line, &format!("row-{number}"))).collect()
}

fn row(line: &str, env: &str) -> Row {
    let fields: Vec<_> = line.split('\t').collect();
    let [source, target, service, elsewhere, muted] = fields[..] else { panic!("five columns: {line}") };
    let is = |field: &str, yes: &str, no: &str| {
        assert!(field == yes || field == no, "{yes} or {no}: {line}");
        field == yes
    };
    let service = if is(service, "same", "other") { "orders" } else { "another" };
    let other = format!("{env}-elsewhere");
    let muted = is(muted, "yes", "no");
    let target = described(target, service, if is(elsewhere, "same", "other") { env } else { &other });
    Row { line: line.to_owned(), source: described(source, "orders", env), target, muted }
}

/// A name, and more labels behind it.
fn described(text: &str, service: &str, env: &str) -> Alert {
    let mut words = text.split(' ');
    let named = alert(words.next().unwrap(), service, env);
    words.fold(named, |alert, word| {
        let (label, value) = word.split_once('=').unwrap();
        alert.with(label, value)
    })
}

#[tokio::test]
async fn each_row_is_muted_or_told_as_it_says() {
    let _machine = machine::shared().await;
    on_each_alertmanager(&[], async |stage| {
        let mut rows = rows();
        // Sources are read in the order in which they come: when the last ones mute, those before are known.
        rows.sort_by_key(|row| row.muted);
        stage.fire(rows.iter().map(|row| row.target.clone()).collect()).await;
        stage.fire(rows.iter().map(|row| row.source.clone()).collect()).await;
        holds_within(PATIENCE, async || wrong(stage, &rows).await.iter().all(|row| !row.muted)).await;
        let wrong: Vec<_> = wrong(stage, &rows).await.into_iter().map(|row| &row.line).collect();
        assert!(wrong.is_empty(), "Alertmanager {} sees these the other way round: {wrong:#?}", stage.version());
    })
    .await;
}

/// The rows that do not hold (yet).
async fn wrong<'a>(stage: &Stage, rows: &'a [Row]) -> Vec<&'a Row> {
    let held = stage.alerts().await;
    let find = |alert: &Alert| {
        let found = held
            .iter()
            .find(|held| serde_json::from_value::<BTreeMap<_, _>>(held["labels"].clone()).unwrap() == alert.labels);
        found.unwrap_or_else(|| panic!("{alert:?} is not there"))
    };
    let holds = |row: &&Row| {
        let source = find(&row.source);
        let muters: Vec<_> = if row.muted { vec![source["fingerprint"].clone()] } else { Vec::new() };
        find(&row.target)["status"]["inhibitedBy"] == Json::from(muters)
            && source["status"]["inhibitedBy"] == Json::Array(Vec::new())
    };
    rows.iter().filter(|row| !holds(row)).collect()
}

struct Matcher {
    label: String,
    values: Vec<String>,
    pattern: Regex,
}

impl Matcher {
    fn parse(text: &str) -> Self {
        let parts = Regex::new(r#"^(\w+)(=~?)"([\w|-]+)"$"#).unwrap();
        let (_, [label, operator, value]) = parts.captures(text).unwrap_or_else(|| panic!("{text}")).extract();
        assert!(operator == "=~" || !value.contains('|'), "{text}");
        Self {
            label: label.to_owned(),
            values: value.split('|').map(str::to_owned).collect(),
            pattern: Regex::new(&format!("^(?:{value})$")).unwrap(),
        }
    }

    fn matches(&self, alert: &Alert) -> bool {
        self.pattern.is_match(alert.labels.get(&self.label).map_or("", String::as_str))
    }
}

/// An entry of `inhibit_rules`.
struct Rule {
    name: String,
    source: Vec<Matcher>,
    target: Vec<Matcher>,
    equal: Vec<String>,
}

impl Rule {
    fn read() -> Vec<Self> {
        let routes: Value =
            serde_yaml_ng::from_str(&fs::read_to_string("../alerts/alertmanager.yml").unwrap()).unwrap();
        let texts = |value: &Value| -> Vec<String> {
            value.as_sequence().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
        };
        let matchers = |value: &Value| texts(value).iter().map(|text| Matcher::parse(text)).collect();
        let rules = routes["inhibit_rules"].as_sequence().unwrap().iter();
        rules
            .map(|rule| Self {
                name: texts(&rule["source_matchers"]).join(", "),
                source: matchers(&rule["source_matchers"]),
                target: matchers(&rule["target_matchers"]),
                equal: texts(&rule["equal"]),
            })
            .collect()
    }

    fn is_about(&self, row: &Row) -> bool {
        self.source.iter().all(|matcher| matcher.matches(&row.source))
            && self.target.iter().all(|matcher| matcher.matches(&row.target))
    }

    /// The labels in which a row's alerts would have to be the same, and are not.
    fn differing(&self, row: &Row) -> Vec<&String> {
        self.equal.iter().filter(|label| row.source.labels.get(*label) != row.target.labels.get(*label)).collect()
    }

    fn mutes(&self, row: &Row) -> bool {
        self.is_about(row) && self.differing(row).is_empty()
    }
}

#[test]
fn every_inhibit_rule_has_rows_that_only_it_explains_and_rows_for_all_that_it_names() {
    let (rows, rules) = (rows(), Rule::read());
    for rule in &rules {
        let name = format!("the inhibit rule of {}", rule.name);
        let muted: Vec<_> = rows.iter().filter(|row| row.muted && rule.mutes(row)).collect();
        let alone = muted.iter().any(|row| rules.iter().filter(|rule| rule.mutes(row)).count() == 1);
        assert!(alone, "{name} could go, and every row would be as before");
        let sources: Vec<_> = muted.iter().map(|row| &row.source).collect();
        let targets: Vec<_> = muted.iter().map(|row| &row.target).collect();
        for (matchers, alerts) in [(&rule.source, sources), (&rule.target, targets)] {
            for matcher in matchers {
                let is_there = |value: &&String| alerts.iter().any(|alert| alert.labels[&matcher.label] == **value);
                let missing: Vec<_> = matcher.values.iter().filter(|value| !is_there(value)).collect();
                assert!(missing.is_empty(), "{name}: no muted row has {} {missing:?}", matcher.label);
            }
        }
        for label in &rule.equal {
            let told = rows.iter().filter(|row| !row.muted && rule.is_about(row));
            let differs = told.map(|row| rule.differing(row)).any(|differing| differing == [label]);
            assert!(differs, "{name}: no row is told because only {label} differs");
        }
    }
}
