//! Whether monitoring still lives: Prometheus' Watchdog, carried here by Alertmanager every 15 s.
use std::sync::atomic::{AtomicI64, Ordering};

use crate::time;

/// Three beats.
const OVERDUE_AFTER: i64 = 45_000;

/// The last beat. Until the first one, the program's start stands for it.
#[derive(Debug)]
pub(crate) struct Heartbeat(AtomicI64);

impl Heartbeat {
    pub(crate) fn start() -> Self {
        Self(AtomicI64::new(time::now()))
    }

    pub(crate) fn beat(&self) {
        self.0.store(time::now(), Ordering::Relaxed);
    }

    pub(crate) fn age(&self) -> i64 {
        time::now().saturating_sub(self.0.load(Ordering::Relaxed)).max(0)
    }

    pub(crate) fn overdue(&self) -> bool {
        self.age() > OVERDUE_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_becomes_overdue_and_a_beat_ends_it() {
        let heartbeat = Heartbeat(AtomicI64::new(time::now() - OVERDUE_AFTER - 1_000));
        assert!(heartbeat.overdue());
        heartbeat.beat();
        assert!(!heartbeat.overdue());
    }
}
