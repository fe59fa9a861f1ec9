//! The drills, end to end on a fresh stack each: they fail when a message, a link or a target is missed.
//!
//! One after the other, and nothing beside them, because a busy machine would make their figures meaningless.

use stack::drills::{self, Args};

use crate::machine;

async fn rehearse(args: Args) {
    let _machine = machine::alone().await;
    let summary = drills::run(args).await.unwrap();
    assert!(summary.ok, "{:#?}", summary.reasons);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_database_is_told_within_two_seconds_and_resolved_once_it_is_back() {
    rehearse(Args::new("db_down".parse().unwrap())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_database_is_told_within_five_seconds_and_leaves_nobody_hanging() {
    rehearse(Args::new("db_frozen".parse().unwrap())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_service_is_told_within_eight_seconds_and_resolved_once_it_is_back() {
    rehearse(Args::new("service_down".parse().unwrap())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_while_chat_is_down_is_told_once_with_its_duration() {
    rehearse(Args { chat_down: true, ..Args::new("db_down".parse().unwrap()) }).await;
}
