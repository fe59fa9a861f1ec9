//! What the tests of both kinds of stack share.

pub(crate) mod acceptance;

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, condition: impl AsyncFnMut() -> bool) {
    eventually_within(Duration::from_secs(90), what, condition).await;
}

/// Waits until `condition` holds, for what takes long.
pub(crate) async fn eventually_within(patience: Duration, what: &str, condition: impl AsyncFnMut() -> bool) {
    assert!(holds_within(patience, condition).await, "still not after {} s: {what}", patience.as_secs());
}

/// Whether `condition` comes to hold in time.
pub(crate) async fn holds_within(patience: Duration, mut condition: impl AsyncFnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    while !condition().await {
        if Instant::now() >= deadline {
            return false;
        }
        sleep(Duration::from_millis(20)).await;
    }
    true
}
