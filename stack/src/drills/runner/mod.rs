//! Runs a drill: what a fault is, what is gathered while it lasts, and the two scripts of an outage.

mod chat_down;
mod content;
mod episode;
mod green;
mod messages;
mod observer;
mod outcome;
mod pulse;
pub(super) mod requests;
mod script;

use std::time::{Duration, Instant};

use crate::{Handle, chat::Behaviour, load::Sample};

pub(super) use outcome::write_results;
pub use outcome::{Outcome, Spread, Summary};
pub(super) use script::{Plan, run};

/// How a component is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Injury {
    /// SIGKILL to all of its processes.
    Kill,
    /// SIGSTOP to all of its processes.
    Freeze,
}

/// How to tell, from outside, that the broken component is back.
#[derive(Clone, Copy, Debug)]
pub(super) enum Back {
    /// Postgres takes a session.
    Postgres,
    /// The service's readiness answers green.
    Service,
}

/// One failure, and what must come of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) name: &'static str,
    pub(super) failure_type: &'static str,
    pub(super) alert: &'static str,
    pub(super) component: &'static str,
    pub(super) injury: Injury,
    pub(super) back: Back,
    pub(super) chat_within: Duration,
    /// What must hold for users and probes; returns what did not.
    pub(super) judge: fn(&Evidence) -> Vec<String>,
}

impl Fault {
    async fn inflict(&self, stack: &Handle) -> anyhow::Result<()> {
        match self.injury {
            Injury::Kill => stack.kill(self.component).await,
            Injury::Freeze => stack.freeze(self.component).await,
        }
    }

    /// Undoes the injury, and returns when the component is ready.
    pub(super) async fn repair(&self, stack: &Handle) -> anyhow::Result<()> {
        match self.injury {
            Injury::Kill => stack.start(self.component).await,
            Injury::Freeze => stack.thaw(self.component).await,
        }
    }

    fn repairing(&self) -> String {
        match self.injury {
            Injury::Kill => format!("repair: {} is started", self.component),
            Injury::Freeze => format!("repair: {} is thawed (SIGCONT)", self.component),
        }
    }

    fn inflicted(&self) -> String {
        match self.injury {
            Injury::Kill => format!("{} killed (SIGKILL to all of its processes)", self.component),
            Injury::Freeze => format!("{} frozen (SIGSTOP to all of its processes)", self.component),
        }
    }
}

/// What was seen from outside during one outage.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) zero: Instant,
    pub(super) detected: Option<Instant>,
    pub(super) repair: Instant,
    pub(super) recovered: Option<Instant>,
    pub(super) samples: Vec<Sample>,
    /// When liveness was not green, from `zero`.
    pub(super) pulse_lost: Vec<Duration>,
    pub(super) started_before: Option<f64>,
    pub(super) started_after: Option<f64>,
}

/// Tells the chat player of `stack` how to answer.
pub(super) async fn behave(stack: &Handle, behaviour: Behaviour) -> anyhow::Result<()> {
    observer::Observer::new(stack.endpoints())?.behave(behaviour).await
}
