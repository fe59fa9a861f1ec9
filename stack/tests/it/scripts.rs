//! What `make up` and `make test` decide before anything is started.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Stdio,
};

use tempfile::TempDir;
use tokio::process::Command;

use crate::runner::{finish, without_cargo_variables};

fn script(name: &str) -> Command {
    let mut command = Command::new(Path::new(concat!(env!("CARGO_MANIFEST_DIR"))).join(name));
    command.env_remove("STACK_REQUIRE").env_remove("DOCKER").stdin(Stdio::null()).kill_on_drop(true);
    without_cargo_variables(&mut command);
    command
}

#[tokio::test]
async fn up_runs_natively_without_an_engine_and_says_why() {
    let (succeeded, said) = finish(script("up.sh").arg("--help").env("DOCKER_HOST", "unix:///no/such/engine")).await;
    assert!(succeeded && said.contains("As processes of this machine:"), "{said}");
    assert!(said.contains("no Docker engine answers") || said.contains("docker is not on PATH"), "{said}");
    assert!(said.contains("--free-ports"), "the arguments are passed on: {said}");

    let (succeeded, said) = finish(script("up.sh").arg("--help").env("DOCKER", "0")).await;
    assert!(succeeded && said.contains("As processes of this machine: DOCKER is 0"), "{said}");

    let mut forced = script("up.sh");
    let (succeeded, said) = finish(forced.env("DOCKER", "1").env("DOCKER_HOST", "unix:///no/such/engine")).await;
    assert!(!succeeded && said.contains("DOCKER is 1, but"), "{said}");
}

#[tokio::test]
async fn up_with_docker_names_a_taken_port_and_the_variable_that_moves_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut up = script("up.sh");
    // Another project than the one that may be up.
    up.env("DOCKER", "1").env("COMPOSE_PROJECT_NAME", "lookout-taken-port").env("JAEGER_PORT", &port);

    let (succeeded, said) = finish(&mut up).await;

    assert!(!succeeded, "{said}");
    let without_docker = said.contains("DOCKER is 1, but");
    let named = format!("port {port} is taken by");
    assert!(without_docker || said.contains(&named) && said.contains("JAEGER_PORT=<another port>"), "{said}");
}

/// An engine that has every image but those in `MISSING`, and a compose that says what it was asked.
const DOCKER: &str = r#"#!/bin/sh
case "$*" in
    "version "*) echo "${ENGINE_VERSION:-29.0.2}" ;;
    "compose version --short") echo "${COMPOSE_VERSION:-2.40.0}" ;;
    "compose config --images") printf '%s\n' prom/prometheus:v3 grafana/grafana:13 lookout/service:latest ;;
    "compose config") printf '      - mode: ingress\n        target: 16686\n        published: "%s"\n' "${PUBLISHED:-1}" ;;
    "image inspect "* | "manifest inspect "*) case " $MISSING " in *" $3 "*) exit 1 ;; esac ;;
    "compose up"*) echo "docker $* with COMPOSE_FILE=$COMPOSE_FILE REVISION=$REVISION" ;;
esac
"#;

/// The project, as links, in a folder where a test may write, with programs that go before those of this machine.
struct Elsewhere(TempDir);

impl Elsewhere {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = fs::canonicalize("..").unwrap();
        for entry in fs::read_dir(repository).unwrap().map(|entry| entry.unwrap()) {
            if entry.file_name() != ".env" {
                symlink(entry.path(), folder.path().join(entry.file_name())).unwrap();
            }
        }
        fs::create_dir(folder.path().join("bin")).unwrap();
        for (name, program) in [("docker", DOCKER), ("cargo", "#!/bin/sh\necho cargo \"$@\"\n")] {
            let path = folder.path().join("bin").join(name);
            fs::write(&path, program).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self(folder)
    }

