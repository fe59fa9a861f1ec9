//! The outage that begins and ends while chat is down: it is told once, when chat is back.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use super::{Outcome, content::Kind, episode::Episode, observer::until, script::Plan};
use crate::{chat::Behaviour, timeline::Event};

const LATEST: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn run(mut episode: Episode<'_>, plan: &Plan) -> anyhow::Result<Outcome> {
    plan.broken.store(true, Ordering::Relaxed);
    episode.chat_down = true;
    episode.observer.behave(Behaviour::Unavailable).await?;
    episode.timeline.say("chat answers 503 from now on");
    episode.inflict().await?;
    episode.detect().await;
    episode.alerted().await;
    tried(&mut episode).await;
    episode.hold(plan.hold).await;
    episode.repair().await?;
    over(&mut episode).await;
    let back = Instant::now();
    episode.observer.behave(Behaviour::Ok).await?;
    plan.broken.store(false, Ordering::Relaxed);
    episode.timeline.note(back, Event::Repair, "chat answers again");
    episode.told_once(back + LATEST).await;
    episode.quiet(plan.quiet).await;
    episode.finish(&[Kind::WasDown]).await
}

/// Waits until the relay has met the closed door.
async fn tried(episode: &mut Episode<'_>) {
    let observer = episode.observer.clone();
    let refused =
        until(Instant::now() + LATEST, PAUSE, async || (observer.chat().await.ok()?.refused > 0).then(Instant::now));
    match refused.await {
        Some(at) => episode.timeline.note(at, Event::Seen, "the relay tried, and was refused"),
        None => episode.require(false, || "the relay did not try to tell chat".to_owned()),
    }
}

/// Waits until the relay knows that the outage is over.
async fn over(episode: &mut Episode<'_>) {
    let observer = episode.observer.clone();
    let (name, others) = (episode.fault.alert, episode.fault.along);
    let ask = async || observer.alert(name, others).await.ok()?.is_none().then(Instant::now);
    let gone = until(Instant::now() + LATEST, PAUSE, ask);
    match gone.await {
        Some(at) => episode.timeline.note(at, Event::Seen, &format!("{name} has ended in Alertmanager")),
        None => episode.require(false, || format!("{name} still fires long after the repair")),
    }
    // Alertmanager tells the relay within its group_interval of 1 s.
    tokio::time::sleep(Duration::from_secs(3)).await;
}
