//! What the tests stand on.

/// The public listener, in this process.
pub(crate) mod api;
/// A Postgres of one's own, to break.
pub(crate) mod cluster;
/// The real program.
pub(crate) mod program;

use std::time::{Duration, Instant};

/// Waits for a condition; fails the test when it does not come true in time.
pub(crate) async fn eventually(what: &str, within: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !holds().await {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
