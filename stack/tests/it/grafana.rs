//! Grafana would take what is in its files. What needs a server is in the acceptance test.

use std::{collections::BTreeMap, fs, io::Write, path::Path};

use regex::Regex;
use serde_yaml_ng::Value;
use tokio::process::Command;

use crate::runner::finish;

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn read(file: &str) -> String {
    fs::read_to_string(repository().join(file)).unwrap()
}

#[tokio::test]
async fn the_dashboards_are_what_grafana_can_read() {
    let check = r#"PATH="${STACK_BIN:+$STACK_BIN:}$PATH" exec grafana/check/check.sh"#;
    let mut command = Command::new("sh");
    command.args(["-c", check]).current_dir(repository()).env_remove("LOKI_URL").kill_on_drop(true);

    let (succeeded, said) = finish(&mut command).await;

    assert!(succeeded, "{said}");
    // The acceptance test has a Loki.
    for line in said.lines().filter(|line| line.starts_with("SKIPPED") && !line.contains("LOKI_URL")) {
        // Past the harness, which shows the output of failed tests only.
        writeln!(std::io::stdout(), "{line}").unwrap();
    }
}

#[test]
fn containers_have_the_settings_that_the_data_sources_ask_for() {
    let line = Regex::new(r"(?m)^#   (GF_\w+)=(<.+>|\S+)").unwrap();
    let text = read("grafana/provisioning/datasources/datasources.yml");
    let asked: BTreeMap<_, _> =
        line.captures_iter(&text).map(|found| (found[1].to_owned(), found[2].to_owned())).collect();
    assert!(asked.len() > 15, "{asked:?}");
    let compose: Value = serde_yaml_ng::from_str(&read("docker-compose.yml")).unwrap();
    let environment = &compose["services"]["grafana"]["environment"];
    for (name, value) in asked {
        let set =
            environment[name.as_str()].as_str().unwrap_or_else(|| panic!("docker-compose.yml does not set {name}"));
        assert!(set == value || value.starts_with('<'), "{name} is {set}, not {value}");
    }
}
