//! Every part is as closed and as bounded as it can be.

use serde_json::{Map, Value, json};
use serde_yaml_ng::Value as Yaml;

use crate::docker::{configuration, repository};

/// They end when they have done their work.
const ONE_SHOT: [&str; 2] = ["init", "links"];
/// 3 GB.
const MEMORY: u64 = 3_000_000_000;

/// What is not as it should be with one service.
fn wrong(name: &str, service: &Value) -> Vec<&'static str> {
    let one_shot = ONE_SHOT.contains(&name);
    let text = |pointer: &str| service.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let list = |pointer: &str| service.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let probe = list("/healthcheck/test");
    let ours = text("/image").starts_with("lookout/");
    let rules = [
        (name == "init" || !["", "0", "root"].contains(&text("/user").split(':').next().unwrap()), "runs as root"),
        (service["read_only"] == true, "can write to its root"),
        (service["cap_drop"] == json!(["ALL"]), "has capabilities"),
        (list("/cap_add").is_empty() || (name == "init" && list("/cap_add") == ["CHOWN"]), "gets capabilities"),
        (service["security_opt"] == json!(["no-new-privileges:true"]), "may gain privileges"),
        (service.get("privileged").is_none_or(|privileged| privileged == false), "is privileged"),
        (["", "none"].contains(&text("/network_mode")), "shares a network"),
        (!text("/mem_limit").is_empty(), "has no memory limit"),
        (service["pids_limit"].as_u64().is_some_and(|most| most > 0), "has no limit of processes"),
        (list("/ports").iter().all(|port| port["host_ip"] == "127.0.0.1"), "listens to more than this machine"),
        (list("/volumes").iter().all(|volume| volume["source"] != "/var/run/docker.sock"), "rules the engine"),
        (text("/restart") == if one_shot { "no" } else { "unless-stopped" }, "does not restart as it should"),
        (one_shot || name == "otel-collector" || probe.len() > 1, "has no probe"),
        (!probe.iter().any(|word| word.as_str().unwrap().contains("localhost")), "probes what may be ::1"),
        (text("/logging/driver") == "json-file" && !text("/logging/options/max-size").is_empty(), "logs without end"),
        (!text("/logging/options/max-file").is_empty(), "keeps logs without end"),
        (service["attach"] == (name == "links"), "does not leave the terminal to the links"),
        (text("/image").contains(':') && (ours || !text("/image").ends_with("latest")), "has no fixed version"),
        // A registry may have a namesake, and what was built once may be of other sources.
        (
            !ours || text("/pull_policy") == if service["build"].is_null() { "never" } else { "build" },
            "runs a stranger's or an old image",
        ),
    ];
    rules.into_iter().filter(|(holds, _)| !holds).map(|(_, what)| what).collect()
}

fn services(configuration: &Value) -> &Map<String, Value> {
    configuration["services"].as_object().unwrap()
}

#[tokio::test]
async fn every_container_is_closed_and_bounded() {
    let configuration = configuration().await;
    for (name, service) in services(&configuration) {
        assert_eq!(wrong(name, service), Vec::<&str>::new(), "{name}");
    }
    assert!(services(&configuration).len() > 12);
}

#[tokio::test]
async fn each_lapse_is_noticed() {
    let configuration = configuration().await;
    let relay = &services(&configuration)["relay"];
    let lapses = [
        ("user", json!("0:0")),
        ("user", Value::Null),
        ("read_only", json!(false)),
        ("cap_drop", json!(["NET_RAW"])),
        ("cap_add", json!(["CHOWN"])),
        ("security_opt", Value::Null),
        ("privileged", json!(true)),
        ("network_mode", json!("host")),
        ("mem_limit", Value::Null),
        ("pids_limit", json!(0)),
        ("ports", json!([{"target": 8090, "published": "8090"}])),
        ("volumes", json!([{"type": "bind", "source": "/var/run/docker.sock"}])),
        ("restart", json!("no")),
        ("healthcheck", Value::Null),
        ("healthcheck", json!({"test": ["CMD", "wget", "http://localhost:8090/"]})),
        ("logging", json!({"driver": "json-file", "options": {"max-file": "3"}})),
        ("logging", json!({"driver": "json-file", "options": {"max-size": "10m"}})),
        ("attach", json!(true)),
        ("image", json!("grafana/grafana:latest")),
        ("pull_policy", json!("missing")),
    ];
    for (key, value) in lapses {
        let mut part = relay.clone();
        part[key] = value.clone();
        assert_eq!(wrong("relay", &part).len(), 1, "{key} {value}: {:?}", wrong("relay", &part));
    }
}

#[tokio::test]
async fn the_memory_limits_add_up_to_less_than_three_gigabytes() {
    let configuration = configuration().await;
    let limits = services(&configuration).values().map(|service| service["mem_limit"].as_str().unwrap());
    let sum: u64 = limits.map(|limit| limit.parse::<u64>().unwrap()).sum();
    assert!(sum < MEMORY, "{sum}");
}

#[tokio::test]
async fn prometheus_starts_when_alertmanager_hears_it_however_the_service_is() {
    let configuration = configuration().await;
    let needs = &services(&configuration)["prometheus"]["depends_on"];
    assert_eq!(needs["alertmanager"]["condition"], "service_healthy");
    // A service that never gets healthy is what it has to tell of.
    assert_eq!(needs["service"]["condition"], "service_started");
}

#[tokio::test]
async fn everything_that_is_kept_on_disk_has_an_end() {
    let configuration = configuration().await;
    let services = services(&configuration);
    let prometheus = services["prometheus"]["command"].as_array().unwrap();
    for bound in ["--storage.tsdb.retention.time=7d", "--storage.tsdb.retention.size=2GB"] {
        assert!(prometheus.contains(&json!(bound)), "{prometheus:?}");
    }
    for writer in ["service", "payments-stub", "relay"] {
        assert_eq!(services[writer]["environment"]["LOG_MAX_BYTES"], "104857600", "{writer}");
    }
    let loki = read("loki/config.yaml");
    assert_eq!(loki["limits_config"]["retention_period"], "168h");
    assert_eq!(loki["compactor"]["retention_enabled"], true);
    let jaeger = read("jaeger/config.yaml");
    assert_eq!(jaeger["extensions"]["jaeger_storage"]["backends"]["disk"]["badger"]["ttl"]["spans"], "72h");
    let collector = read("otel-collector/config.yaml");
    for exporter in ["otlp_http/loki", "otlp_http/jaeger"] {
        let queue = &collector["exporters"][exporter]["sending_queue"];
        assert!(queue["sizer"] == "bytes" && queue["queue_size"].as_u64().unwrap() <= 1 << 28, "{queue:?}");
    }
    // A file for each ten minutes of an hour, overwritten after it.
    let postgres = std::fs::read_to_string(repository().join("postgres/postgresql.conf")).unwrap();
    for setting in ["log_filename = 'postgres-%M.log'", "log_rotation_age = 10min", "log_truncate_on_rotation = on"] {
        assert!(postgres.contains(setting), "{setting}");
    }
}

fn read(file: &str) -> Yaml {
    serde_yaml_ng::from_str(&std::fs::read_to_string(repository().join(file)).unwrap()).unwrap()
}
