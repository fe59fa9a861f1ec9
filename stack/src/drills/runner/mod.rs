//! Runs a drill: what a fault is, what is gathered while it lasts, and the two scripts of an outage.

mod after;
mod bypass;
mod chat_down;
mod content;
mod dashboards;
mod episode;
mod first_look;
mod green;
mod lines;
mod links;
mod messages;
mod observer;
mod outcome;
mod pulse;
pub(super) mod requests;
mod scene;
mod script;
mod shown;
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
pub use window::Window;

/// Prometheus answers a query with at least one series.
pub(super) const SERIES: &str = r#""result":\[\{"#;

/// Failure types whose alerts mute symptoms, for so many seconds afterwards: `CauseWasFiring` says the same.
const MUTING: [&str; 7] =
    ["db_down", "db_partition", "db_readonly", "service_down", "crash_loop", "migration", "deploy_regression"];
const SHADOW: u64 = 360;
/// What the slow lane still waits with.
const SLOW_LANE: u64 = 15;

/// How something is broken, and how that is undone.
pub(super) trait Injury: fmt::Debug + Sync {
    /// What must be there before everything is green, and goes with [`Scene::release`].
    fn prepare<'a>(&'a self, _: &'a Scene) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// Breaks it, and says what was done.
    fn inflict<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<String>>;

    /// What else happens once it has been told; says what, if anything.
    fn meanwhile<'a>(&'a self, _: &'a Scene) -> BoxFuture<'a, anyhow::Result<Option<&'static str>>> {
        Box::pin(async { Ok(None) })
    }

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
    /// The relay, told by Alertmanager, in the second chat.
    Second,
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
    /// Failure types, services, or words of a headline, that chat is rightly told about as well: each once.
    pub(super) along: &'static [&'static str],
    pub(super) injury: &'static dyn Injury,
    /// What the output of the runbook's first command matches while it lasts, and only then.
    pub(super) shows: &'static str,
    pub(super) sign: Sign,
    pub(super) back: Back,
    pub(super) surroundings: Surroundings,
    pub(super) within: Within,
    /// Whether the deployment is to be rolled back; when not, the hook must not be called.
    pub(super) rollback: bool,
    /// Whether dashboards can show it: not without Prometheus.
    pub(super) drawn: bool,
    /// Parts that not every machine has, or `root`.
    pub(super) needs: &'static [&'static str],
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
            shows: SERIES,
            sign: Sign::None,
            back: Back::Repaired,
            surroundings: Surroundings::SHORT,
            within: Within::Window(window),
            rollback: false,
            drawn: true,
            needs: &[],
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

    /// How long after the end of a cause that mutes symptoms one of them could still be told. None of what mutes nothing.
    pub(super) fn drained(&self, shortened: u64) -> Option<Duration> {
        let mutes = MUTING.contains(&self.failure_type);
        mutes.then(|| Duration::from_secs(crate::shorten::range(SHADOW, shortened) + SLOW_LANE))
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
