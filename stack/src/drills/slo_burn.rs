//! The error budget is burning: errors come and go, each time too shortly to be told by themselves.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::runner::{Fault, Injury, Scene, Window};

pub(super) const BURN: Fault = Fault::new(
    "slo_burn",
    "slo_burn",
    "ErrorBudgetBurnFast",
    &Bursts,
    // An hour must be behind it; the ratios cross their limits meanwhile.
    Window { range: 3_600, fill: 3_600, lasting: 0, keep: 0, steps: Window::SLOW },
);

const BURST: [&str; 6] = ["fault", "errors", "--rate", "0.6", "--for", "2s"];
/// From one to the next. In between, the ratio of the last minute falls to nothing, however short that minute is made.
const EVERY: Duration = Duration::from_secs(27);

#[derive(Debug)]
struct Bursts;

impl Injury for Bursts {
    fn inflict<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<String>> {
        Box::pin(async move {
            let stack = scene.stack().clone();
            stack.service_admin(&BURST).await?;
            scene.hold(async move {
                loop {
                    tokio::time::sleep(EVERY).await;
                    // One that is missed is made up for by the next.
                    drop(stack.service_admin(&BURST).await);
                }
            });
            Ok(format!("60 % of requests fail for 2 s, every {} s", EVERY.as_secs()))
        })
    }

    fn remedy(&self) -> String {
        "no more errors".to_owned()
    }

    fn repair<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(async move {
            scene.release().await;
            scene.stack().service_admin(&["fault", "errors", "--end"]).await.map(|_| ())
        })
    }
}
