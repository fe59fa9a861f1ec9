//! Every alert leads to a panel of a dashboard, where its metric is drawn.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use serde_yaml_ng::Value as Yaml;

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    // Relative, so that these judge a copy of the project, too.
    let paths = fs::read_dir(Path::new("..").join(folder)).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.to_str().unwrap().ends_with(ending)).collect()
}

/// `<uid>/<panel id>` of every panel that draws something, those in rows included.
fn panels() -> BTreeSet<String> {
    fn collect(uid: &str, panels: &Value, found: &mut BTreeSet<String>) {
        for panel in panels.as_array().into_iter().flatten() {
            collect(uid, &panel["panels"], found);
            if panel["targets"].is_array() {
                found.insert(format!("{uid}/{}", panel["id"]));
            }
        }
    }
    let mut found = BTreeSet::new();
    for file in files("grafana/dashboards", ".json") {
        let dashboard: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        collect(dashboard["uid"].as_str().unwrap(), &dashboard["panels"], &mut found);
    }
    found
}

#[test]
fn every_alert_leads_to_a_panel_that_exists() {
    let panels = panels();
    let mut wrong = Vec::new();
    for file in files("alerts/rules", ".yml") {
        let document: Yaml = serde_yaml_ng::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let groups = document["groups"].as_sequence().unwrap().iter();
        for rule in groups.flat_map(|group| group["rules"].as_sequence().unwrap()) {
            let Some(name) = rule["alert"].as_str() else { continue };
            let panel = rule["annotations"]["dashboard"].as_str().unwrap_or("no panel");
            if !panels.contains(panel) {
                wrong.push(format!("{name}: {panel}"));
            }
        }
    }
    assert!(wrong.is_empty(), "no such panel: {wrong:#?}");
}
