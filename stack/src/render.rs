//! The repository's configuration files with local addresses: the only difference between compose and the native run.

use std::{collections::BTreeMap, fs, path::Path, sync::LazyLock};

use anyhow::{Context, anyhow};
use regex::{Captures, Regex};

use crate::{
    ports::{Ports, Role},
    shorten,
};

/// What is not configuration, though it lies beside it.
const LEFT_OUT: [&str; 3] = ["relay", "runbooks", "tests"];

static ADDRESS: LazyLock<Result<Regex, regex::Error>> = LazyLock::new(|| {
    Regex::new(
        r"\b(service|relay|prometheus|alertmanager|postgres-exporter|postgres|loki|jaeger|otel-collector|grafana|chat):(\d+)\b",
    )
});

/// Where `name:port` of the configuration files is found on this machine.
#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    local: BTreeMap<(&'static str, u16), u16>,
    /// The windows of rules are divided by this.
    shorten: u64,
}

impl Addresses {
    pub(crate) fn new(ports: &Ports, shorten: u64) -> Self {
        let local = Role::ALL.map(|role| {
            let (host, port, ..) = role.row();
            ((host, port), ports.get(role))
        });
        Self { local: local.into(), shorten }
    }

    /// `text` with local addresses. A part that this run does not have keeps its port.
    fn localise(&self, text: &str) -> anyhow::Result<String> {
        let address = ADDRESS.as_ref().map_err(|error| anyhow!("{error}"))?;
        let local = address.replace_all(text, |found: &Captures<'_>| {
            let (_, [name, port]) = found.extract();
            let port: u16 = port.parse().unwrap_or_default();
            let known = self.local.iter().find(|(key, _)| **key == (name, port));
            format!("127.0.0.1:{}", known.map_or(port, |(_, local)| *local))
        });
        Ok(local.into_owned())
    }

    /// Copies the configuration folder `from` to `to`. Targets of parts that do not run are left out.
    pub(crate) fn render(&self, from: &Path, to: &Path, runs: &dyn Fn(&str) -> bool) -> anyhow::Result<()> {
        fs::create_dir_all(to)?;
        let entries = fs::read_dir(from).with_context(|| format!("{} is missing", from.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let (path, copy) = (entry.path(), to.join(name.as_ref()));
            if entry.file_type()?.is_dir() {
                if !LEFT_OUT.contains(&name.as_ref()) {
                    self.render(&path, &copy, runs)?;
                }
            } else if is_wanted(&path, runs) {
                let text = fs::read_to_string(&path).with_context(|| format!("{} is no text", path.display()))?;
                let is_rules = text.starts_with("groups:") || text.contains("\ngroups:");
                let text = if is_rules && self.shorten > 1 { shorten::rules(&text, self.shorten)? } else { text };
                fs::write(copy, self.localise(&text)?)?;
            }
        }
        Ok(())
    }
}

/// Whether `path` is configuration, and none of a part that does not run.
fn is_wanted(path: &Path, runs: &dyn Fn(&str) -> bool) -> bool {
    let is_config = path
        .extension()
        .is_some_and(|extension| ["yml", "yaml", "tmpl", "conf"].iter().any(|known| extension == *known));
    let is_target = path.parent().is_some_and(|folder| folder.ends_with("targets"));
    let name = path.file_stem().unwrap_or_default();
    is_config && (!is_target || name.to_str().is_some_and(runs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Addresses {
        Addresses { local: [(("service", 9091), 12001), (("relay", 8090), 12002)].into(), shorten: 1 }
    }

    #[test]
    fn hosts_are_rewritten_and_ports_follow_the_plan() {
        let text = "targets: [\"service:9091\"]\nurl: http://relay:8090/v1/heartbeat\n";

        assert_eq!(
            addresses().localise(text).unwrap(),
            "targets: [\"127.0.0.1:12001\"]\nurl: http://127.0.0.1:12002/v1/heartbeat\n"
        );
    }

    #[test]
    fn a_part_that_does_not_run_keeps_its_port() {
        assert_eq!(addresses().localise("http://loki:3100/otlp").unwrap(), "http://127.0.0.1:3100/otlp");
    }

    #[test]
    fn what_only_looks_like_an_address_stays() {
        for text in ["service: orders", "microservice:9091", "my-relay:80x", "service:name"] {
            assert_eq!(addresses().localise(text).unwrap(), text);
        }
    }

    #[test]
    fn only_targets_of_running_parts_are_wanted() {
        let wanted = |path: &str| is_wanted(Path::new(path), &|part| part == "service");

        assert!(wanted("prometheus/targets/service.yml"));
        assert!(!wanted("prometheus/targets/loki.yml"));
        assert!(wanted("prometheus/prometheus.yml"));
        assert!(!wanted("alerts/runbooks/db_down.md"));
    }
}
