//! The circuit breaker: after failures in a row a dependency is left alone for a while, then asked by
//! one call at a time whether it is back.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{failure::FailureType, metrics::CIRCUIT_BREAKER_STATE};

/// Failures in a row that open it.
const FAILURES: u32 = 5;
/// How long it stays open.
const REST: Duration = Duration::from_secs(5);

/// Decides which calls to a dependency are made. Shared by its clones.
#[derive(Clone, Debug)]
pub(super) struct Breaker {
    dependency: &'static str,
    rest: Duration,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    state: State,
    /// How often it has opened. What calls from before say, says nothing about now.
    opened: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed {
        failures: u32,
    },
    /// One call is on its way to find out.
    HalfOpen,
    Open {
        until: Instant,
    },
}

impl Breaker {
    pub(super) fn new(dependency: &'static str) -> Self {
        Self::resting(dependency, REST)
    }

    fn resting(dependency: &'static str, rest: Duration) -> Self {
        CIRCUIT_BREAKER_STATE.set([dependency], 0.0);
        let inner = Inner { state: State::Closed { failures: 0 }, opened: 0 };
        Self { dependency, rest, inner: Arc::new(Mutex::new(inner)) }
    }

    /// How many calls would be let through now, of `wanted`: after a rest, the one that finds out.
    pub(super) fn room(&self, wanted: usize) -> usize {
        match self.lock().state {
            State::Closed { .. } => wanted,
            State::Open { until } if Instant::now() >= until => wanted.min(1),
            State::HalfOpen | State::Open { .. } => 0,
        }
    }

    /// Permission for one call; `None` while the dependency is left alone.
    pub(super) fn admit(&self) -> Option<Permit> {
        let mut inner = self.lock();
        match inner.state {
            State::Closed { .. } => {}
            State::Open { until } if Instant::now() >= until => self.change(&mut inner, State::HalfOpen),
            State::HalfOpen | State::Open { .. } => return None,
        }
        Some(Permit { breaker: self.clone(), opened: inner.opened, told: false })
    }

    /// What became of a call; `None` when nobody knows.
    fn record(&self, permit: &Permit, succeeded: Option<bool>) {
        let mut inner = self.lock();
        if permit.opened != inner.opened {
            return;
        }
        let next = match (inner.state, succeeded) {
            (_, Some(true)) => State::Closed { failures: 0 },
            // It was the caller who gave up.
            (State::Closed { .. }, None) => return,
            (State::Closed { failures }, Some(false)) if failures + 1 < FAILURES => {
                State::Closed { failures: failures + 1 }
            }
            // Half open without a verdict, it would wait for one for ever.
            _ => State::Open { until: Instant::now() + self.rest },
        };
        self.change(&mut inner, next);
    }

    fn change(&self, inner: &mut Inner, next: State) {
        let dependency = self.dependency;
        let value = match (inner.state, next) {
            (State::Closed { .. }, State::Closed { .. }) => 0.0,
            (_, State::Closed { .. }) => {
                tracing::info!(dependency, "circuit breaker closed: the dependency is back");
                0.0
            }
            (_, State::HalfOpen) => 1.0,
            (_, State::Open { .. }) => {
                inner.opened += 1;
                let failure_type = FailureType::Breaker.as_str();
                tracing::warn!(failure_type, dependency, "circuit breaker open: the dependency is left alone");
                2.0
            }
        };
        inner.state = next;
        CIRCUIT_BREAKER_STATE.set([dependency], value);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call that may be made. Dropped when its caller has gone, it has no verdict.
#[derive(Debug)]
pub(super) struct Permit {
    breaker: Breaker,
    opened: u64,
    told: bool,
}

impl Permit {
    pub(super) fn succeeded(mut self, succeeded: bool) {
        self.told = true;
        self.breaker.record(&self, Some(succeeded));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.told {
            self.breaker.record(self, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opened by failures, and to be asked again after this rest.
    fn opened(rest: Duration) -> Breaker {
        let breaker = Breaker::resting("test", rest);
        for _ in 0..FAILURES {
            assert_eq!(breaker.room(8), 8);
            breaker.admit().unwrap().succeeded(false);
        }
        breaker
    }

    #[test]
    fn open_it_lets_nothing_through() {
        let breaker = opened(Duration::from_mins(1));
        assert_eq!(breaker.room(8), 0);
        assert!(breaker.admit().is_none());
    }

    #[test]
    fn after_its_rest_it_lets_one_through_which_decides() {
        for (succeeded, room) in [(true, 8), (false, 1)] {
            let breaker = opened(Duration::ZERO);
            assert_eq!(breaker.room(8), 1);
            let one = breaker.admit().unwrap();
            assert_eq!(breaker.room(8), 0);
            assert!(breaker.admit().is_none());
            one.succeeded(succeeded);
            assert_eq!(breaker.room(8), room);
        }
    }

    #[test]
    fn a_call_without_a_verdict_counts_only_when_all_wait_for_it() {
        let breaker = Breaker::resting("test", Duration::from_mins(1));
        for _ in 0..2 * FAILURES {
            drop(breaker.admit().unwrap());
        }
        assert_eq!(breaker.room(8), 8);

        let breaker = opened(Duration::ZERO);
        drop(breaker.admit().unwrap());
        assert_eq!(breaker.room(8), 1, "another one may find out");
    }

    #[test]
    fn a_success_ends_a_row_of_failures() {
        let breaker = Breaker::resting("test", Duration::from_mins(1));
        for number in 0..4 * FAILURES {
            breaker.admit().unwrap().succeeded(number % FAILURES == 0);
        }
        assert_eq!(breaker.room(8), 8);
    }

    #[test]
    fn calls_from_before_it_opened_decide_nothing() {
        for late in [true, false] {
            let breaker = Breaker::resting("test", Duration::ZERO);
            let before = breaker.admit().unwrap();
            for _ in 0..FAILURES {
                breaker.admit().unwrap().succeeded(false);
            }
            let one = breaker.admit().unwrap();
            before.succeeded(late);
            assert_eq!(breaker.room(8), 0, "half open as before");
            one.succeeded(true);
            assert_eq!(breaker.room(8), 8);
        }
    }
}
