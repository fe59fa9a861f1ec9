//! Whether monitoring still lives: Prometheus' Watchdog, carried here by Alertmanager every 15 s.
use std::sync::atomic::{AtomicI64, Ordering};

use crate::time;

/// Three beats.
const OVERDUE_AFTER: i64 = 45_000;

/// The last beat. Until the first one, the program's start stands for it.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    started: i64,
    /// 0: none yet.
    last: AtomicI64,
}

impl Heartbeat {
    pub(crate) fn start() -> Self {
        Self { started: time::now(), last: AtomicI64::new(0) }
    }

    pub(crate) fn beat(&self) {
        self.last.store(time::now(), Ordering::Relaxed);
    }

    pub(crate) fn last(&self) -> i64 {
        self.last.load(Ordering::Relaxed)
    }

    pub(crate) fn age(&self) -> i64 {
        time::now().saturating_sub(self.last().max(self.started)).max(0)
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
        let heartbeat = Heartbeat { started: time::now() - OVERDUE_AFTER - 1_000, ..Heartbeat::start() };
        assert!(heartbeat.overdue());
        heartbeat.beat();
        assert!(!heartbeat.overdue());
    }
}
