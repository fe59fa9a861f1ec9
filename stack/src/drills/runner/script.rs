//! The order of a drill: green, zero, fault, message, repair, RESOLVED, quiet.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use super::{Fault, Outcome, chat_down, content::Kind, episode::Episode, observer::Observer};
use crate::{Handle, timeline::Timeline};

/// How to run a drill.
#[derive(Debug)]
pub(in crate::drills) struct Plan {
    /// How long the fault lasts at least.
    pub(in crate::drills) hold: Duration,
    /// How long nothing may arrive afterwards.
    pub(in crate::drills) quiet: Duration,
    /// Chat is down as long as the fault lasts.
    pub(in crate::drills) chat_down: bool,
    /// One run is judged by the target of the 95th percentile.
    pub(in crate::drills) strict: bool,
    /// Something is broken right now, and must be repaired whatever happens.
    pub(in crate::drills) broken: AtomicBool,
}

/// One outage of `stack`, from green to quiet.
pub(in crate::drills) async fn run(
    stack: &Handle,
    fault: &Fault,
    plan: &Plan,
    timeline: &mut Timeline,
) -> anyhow::Result<Outcome> {
    let observer = Observer::new(stack.endpoints())?;
    let mut episode = Episode::prepare(stack, fault, observer, timeline).await?;
    if plan.chat_down {
        return chat_down::run(episode, plan).await;
    }
    plan.broken.store(true, Ordering::Relaxed);
    episode.inflict().await?;
    episode.detect().await;
    let alert = episode.alerted().await;
    let told = episode.told(alert.as_ref()).await;
    if let (true, Some(took)) = (plan.strict, told) {
        episode.require(took <= fault.chat_within, || {
            format!("chat was told after {:.3} s, over {} s", took.as_secs_f64(), fault.chat_within.as_secs())
        });
    }
    episode.hold(plan.hold).await;
    episode.repair().await?;
    plan.broken.store(false, Ordering::Relaxed);
    episode.resolved().await;
    episode.quiet(plan.quiet).await;
    episode.finish(&[Kind::Firing, Kind::Resolved]).await
}
