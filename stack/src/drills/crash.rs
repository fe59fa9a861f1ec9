//! The service ends by itself, and is started again: once, or again and again.

use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::future::BoxFuture;

use super::runner::{Back, Evidence, Fault, Injury, Scene, Sign, Window, requests};

/// Once.
pub(super) const RESTART: Fault = Fault {
    sign: Sign::None,
    back: Back::Service,
    judge,
    ..Fault::new(
        "restart",
        "restart",
        "UnexpectedRestart",
        &Crashes(1),
        Window { range: 300, fill: 5, lasting: 30, keep: 0, steps: Window::SLOW },
    )
};

/// Three times in a row.
pub(super) const LOOP: Fault = Fault {
    // The first of them is a restart that nobody expected.
    along: &["restart"],
    sign: Sign::None,
    back: Back::Service,
    judge,
    ..Fault::new(
        "crash_loop",
        "crash_loop",
        "CrashLoop",
        &Crashes(3),
        // Each crash takes a second until the next start, and another until it is ready.
        Window { range: 600, fill: 5, lasting: 0, keep: 0, steps: 15 + Window::PAGE },
    )
};

/// The service crashes so many times, each time it is ready.
#[derive(Clone, Copy, Debug)]
struct Crashes(u32);

impl Injury for Crashes {
    fn inflict<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<String>> {
        Box::pin(async move {
            for _ in 0..self.0 {
                let before = scene.started().await;
                scene.stack().service_admin(&["fault", "crash"]).await?;
                let deadline = Instant::now() + Duration::from_secs(15);
                scene.until_started_after(before, deadline).await?;
                // One that is not scraped in between is not counted.
                let started = scene.started().await.context("the service does not say when it started")?;
                scene.until_query(r#"process_start_time_seconds{job="app-fast"}"#, started, deadline).await?;
            }
            Ok(format!("the service crashed {} times (`service admin fault crash`)", self.0))
        })
    }

    fn remedy(&self) -> String {
        "none: it is started again by itself".to_owned()
    }

    fn repair<'a>(&'a self, _: &'a Scene) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

fn judge(evidence: &Evidence) -> Vec<String> {
    let mut wrong = requests::recover_from_restart(evidence);
    if evidence.started_before == evidence.started_after {
        wrong.push("the service is the same process as before: it did not crash".to_owned());
    }
    wrong
}
