//! The order of a drill: green, zero, fault, message, repair, RESOLVED, quiet.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use super::{Fault, Outcome, Scene, Teller, bypass, chat_down, content::Kind, episode::Episode, observer::Observer};
use crate::timeline::{Event, Timeline};

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
    /// Windows of rules are divided by this.
    pub(in crate::drills) shortened: u64,
    /// Something is broken right now, and must be repaired whatever happens.
    pub(in crate::drills) broken: AtomicBool,
}

/// One outage of `stack`, from green to quiet.
pub(in crate::drills) async fn run(
    scene: &Scene,
    fault: &Fault,
    plan: &Plan,
    timeline: &mut Timeline,
) -> anyhow::Result<Outcome> {
    let observer = Observer::new(scene.stack().endpoints())?;
    let mut episode = Episode::prepare(scene, fault, plan.shortened, observer, timeline).await?;
    if plan.chat_down {
        return chat_down::run(episode, plan).await;
    }
    plan.broken.store(true, Ordering::Relaxed);
    episode.inflict().await?;
    episode.detect().await;
    if fault.teller == Teller::Bypass {
        return bypass::run(episode, plan).await;
    }
    let alert = if fault.teller == Teller::Relay { None } else { episode.alerted().await };
    let told = episode.told(alert.as_ref()).await;
    if let (true, Some(took)) = (plan.strict, told) {
        let within = episode.chat_within;
        episode.require(took <= within, || {
            format!("chat was told after {:.3} s, over {:.1} s", took.as_secs_f64(), within.as_secs_f64())
        });
    }
    if plan.strict {
        episode.first_look().await;
    }
    // One panel shows how long that took.
    episode.taken(alert.as_ref()).await;
    if plan.strict {
        episode.dashboards(alert.as_ref()).await;
        if let Some(alert) = &alert {
            episode.lines(alert).await;
        }
        episode.further_looks(alert.as_ref()).await;
    }
    if let Some(done) = fault.injury.meanwhile(scene).await? {
        episode.timeline.note(Instant::now(), Event::Fault, done);
    }
    episode.hold(plan.hold).await;
    episode.repair().await?;
    plan.broken.store(false, Ordering::Relaxed);
    episode.resolved().await;
    episode.quiet(plan.quiet).await;
    episode.finish(&[Kind::Firing, Kind::Taken, Kind::Resolved]).await
}
