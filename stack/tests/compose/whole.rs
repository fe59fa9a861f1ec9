//! The whole of it: healthy, small, its secrets kept, one request in every signal, and told when it breaks.

use std::{
    collections::BTreeSet,
    io::Write,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use stack::{
    Handle,
    drills::{self, Args},
};
use tokio::process::Command;

use crate::{common::acceptance, docker::docker, machine};

/// `docker compose up --wait`, the images being there.
const HEALTHY_WITHIN: Duration = Duration::from_mins(1);
/// 1.5 GB.
const MEMORY: f64 = 1_500_000_000.0;
/// 12 MB.
const IMAGE: u64 = 12_000_000;

/// Past the harness, which shows the output of failed tests only.
pub(crate) fn say(line: &str) {
    let mut terminal = std::io::stdout();
    writeln!(terminal, "{line}").unwrap();
}

/// A fresh stack, and the names of its containers.
pub(crate) async fn start() -> (Handle, String) {
    let begun = Instant::now();
    let stack = stack::start_compose(None, &|line| say(&line)).await.unwrap();
    let (all, healthy) = (begun.elapsed(), stack.healthy_after().unwrap());
    say(&format!(
        "built and healthy after {:.1} s, of which `up` took {:.1} s",
        all.as_secs_f64(),
        healthy.as_secs_f64()
    ));
    assert!(healthy < HEALTHY_WITHIN, "{healthy:?}");
    let project = stack.project().unwrap().to_owned();
    (stack, project)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_healthy_and_small_and_a_request_is_found_in_every_signal() {
    let _machine = machine::shared().await;
    let (stack, project) = start().await;
    secrets_belong_to_who_reads_them(&project).await;
    links_are_shown(&stack, &project).await;
    images_say_what_they_are_and_are_small(&project).await;
    the_program_says_what_it_was_built_from(&stack).await;
    grafana_shows_all_dashboards_to_anybody(&project).await;
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (format!("{project}-service-1:/var/log/lookout/."), folder.path().to_str().unwrap().to_owned());
    let log = async || {
        docker(&["cp", &from, &to]).await;
        let files = std::fs::read_dir(folder.path()).unwrap();
        files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    };
    acceptance::check(&stack, log).await;
    memory_is_bounded(&project).await;
    doctor_explains_a_part_that_was_stopped_and_one_that_was_removed(&project).await;
    stack.stop().await.unwrap();
    let of_project = format!("--filter=label=com.docker.compose.project={project}");
    assert_eq!(docker(&["ps", "--all", "--quiet", &of_project]).await, "");
    assert_eq!(docker(&["volume", "ls", "--quiet", &of_project]).await, "");
}

async fn secrets_belong_to_who_reads_them(project: &str) {
    let volumes = format!("--volumes-from={project}-init-1");
    let list = "cd /secrets; stat --format '%u %a %n' */*; sha256sum */*password */*key */relay_*token | cut -d' ' -f1";
    let said =
        docker(&["run", "--rm", "--network=none", &volumes, "--entrypoint=sh", "postgres:18.6", "-c", list]).await;
    let owner = |folder: &str| match folder {
        "postgres" => "999",
        "grafana" => "472",
        _ => "65534",
    };
    let files: Vec<&str> = said.lines().filter(|line| line.contains('/')).collect();
    for file in &files {
        let folder = file.split(' ').next_back().unwrap().split('/').next().unwrap();
        assert!(file.starts_with(&format!("{} 440 ", owner(folder))), "{file}");
    }
    assert!(files.len() > 15, "{said}");
    let hashes: Vec<&str> = said.lines().filter(|line| !line.contains('/')).collect();
    // The exporter's password is in two places, and so is the relay's token.
    assert_eq!(hashes.iter().collect::<BTreeSet<_>>().len(), hashes.len() - 2, "{said}");
}

/// They are the last lines of `docker compose up`, because nothing else is attached.
async fn links_are_shown(stack: &Handle, project: &str) {
    let said = docker(&["logs", &format!("{project}-links-1")]).await;
    let at = stack.endpoints();
    for link in [&at.service, &at.relay, &at.prometheus, &at.alertmanager, &at.jaeger] {
        assert!(said.contains(link), "{link} is not in {said}");
    }
    assert!(said.trim_end().lines().next_back().unwrap().contains("docker compose down"), "{said}");
}

async fn images_say_what_they_are_and_are_small(project: &str) {
    for image in ["service", "relay"] {
        let name = format!("lookout/{image}:{project}");
        let described: Value = serde_json::from_str(&docker(&["image", "inspect", &name]).await).unwrap();
        let (size, config) = (described[0]["Size"].as_u64().unwrap(), &described[0]["Config"]);
        say(&format!("image of {image}: {:.2} MB", f64::from(u32::try_from(size).unwrap()) / 1e6));
        assert!(size < IMAGE, "{name} has {size} bytes");
        assert_eq!(config["User"], "65534:65534");
        assert_eq!(config["Healthcheck"]["Test"], json!(["CMD", format!("/{image}"), "health"]));
        for label in ["title", "description", "licenses", "version", "revision"] {
            let value = config["Labels"][format!("org.opencontainers.image.{label}")].as_str().unwrap_or_default();
            assert!(!["", "unknown"].contains(&value), "{label} of {name} is {value:?}");
        }
        let certificates = format!("{project}-{image}-1:/etc/ssl/certs/ca-certificates.crt");
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("certificates");
        docker(&["cp", &certificates, copy.to_str().unwrap()]).await;
        assert!(std::fs::read_to_string(copy).unwrap().matches("BEGIN CERTIFICATE").count() > 50);
    }
}

async fn the_program_says_what_it_was_built_from(stack: &Handle) {
    let client = stack::http::client(Duration::from_secs(5)).unwrap();
    let url = format!("{}/version", stack.endpoints().service_admin);
    let version: Value = client.get(url).send().await.unwrap().json().await.unwrap();
    assert!(version["revision"].as_str().is_some_and(|revision| revision != "unknown"), "{version}");
}

/// Where its image can be had.
async fn grafana_shows_all_dashboards_to_anybody(project: &str) {
    let name = format!("{project}-grafana-1");
    if docker(&["ps", "--quiet", "--filter", &format!("name={name}")]).await.is_empty() {
        return;
    }
    let at = docker(&["port", &name, "3000"]).await;
    let client = stack::http::client(Duration::from_secs(5)).unwrap();
    let url = format!("http://{}/api/search?type=dash-db", at.trim());
    let found: Value = client.get(url).send().await.unwrap().json().await.unwrap();
    let found: BTreeSet<_> = found.as_array().unwrap().iter().map(|board| board["uid"].as_str().unwrap()).collect();
    assert_eq!(found, ["alerts", "database", "overview", "pipeline", "service"].into());
}

/// On a stack that is not the one of this checkout.
async fn doctor_explains_a_part_that_was_stopped_and_one_that_was_removed(project: &str) {
    let postgres = format!("{project}-postgres-1");
    docker(&["stop", &postgres]).await;
    docker(&["rm", "--force", &format!("{project}-postgres-exporter-1")]).await;
    let nothing = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_stack"))
        .arg("doctor")
        .env("COMPOSE_PROJECT_NAME", project)
        .env("LOOKOUT_STATE", nothing.path())
        .env_remove("DOCKER")
        .output()
        .await
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success(), "{said}");
    let part = said.split("postgres ").nth(1).unwrap_or_else(|| panic!("{said}"));
    let stopped = ["UNHEALTHY since ", " s)", "exited with code 0", "\"error_severity\":\"FATAL\""];
    let advice = ["docker cp", "orders can be neither read nor written", "docker compose up --detach postgres"];
    for words in stopped.into_iter().chain(advice) {
        assert!(part.contains(words), "{words} is not in {said}");
    }
    let gone = said.split("postgres-exporter ").nth(1).unwrap_or_else(|| panic!("{said}"));
    for words in ["UNHEALTHY since ", "it has no container", "docker compose up --detach postgres-exporter"] {
        assert!(gone.contains(words), "{words} is not in {said}");
    }
    assert!(!said.contains("grafana ") || said.contains("grafana           healthy"), "{said}");
    let after: u64 = part.split_once('(').unwrap().1.split_once(' ').unwrap().0.parse().unwrap();
    assert!(after < 60, "{said}");
}

async fn memory_is_bounded(project: &str) {
    let of_project = format!("--filter=label=com.docker.compose.project={project}");
    let names = docker(&["ps", "--format", "{{.Names}}", &of_project]).await;
    let arguments = ["stats", "--no-stream", "--format", "{{.MemUsage}}"].into_iter().chain(names.lines());
    let usage = docker(&arguments.collect::<Vec<_>>()).await;
    let bytes = |text: &str| {
        let number = text.trim_end_matches(char::is_alphabetic);
        let unit = match &text[number.len()..] {
            "GiB" => 1024.0 * 1024.0 * 1024.0,
            "MiB" => 1024.0 * 1024.0,
            "KiB" => 1024.0,
            unit => panic!("{unit} in {usage}"),
        };
        number.parse::<f64>().unwrap() * unit
    };
    let sum: f64 = usage.lines().map(|line| bytes(line.split(' ').next().unwrap())).sum();
    say(&format!("memory of {} containers: {:.0} MB", usage.lines().count(), sum / 1e6));
    assert!(sum < MEMORY, "{usage}");
}

async fn rehearse(drill: &str) {
    let _machine = machine::alone().await;
    let summary = drills::run(Args { compose: true, ..Args::new(drill.parse().unwrap()) }).await.unwrap();
    assert!(summary.ok, "{:#?}", summary.reasons);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_database_is_told_within_two_seconds_and_resolved_once_it_is_back() {
    rehearse("db_down").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_service_is_told_within_eight_seconds_and_resolved_once_it_is_back() {
    rehearse("service_down").await;
}
