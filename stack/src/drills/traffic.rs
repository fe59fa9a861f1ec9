//! Requests do not arrive any more, though everything is well.

use futures_util::future::BoxFuture;

use super::runner::{Fault, Injury, Scene, Surroundings, Window};

/// Nobody sends anything.
pub(super) const TRAFFIC: Fault = Fault {
    surroundings: Surroundings { shorten: 10, ..Surroundings::SHORT },
    ..Fault::new(
        "traffic",
        "traffic",
        "TrafficDroppedToZero",
        &Silence,
        // The rule looks at the hour until ten minutes ago: they have to pass first.
        Window { range: 60, fill: 660, lasting: 120, keep: 0, steps: Window::SLOW },
    )
};

#[derive(Clone, Copy, Debug)]
struct Silence;

impl Injury for Silence {
    fn inflict<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<String>> {
        Box::pin(async move {
            scene.traffic().pause();
            scene.stack().kill("load").await?;
            Ok("nobody sends requests any more".to_owned())
        })
    }

    fn remedy(&self) -> String {
        "requests come again".to_owned()
    }

    fn repair<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(async move {
            scene.traffic().resume();
            scene.stack().start("load").await
        })
    }
}
