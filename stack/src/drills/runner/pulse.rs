//! Watches liveness, which must stay green through every outage of a dependency.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use super::observer::Observer;

const EVERY: Duration = Duration::from_millis(200);

/// Asks until dropped.
#[derive(Debug)]
pub(super) struct Pulse {
    lost: Arc<Mutex<Vec<Instant>>>,
    _watcher: JoinSet<()>,
}

impl Pulse {
    pub(super) fn watch(observer: Observer) -> Self {
        let lost = Arc::<Mutex<Vec<Instant>>>::default();
        let seen = Arc::clone(&lost);
        let mut watcher = JoinSet::new();
        watcher.spawn(async move {
            loop {
                let asked = Instant::now();
                if !observer.live().await {
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
                }
                tokio::time::sleep(EVERY).await;
            }
        });
        Self { lost, _watcher: watcher }
    }

    /// The moments at which liveness was not green, counted from `zero`.
    pub(super) fn lost(&self, zero: Instant) -> Vec<Duration> {
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.iter().map(|at| at.saturating_duration_since(zero)).collect()
    }
}
