//! A drill breaks and repairs exactly what it says.

use std::time::Duration;

use nix::sys::signal::Signal;
use stack::{ComponentStatus, Condition, Handle, Options};

use crate::{
    machine,
    runner::{eventually, send},
};

async fn part(stack: &Handle, name: &str) -> ComponentStatus {
    let status = stack.status().await.unwrap();
    status.into_iter().find(|component| component.name == name).unwrap()
}

#[tokio::test]
async fn components_are_killed_frozen_and_repaired_one_by_one() {
    let _machine = machine::shared().await;
    let stack = stack::start(Options::default()).await.unwrap();

    stack.kill("postgres").await.unwrap();
    let killed = part(&stack, "postgres").await;
    assert_eq!((killed.condition, killed.healthy, killed.pid), (Condition::Down, false, None));
    stack.start("postgres").await.unwrap();
    assert!(part(&stack, "postgres").await.healthy);

    stack.freeze("postgres").await.unwrap();
    let frozen = part(&stack, "postgres").await;
    assert_eq!((frozen.condition, frozen.healthy), (Condition::Frozen, false));
    stack.thaw("postgres").await.unwrap();
    eventually("postgres answers again", async || part(&stack, "postgres").await.healthy).await;

    let unknown = stack.kill("cassandra").await.unwrap_err();
    assert!(format!("{unknown:#}").contains("postgres, relay, service"), "{unknown:#}");
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn a_crashed_service_comes_back_and_a_killed_one_stays_down() {
    let _machine = machine::shared().await;
    let stack = stack::start(Options::default()).await.unwrap();
    let before = part(&stack, "service").await.pid.unwrap();

    send(i32::try_from(before).unwrap(), Signal::SIGKILL);
    eventually("the service was restarted", async || part(&stack, "service").await.restarts == 1).await;
    eventually("it is ready", async || part(&stack, "service").await.healthy).await;
    assert_ne!(part(&stack, "service").await.pid, Some(before));

    stack.kill("service").await.unwrap();
    // Longer than a restart takes.
    let watched = tokio::time::timeout(Duration::from_secs(2), async {
        loop {
            assert_eq!(part(&stack, "service").await.condition, Condition::Down);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    watched.await.unwrap_err();
    stack.stop().await.unwrap();
}
