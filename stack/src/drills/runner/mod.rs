//! Runs a drill: what a fault is, what is gathered while it lasts, and the two scripts of an outage.

mod chat_down;
mod content;
mod dashboards;
mod episode;
mod green;
mod lines;
mod messages;
mod observer;
mod outcome;
mod pulse;
pub(super) mod requests;
mod scene;
mod script;
mod surroundings;
mod window;

use std::{
    fmt,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;

use crate::{Handle, chat::Behaviour, load::Sample};

pub use outcome::{Outcome, Summary};
pub(super) use outcome::{write_all, write_results};
pub(super) use scene::Scene;
pub(super) use script::{Plan, run};
pub(super) use surroundings::Surroundings;
pub(super) use window::Window;

/// How something is broken, and how that is undone.
pub(super) trait Injury: fmt::Debug + Sync {
    /// Breaks it, and says what was done.
    fn inflict<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<String>>;

    /// What the repair does, for the timeline.
    fn remedy(&self) -> String;

    /// Undoes it, and returns when what was broken can work again. It may be called though [`Injury::inflict`] failed
    /// half-way.
    fn repair<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<()>>;
}

/// What shows, besides the alert, that the fault is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// Readiness is not green, or nobody answers.
    Readiness,
    /// Nothing that a probe would see.
    None,
}

/// How to tell, from outside, that what was broken is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Back {
    /// Postgres takes a session.
    Postgres,
    /// The service's readiness answers green.
    Service,
    /// The repair itself says so.
    Repaired,
}

/// Who tells people about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Teller {
    /// The relay, told by Alertmanager.
    Alert,
    /// The relay, which noticed by itself.
    Relay,
    /// Alertmanager, around the relay.
    Bypass,
}

/// One failure, and what must come of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) name: &'static str,
    pub(super) failure_type: &'static str,
    pub(super) alert: &'static str,
    pub(super) teller: Teller,
    /// Failure types, or services, that chat is rightly told about as well.
    pub(super) along: &'static [&'static str],
    pub(super) injury: &'static dyn Injury,
    pub(super) sign: Sign,
    pub(super) back: Back,
    pub(super) surroundings: Surroundings,
    pub(super) within: Within,
    /// Whether the deployment is to be rolled back; when not, the hook must not be called.
    pub(super) rollback: bool,
    /// What must hold for users and probes; returns what did not.
    pub(super) judge: fn(&Evidence) -> Vec<String>,
}

/// How soon people must know.
#[derive(Clone, Copy, Debug)]
pub(super) enum Within {
    /// A promise, whatever the rules say: fault to chat, and back to RESOLVED.
    Promised(Duration, Duration),
    /// As soon as the rule can tell.
    Window(Window),
}

impl Fault {
    /// A fault that no probe sees: whoever it hits, nothing has to restart, and everybody succeeds afterwards.
    pub(super) const fn new(
        name: &'static str,
        failure_type: &'static str,
        alert: &'static str,
        injury: &'static dyn Injury,
        window: Window,
    ) -> Self {
        Self {
            name,
            failure_type,
            alert,
            teller: Teller::Alert,
            along: &[],
            injury,
            sign: Sign::None,
            back: Back::Repaired,
            surroundings: Surroundings::SHORT,
            within: Within::Window(window),
            rollback: false,
            judge: requests::recover,
        }
    }

    /// From the fault to chat, on a stack with shortened windows or without.
    pub(super) const fn chat_within(&self, shortened: u64) -> Duration {
        match self.within {
            Within::Promised(chat, _) => chat,
            Within::Window(window) => window.chat_within(shortened),
        }
    }

    /// From when it is back to RESOLVED.
    pub(super) const fn resolved_within(&self, shortened: u64) -> Duration {
        match self.within {
            Within::Promised(_, resolved) => resolved,
            Within::Window(window) => window.resolved_within(shortened),
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
