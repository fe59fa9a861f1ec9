//! What the tests of both kinds of stack share.

pub(crate) mod acceptance;

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, condition: impl AsyncFnMut() -> bool) {
    eventually_within(Duration::from_secs(30), what, condition).await;
}

/// Waits until `condition` holds, for what takes long.
pub(crate) async fn eventually_within(patience: Duration, what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !condition().await {
        assert!(Instant::now() < deadline, "still not after {} s: {what}", patience.as_secs());
        sleep(Duration::from_millis(20)).await;
    }
}
