//! Requests succeed, and take too long.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{
    injury::Service,
    runner::{Fault, Injury, Scene, Surroundings, Window},
};

/// Longer than the second that the rule allows, shorter than the time limit of a request.
pub(super) const LATENCY: Fault = Fault::new(
    "latency",
    "latency",
    "LatencyP99High",
    &SLOW,
    Window { range: 120, fill: 15, lasting: 120, keep: 0, steps: Window::SLOW },
);

/// Meanwhile Prometheus starts anew, with its windows as they are: what was told goes on.
pub(super) const PROMETHEUS_RESTART: Fault = Fault {
    name: "prometheus_restart",
    injury: &Restarting,
    surroundings: Surroundings { shorten: 1, ..Surroundings::SHORT },
    ..LATENCY
};

const SLOW: Service = Service {
    what: "every request waits 1.5 s first",
    inflict: &["fault", "latency", "--delay", "1500ms", "--for", "10m"],
    repair: &["fault", "latency", "--end"],
};
/// Alertmanager takes an alert for over that it has not heard of for a minute.
const FORGOTTEN: Duration = Duration::from_secs(75);

#[derive(Debug)]
struct Restarting;

impl Injury for Restarting {
    fn inflict<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<String>> {
        SLOW.inflict(scene)
    }

    fn meanwhile<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<Option<&'static str>>> {
        Box::pin(async move {
            scene.stack().kill("prometheus").await?;
            scene.stack().start("prometheus").await?;
            tokio::time::sleep(FORGOTTEN).await;
            Ok(Some("prometheus was killed and started, and has been evaluating for 75 s"))
        })
    }

    fn remedy(&self) -> String {
        SLOW.remedy()
    }

    fn repair<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<()>> {
        SLOW.repair(scene)
    }
}
