//! Watches the machine itself: a request that is late because everything stood still says nothing about the service.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const NAP: Duration = Duration::from_millis(2);
/// Any scheduler is this late now and then.
const USUAL: Duration = Duration::from_millis(5);

/// A time during which a thread that only sleeps did not get to run.
#[derive(Clone, Copy, Debug)]
pub(in crate::drills) struct Stall {
    pub(super) from: Instant,
    pub(super) took: Duration,
}

impl Stall {
    /// How much of it lies in the time that began at `from` and took `took`.
    pub(super) fn within(&self, from: Instant, took: Duration) -> Duration {
        let start = self.from.max(from);
        let end = (self.from + self.took).min(from + took);
        end.saturating_duration_since(start)
    }
}

/// Watches until dropped.
#[derive(Debug)]
pub(super) struct Stalls {
    seen: Arc<Mutex<Vec<Stall>>>,
    over: Arc<AtomicBool>,
}

impl Stalls {
    pub(super) fn watch() -> Self {
        let stalls = Self { seen: Arc::default(), over: Arc::default() };
        let (seen, over) = (Arc::clone(&stalls.seen), Arc::clone(&stalls.over));
        thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let from = Instant::now();
                thread::sleep(NAP);
                let took = from.elapsed();
                if took > NAP + USUAL {
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(Stall { from, took });
                }
            }
        });
        stalls
    }

    pub(super) fn seen(&self) -> Vec<Stall> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_overlaps_is_taken_off() {
        let ms = Duration::from_millis;
        let zero = Instant::now();
        let stall = Stall { from: zero + ms(10), took: ms(20) };
        assert_eq!(stall.within(zero, ms(15)), ms(5));
        assert_eq!(stall.within(zero, ms(100)), ms(20));
        assert_eq!(stall.within(zero + ms(15), ms(5)), ms(5));
        assert_eq!(stall.within(zero + ms(40), ms(5)), Duration::ZERO);
    }
}
