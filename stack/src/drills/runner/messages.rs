//! What chat is told in the course of one outage.

use std::time::{Duration, Instant};

use super::{
    content::{self, Kind},
    episode::{COARSE, Episode, LATEST, seconds},
    observer::{Alert, until},
};
use crate::chat::Message;

impl Episode<'_> {
    /// Waits for the first message, and returns how long after the fault chat accepted it.
    pub(super) async fn told(&mut self, alert: Option<&Alert>) -> Option<Duration> {
        let Some((at, message)) = self.message(self.zero + self.chat_within + LATEST, |_| true).await else {
            self.require(false, || "chat was not told".to_owned());
            return None;
        };
        self.outcome.chat_s = Some(self.since_zero(at));
        self.timeline.note(at, "chat accepted:");
        self.timeline.quote(&message.text());
        self.require(content::kind(&message) == Kind::Firing, || "the first message is not a FIRING".to_owned());
        let judgement = content::judge(&self.observer, &message, self.fault.failure_type, alert).await;
        for remark in judgement.remarks {
            self.timeline.note(Instant::now(), &remark);
        }
        if judgement.wrong.is_empty() {
            self.timeline.note(Instant::now(), "the message says what, impact and first step; its links open");
        }
        self.require_all(judgement.wrong);
        Some(at.saturating_duration_since(self.zero))
    }

    /// Waits for the message that goes around the relay.
    pub(super) async fn told_around(&mut self) -> Option<Duration> {
        let before = self.before.escalations.len();
        let ask = async || {
            let escalations = self.observer.chat().await.ok()?.escalations;
            Some((Instant::now(), escalations.into_iter().nth(before)?))
        };
        let Some((at, message)) = until(self.zero + self.chat_within + LATEST, COARSE, ask).await else {
            self.require(false, || "nobody was told around the relay".to_owned());
            return None;
        };
        self.outcome.chat_s = Some(self.since_zero(at));
        self.timeline.note(at, "told around the relay:");
        self.timeline.quote(&message.text());
        let names = message.body.to_string().contains(self.fault.alert);
        self.require(names, || format!("the message around the relay does not name {}", self.fault.alert));
        Some(at.saturating_duration_since(self.zero))
    }

    /// Waits for the news that it is over.
    pub(super) async fn resolved(&mut self) {
        let from = self.back.unwrap_or(self.repair);
        let resolved = self
            .message(from + self.resolved_within + LATEST, |message| content::kind(message) == Kind::Resolved)
            .await;
        let Some((at, message)) = resolved else {
            self.require(false, || "chat was not told that it is over".to_owned());
            return;
        };
        let took = at.saturating_duration_since(from);
        self.outcome.resolved_s = Some(seconds(took));
        self.timeline.note(at, &format!("chat accepted, {:.3} s after the first connection:", took.as_secs_f64()));
        self.timeline.quote(&message.text());
        self.require(content::tells_duration(&message), || "RESOLVED does not say how long it lasted".to_owned());
        let within = self.resolved_within;
        self.require(took <= within, || {
            format!("RESOLVED came after {:.3} s, over {:.1} s", took.as_secs_f64(), within.as_secs_f64())
        });
    }

    /// Waits for the one message about an outage that is over already.
    pub(super) async fn told_once(&mut self, deadline: Instant) {
        let Some((at, message)) = self.message(deadline, |_| true).await else {
            self.require(false, || "chat was never told of the outage".to_owned());
            return;
        };
        self.outcome.chat_s = Some(self.since_zero(at));
        self.outcome.resolved_s = self.back.map(|back| seconds(at.saturating_duration_since(back)));
        self.timeline.note(at, "chat accepted:");
        self.timeline.quote(&message.text());
        self.require(content::tells_duration(&message), || "it does not say how long it lasted".to_owned());
    }

    /// Watches that nothing more arrives.
    pub(super) async fn quiet(&mut self, quiet: Duration) {
        let from = self.new_messages().await.len();
        let until_then = Instant::now() + quiet;
        let ask = async || (self.new_messages().await.len() > from).then_some(());
        let disturbed = until(until_then, COARSE, ask).await.is_some();
        // The count at the end makes this a reason; here it only gets its moment.
        let text =
            if disturbed { "one more message arrived, where none should" } else { "quiet: nothing more arrived" };
        self.timeline.note(Instant::now(), text);
    }

    /// What chat accepted since the drill began, with their arrival on this process's clock.
    async fn arrivals(&self) -> anyhow::Result<Vec<(Instant, Message)>> {
        let log = self.observer.chat().await?;
        let asked = Instant::now();
        let new = log.messages.into_iter().filter(|message| message.at_ms > self.before.now_ms && self.counts(message));
        let arrival = |message: &Message| {
            asked.checked_sub(Duration::from_millis(log.now_ms.saturating_sub(message.at_ms))).unwrap_or(asked)
        };
        Ok(new.map(|message| (arrival(&message), message)).collect())
    }

    /// Whether a message is about what is rehearsed, or about something that nobody should be told of.
    fn counts(&self, message: &Message) -> bool {
        let footer = content::footer(message);
        // While chat is down, that it is down is told as well, and rightly.
        let chat: &[_] = if self.chat_down { &["alert_pipeline"] } else { &[] };
        !self.fault.along.iter().chain(chat).any(|other| footer.contains(other))
    }

    /// The messages of [`Self::arrivals`]; none when chat cannot be asked.
    pub(super) async fn new_messages(&self) -> Vec<Message> {
        self.arrivals().await.unwrap_or_default().into_iter().map(|(_, message)| message).collect()
    }

    /// The first new message that `wanted` accepts, with its arrival.
    async fn message(&self, deadline: Instant, wanted: impl Fn(&Message) -> bool) -> Option<(Instant, Message)> {
        let ask = async || self.arrivals().await.ok()?.into_iter().find(|(_, message)| wanted(message));
        until(deadline, COARSE, ask).await
    }
}
