//! The service uses nearly all of the memory that it may.

use anyhow::Context;
use futures_util::future::BoxFuture;

use super::runner::{Fault, Injury, Scene, Surroundings, Window};

/// With its own, 93 % of what it may use: over the 85 % of the rule.
pub(super) const MEMORY: Fault = Fault {
    surroundings: Surroundings { env: &[("FAULTS", "on"), ("MEMORY_LIMIT", "268435456")], ..Surroundings::SHORT },
    ..Fault::new(
        "memory",
        "memory",
        "MemoryHigh",
        &Memory,
        Window { range: 15, fill: 5, lasting: 60, keep: 0, steps: Window::SLOW },
    )
};

/// In MiB. Where the limit is that of the whole machine, it is nobody's to use up.
const MISSING: &str =
    "max(0.93 * memory_limit_bytes{job=\"app\"} - process_resident_memory_bytes{job=\"app\"}) / 1048576";
const MOST: f64 = 1_024.0;

#[derive(Debug)]
struct Memory;

impl Injury for Memory {
    fn inflict<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<String>> {
        Box::pin(async move {
            let missing = scene.query(MISSING).await?.context("the service does not say how much memory it may use")?;
            anyhow::ensure!(
                missing < MOST,
                "the service has no limit of its own, and its machine's is not used up here"
            );
            let amount = format!("{missing:.0}");
            scene.stack().service_admin(&["fault", "memory", "--amount", &amount, "--for", "10m"]).await?;
            Ok(format!("{amount} MiB more are held, so that 93 % of its memory are used"))
        })
    }

    fn remedy(&self) -> String {
        "`service admin fault memory --end`".to_owned()
    }

    fn repair<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(async move { scene.stack().service_admin(&["fault", "memory", "--end"]).await.map(|_| ()) })
    }
}
