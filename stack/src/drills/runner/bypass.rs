//! The relay is dead: Alertmanager tells people itself, around it, and that it is over as well.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use super::{
    Outcome,
    content::Kind,
    episode::{COARSE, Episode, LATEST},
    observer::until,
    script::Plan,
};
use crate::{chat::Message, timeline::Event};

/// Whatever follows from the relay's death would be told by then, too, were it not a part of it.
const SECOND: Duration = Duration::from_secs(45);

pub(super) async fn run(mut episode: Episode<'_>, plan: &Plan) -> anyhow::Result<Outcome> {
    let alert = episode.alerted().await;
    told(&mut episode, plan.strict).await;
    episode.first_look().await;
    if alert.is_some() {
        episode.dashboards(alert.as_ref()).await;
    }
    let shown = episode.since_zero(Instant::now());
    episode.hold(plan.hold.max(Duration::from_secs_f64(shown) + SECOND)).await;
    episode.repair().await?;
    plan.broken.store(false, Ordering::Relaxed);
    over(&mut episode).await;
    episode.resolved().await;
    episode.quiet(plan.quiet).await;
    episode.finish(&[Kind::Firing, Kind::Resolved]).await
}

/// Waits for the message that goes around the relay.
async fn told(episode: &mut Episode<'_>, strict: bool) {
    let Some((at, message)) = message(episode, 0, episode.zero + episode.chat_within + LATEST).await else {
        return episode.require(false, || "nobody was told around the relay".to_owned());
    };
    let took = at.saturating_duration_since(episode.zero);
    episode.outcome.chat_s = Some(episode.since_zero(at));
    episode.timeline.note(at, Event::Chat, "told around the relay:");
    episode.timeline.quote(&message.text());
    let runbook = format!("alerts/runbooks/{}.md", episode.fault.failure_type);
    for words in ["Nobody has taken", episode.fault.alert, &runbook] {
        episode.require(message.text().contains(words), || format!("the message around the relay lacks \"{words}\""));
    }
    let within = episode.chat_within;
    episode.require(!strict || took <= within, || {
        format!("told around the relay after {:.3} s, over {:.1} s", took.as_secs_f64(), within.as_secs_f64())
    });
}

/// Waits until those who were told hear that it is over.
async fn over(episode: &mut Episode<'_>) {
    let deadline = Instant::now() + episode.resolved_within + LATEST;
    let Some((at, message)) = message(episode, 1, deadline).await else {
        return episode.require(false, || "nobody was told around the relay that it is over".to_owned());
    };
    episode.timeline.note(at, Event::Resolved, "told around the relay:");
    episode.timeline.quote(&message.text());
    let says = message.text().contains("Taken, or over:") && message.text().contains(episode.fault.alert);
    episode.require(says, || "the second message around the relay is not that it is over".to_owned());
}

/// The `nth` new message that goes around the relay, when it is seen.
async fn message(episode: &Episode<'_>, nth: usize, deadline: Instant) -> Option<(Instant, Message)> {
    let before = episode.before.escalations.len();
    let ask = async || {
        let escalations = episode.observer.chat().await.ok()?.escalations;
        Some((Instant::now(), escalations.into_iter().nth(before + nth)?))
    };
    until(deadline, COARSE, ask).await
}
