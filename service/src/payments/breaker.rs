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
    state: Arc<Mutex<State>>,
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
        CIRCUIT_BREAKER_STATE.set([dependency], 0.0);
        Self { dependency, state: Arc::new(Mutex::new(State::Closed { failures: 0 })) }
    }

    /// Whether a call would be refused now.
    pub(super) fn is_open(&self) -> bool {
        matches!(*self.lock(), State::Open { until } if Instant::now() < until)
    }

    /// Permission for one call; `None` while the dependency is left alone.
    pub(super) fn admit(&self) -> Option<Permit> {
        let mut state = self.lock();
        match *state {
            State::Closed { .. } => {}
            State::Open { until } if Instant::now() >= until => self.change(&mut state, State::HalfOpen),
            State::HalfOpen | State::Open { .. } => return None,
        }
        Some(Permit { breaker: self.clone(), told: false })
    }

    fn record(&self, succeeded: bool) {
        let mut state = self.lock();
        let next = match *state {
            // Of calls from before it opened; the call that finds out decides.
            State::Open { .. } => return,
            _ if succeeded => State::Closed { failures: 0 },
            State::Closed { failures } if failures + 1 < FAILURES => State::Closed { failures: failures + 1 },
            State::Closed { .. } | State::HalfOpen => State::Open { until: Instant::now() + REST },
        };
        self.change(&mut state, next);
    }

    fn change(&self, state: &mut State, next: State) {
        let dependency = self.dependency;
        let value = match (*state, next) {
            (State::Closed { .. }, State::Closed { .. }) => 0.0,
            (_, State::Closed { .. }) => {
                tracing::info!(dependency, "circuit breaker closed: the dependency is back");
                0.0
            }
            (_, State::HalfOpen) => 1.0,
            (_, State::Open { .. }) => {
                let failure_type = FailureType::Breaker.as_str();
                tracing::warn!(failure_type, dependency, "circuit breaker open: the dependency is left alone");
                2.0
            }
        };
        *state = next;
        CIRCUIT_BREAKER_STATE.set([dependency], value);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call that may be made. Dropped without a verdict, because its caller has gone, it counts as
/// failed: else a half-open breaker would wait for it for ever.
#[derive(Debug)]
pub(super) struct Permit {
    breaker: Breaker,
    told: bool,
}

impl Permit {
    pub(super) fn succeeded(mut self, succeeded: bool) {
        self.told = true;
        self.breaker.record(succeeded);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.told {
            self.breaker.record(false);
        }
    }
}
