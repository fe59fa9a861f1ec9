//! `with-postgres` as a script uses it.

use crate::{
    machine,
    runner::{finish, stack},
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
async fn a_command_that_is_not_there_is_named() {
    let _machine = machine::shared().await;
    let state = tempfile::tempdir().unwrap();

    let (succeeded, said) = finish(&mut stack(state.path(), &["with-postgres", "--", "no-such-command"])).await;

    assert!(!succeeded && said.contains("no-such-command cannot be started"), "{said}");
}
