//! What Prometheus would send: the labels are those of the rules.

use std::{collections::BTreeMap, fs, sync::LazyLock};

use chrono::{DateTime, Utc};
use serde_yaml_ng::Value;

type Labels = BTreeMap<String, String>;

/// The labels that each alert has by its rule.
static RULES: LazyLock<BTreeMap<String, Labels>> = LazyLock::new(read);

/// An alert that fires from now on.
#[derive(Clone, Debug)]
pub(crate) struct Alert {
    pub(crate) labels: Labels,
    /// An old one would be told without the wait in which its cause can arrive.
    pub(crate) started: DateTime<Utc>,
}

/// The alert of the rule `name`, about `service` in `env`.
pub(crate) fn alert(name: &str, service: &str, env: &str) -> Alert {
    let labels = RULES.get(name).unwrap_or_else(|| panic!("no rule is called {name}")).clone();
    Alert { labels, started: Utc::now() }.with("alertname", name).with("service", service).with("env", env)
}

impl Alert {
    pub(crate) fn with(mut self, label: &str, value: &str) -> Self {
        self.labels.insert(label.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.labels["alertname"]
    }

    pub(crate) fn service(&self) -> &str {
        &self.labels["service"]
    }
}

fn read() -> BTreeMap<String, Labels> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut found = BTreeMap::new();
    for file in
        fs::read_dir("../alerts/rules").unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
    {
        let document: Value = serde_yaml_ng::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let groups = document["groups"].as_sequence().unwrap().iter();
        let rules = groups.flat_map(|group| group["rules"].as_sequence().unwrap());
        for rule in rules.filter(|rule| !rule["alert"].is_null()) {
            let labels = rule["labels"].as_mapping().unwrap().iter();
            found.insert(text(&rule["alert"]), labels.map(|(name, value)| (text(name), text(value))).collect());
        }
    }
    found
}
