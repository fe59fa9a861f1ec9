//! How late workers do what is due: whatever waits for a worker, waits at least that long.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

use crate::metrics::Gauge;

pub(crate) static RUNTIME_LAG: Gauge<0> = Gauge::new(
    "runtime_lag_seconds",
    "How late the latest worker was with what was due, since this was asked last.",
    [],
);

const EVERY: Duration = Duration::from_millis(100);

static WORKERS: Mutex<Vec<Weak<Mutex<Beat>>>> = Mutex::new(Vec::new());

/// What one worker has to do next, and how late it was at most.
struct Beat {
    due: Instant,
    worst: Duration,
}

/// Watches the runtime of this thread until it ends. Outside a runtime there is nothing to watch.
pub(crate) fn watch() {
    let Ok(runtime) = Handle::try_current() else { return };
    let beat = Arc::new(Mutex::new(Beat { due: Instant::now() + EVERY, worst: Duration::ZERO }));
    WORKERS.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&beat));
    // No request waits for it and it writes no line: there is no context to keep.
    drop(runtime.spawn(keep_time(beat)));
}

async fn keep_time(beat: Arc<Mutex<Beat>>) {
    loop {
        let due = beat.lock().unwrap_or_else(PoisonError::into_inner).due;
        sleep_until(due).await;
        let mut beat = beat.lock().unwrap_or_else(PoisonError::into_inner);
        beat.worst = beat.worst.max(due.elapsed());
        beat.due = Instant::now() + EVERY;
    }
}

/// Sets the gauge. A worker that is stuck at this moment counts as late as it is by now.
pub(crate) fn record() {
    let mut workers = WORKERS.lock().unwrap_or_else(PoisonError::into_inner);
    workers.retain(|worker| worker.strong_count() > 0);
    let lag = workers.iter().filter_map(Weak::upgrade).map(|beat| {
        let mut beat = beat.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut beat.worst).max(beat.due.elapsed())
    });
    if let Some(lag) = lag.max() {
        RUNTIME_LAG.set([], lag.as_secs_f64());
    }
}