    /// What `make up` says there, with these variables.
    async fn up(&self, variables: &[(&str, &str)]) -> (bool, String) {
        let mut up = Command::new("sh");
        up.args(["-c", "PATH=$0/bin:$PATH exec $0/stack/up.sh"]).arg(self.0.path());
        up.envs(variables.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
        for variable in ["DOCKER", "COMPOSE_FILE", "REVISION"] {
            up.env_remove(variable);
        }
        finish(&mut up).await
    }
}

#[tokio::test]
async fn up_takes_containers_and_says_what_they_are_built_from() {
    let project = Elsewhere::new();
    let git = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output().await.unwrap();
    let head = String::from_utf8(git.stdout).unwrap();
    let head = if git.status.success() { head.trim() } else { "unknown" };

    let (succeeded, said) = project.up(&[]).await;
    assert!(succeeded && said.contains(&format!("docker compose up with COMPOSE_FILE= REVISION={head}\n")), "{said}");

    fs::write(project.0.path().join(".env"), "#REVISION=none\nREVISION=of-a-person\n").unwrap();
    let (_, said) = project.up(&[]).await;
    assert!(said.contains("REVISION=of-a-person\n"), "{said}");
}

#[tokio::test]
async fn up_leaves_out_grafana_alone_and_takes_processes_when_another_image_is_missing() {
    let project = Elsewhere::new();

    let (succeeded, said) = project.up(&[("MISSING", "grafana/grafana:13")]).await;
    assert!(succeeded && said.contains("Without Grafana"), "{said}");
    assert!(said.contains("with COMPOSE_FILE=docker-compose.yml:stack/without-grafana.yml "), "{said}");

    let (_, said) = project.up(&[("MISSING", "grafana/grafana:13 prom/prometheus:v3")]).await;
    assert!(said.contains("As processes of this machine: these images are neither here nor can be pulled"), "{said}");
    assert!(said.contains("prom/prometheus:v3") && said.contains("cargo run --quiet --package stack -- up"), "{said}");
}

#[tokio::test]
async fn up_takes_processes_when_engine_or_compose_is_too_old() {
    let project = Elsewhere::new();

    for (version, fits) in [("2.24.0", true), ("v2.30.1-desktop.1", true), ("2.9.0", false), ("2.23.3", false)] {
        let (_, said) = project.up(&[("COMPOSE_VERSION", version)]).await;
        let refused = said.contains(&format!("compose is {version}, and 2.24 or newer is needed"));
        assert_eq!((said.contains("docker compose up"), refused), (fits, !fits), "{said}");
    }
    for (version, fits) in [("25.0.0", true), ("29.1.0-rc.1", true), ("24.0.9", false), ("9.0.0", false)] {
        let (_, said) = project.up(&[("ENGINE_VERSION", version)]).await;
        let refused = said.contains(&format!("the Docker engine is {version}, and 25 or newer is needed"));
        assert_eq!((said.contains("docker compose up"), refused), (fits, !fits), "{said}");
    }
}

#[tokio::test]
async fn up_reads_what_a_person_has_put_into_the_env_file() {
    let project = Elsewhere::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    fs::write(project.0.path().join(".env"), "COMPOSE_FILE=docker-compose.yml:mine.yml\n").unwrap();

    let (_, said) = project.up(&[("MISSING", "grafana/grafana:13")]).await;
    let all = "COMPOSE_FILE=docker-compose.yml:mine.yml:stack/without-grafana.yml";
    assert!(said.contains(all), "{said}");

    // Where compose will publish is what it says, wherever it has read that.
    let (succeeded, said) = project.up(&[("PUBLISHED", &port)]).await;
    let named = said.contains(&format!("port {port} is taken by")) && said.contains("JAEGER_PORT=<another port>");
    assert!(!succeeded && named && !said.contains("docker compose up"), "{said}");
}

#[tokio::test]
async fn up_names_a_file_that_containers_may_not_read() {
    let project = Elsewhere::new();
    let load = project.0.path().join("load");
    fs::remove_file(&load).unwrap();
    fs::create_dir(&load).unwrap();
    fs::write(load.join("orders.js"), "").unwrap();
    fs::set_permissions(load.join("orders.js"), fs::Permissions::from_mode(0o600)).unwrap();

    let (succeeded, said) = project.up(&[]).await;

    assert!(!succeeded && said.contains("cannot read load/orders.js: chmod -R go+rX"), "{said}");
}

#[tokio::test]
async fn what_is_skipped_is_counted_and_is_a_failure_where_everything_is_required() {
    let skips = ["sh", "-c", "echo SKIPPED: needs loki; echo 'test a ... SKIPPED: needs loki'; echo fine"];

    let (succeeded, said) = finish(script("test.sh").args(skips)).await;
    assert!(succeeded && said.contains("2 SKIPPED: needs loki") && said.ends_with("2 skipped\n"), "{said}");

    let (succeeded, said) = finish(script("test.sh").args(skips).env("STACK_REQUIRE", "all")).await;
    assert!(!succeeded && said.contains("what was skipped is a failure"), "{said}");

    let (succeeded, said) = finish(script("test.sh").args(["sh", "-c", "exit 3"])).await;
    assert!(!succeeded && said.ends_with("0 skipped\n"), "{said}");

    let (succeeded, said) = finish(script("test.sh").args(["echo", "fine"]).env("STACK_REQUIRE", "all")).await;
    assert!(succeeded && said.ends_with("0 skipped\n"), "{said}");
}
