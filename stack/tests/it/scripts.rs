//! What `make up` and `make test` decide before anything is started.

use std::{net::TcpListener, path::Path, process::Stdio};

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
