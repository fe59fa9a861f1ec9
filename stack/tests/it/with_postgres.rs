//! `with-postgres` as a script uses it.

use std::process::Stdio;

use sqlx::{Connection as _, PgConnection};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
};

use crate::{
    machine,
    runner::{eventually, finish, stack},
};

#[tokio::test]
async fn the_command_gets_a_database_and_its_exit_code_is_passed_on() {
    let _machine = machine::shared().await;
    let state = tempfile::tempdir().unwrap();
    let script = "echo url=$DATABASE_URL; exit 7";
    let mut command = stack(state.path(), &["with-postgres", "--", "sh", "-c", script]);

    let status = command.status().await.unwrap();
    let (_, said) = finish(&mut command).await;

    assert_eq!(status.code(), Some(7));
    assert!(said.contains("url=postgres://postgres:"), "{said}");
}

#[tokio::test]
async fn only_a_durable_database_writes_to_the_disk() {
    let _machine = machine::shared().await;
    let state = tempfile::tempdir().unwrap();
    for (options, fsync) in [(&[][..], "off"), (&["--durable"][..], "on")] {
        let mut command = stack(
            state.path(),
            &[&["with-postgres"], options, &["--", "sh", "-c", "echo $DATABASE_URL; cat"]].concat(),
        );
        let mut runner = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let url = BufReader::new(runner.stdout.take().unwrap()).lines().next_line().await.unwrap().unwrap();
        let mut connection = PgConnection::connect(&url).await.unwrap();

        let shown: String = sqlx::query_scalar("show fsync").fetch_one(&mut connection).await.unwrap();

        assert_eq!(shown, fsync, "{options:?}");
        drop((connection, runner.stdin.take()));
        assert!(runner.wait().await.unwrap().success());
    }
}

#[tokio::test]
async fn a_command_that_is_not_there_is_named() {
    let _machine = machine::shared().await;
    let state = tempfile::tempdir().unwrap();

    let (succeeded, said) = finish(&mut stack(state.path(), &["with-postgres", "--", "no-such-command"])).await;

    assert!(!succeeded && said.contains("no-such-command cannot be started"), "{said}");
}

#[tokio::test]
async fn the_database_of_a_killed_runner_is_ended_by_the_next_one() {
    let _machine = machine::shared().await;
    let state = tempfile::tempdir().unwrap();
    let mut command = stack(state.path(), &["with-postgres", "--", "sh", "-c", "echo $DATABASE_URL; cat"]);
    let mut runner = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(runner.stdout.take().unwrap()).lines();
    let url = output.next_line().await.unwrap().unwrap();
    let address = url.split(['@', '/']).nth(3).unwrap();
    runner.kill().await.unwrap();

    let (succeeded, said) = finish(&mut stack(state.path(), &["with-postgres", "--", "true"])).await;

    assert!(succeeded, "{said}");
    // Another test's runner may be the one that ends it.
    eventually("nobody listens there", async || TcpStream::connect(address).await.is_err()).await;
}
