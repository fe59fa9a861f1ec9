//! What chat is told in the course of one outage.

use std::time::{Duration, Instant};

use super::{
    Teller,
    content::{self, Kind},
    episode::{COARSE, Episode, LATEST, seconds},
    observer::{Alert, until},
};
use crate::{chat::Message, timeline::Event};

/// Who takes it.
const TAKER: &str = "drill";
/// What the relay says of itself is scraped every few seconds.
const SCRAPED_WITHIN: Duration = Duration::from_secs(20);

impl Episode<'_> {
    /// Waits for the first message, and returns how long after the fault chat accepted it.
    pub(super) async fn told(&mut self, alert: Option<&Alert>) -> Option<Duration> {
        let Some((at, message)) = self.message(self.zero + self.chat_within + LATEST, |_| true).await else {
            self.require(false, || "chat was not told".to_owned());
            return None;
        };
        self.outcome.chat_s = Some(self.since_zero(at));
        self.timeline.note(at, Event::Chat, "chat accepted:");
        self.timeline.quote(&message.text());
        self.require(content::kind(&message) == Kind::Firing, || "the first message is not a FIRING".to_owned());
        let (about, step) = (self.fault.failure_type, &self.first_look.step);
        let judgement = content::judge(&self.observer, &message, about, step, alert, self.zero_wall).await;
        for remark in judgement.remarks {
            self.timeline.note(Instant::now(), Event::Seen, &remark);
        }
        if judgement.wrong.is_empty() {
            let text = "the message says what, impact and first step; its links lead to the fault";
            self.timeline.note(Instant::now(), Event::Seen, text);
        }
        self.require_all(judgement.wrong);
        self.told = Some(message);
        Some(at.saturating_duration_since(self.zero))
    }

    /// Takes the incident as a person does, and waits until chat says who has it.
    pub(super) async fn taken(&mut self, alert: Option<&Alert>) {
        // That the message has no such link is a complaint of its own.
        let Some(link) = self.link("/act/") else { return };
        match self.observer.take(&link, TAKER).await {
            Ok(status) if status.as_u16() == 303 => {}
            Ok(status) => return self.require(false, || format!("taking it is answered with {status}")),
            Err(error) => return self.require(false, || format!("it cannot be taken: {error:#}")),
        }
        let deadline = Instant::now() + LATEST;
        let Some((at, message)) = self.message(deadline, |message| content::kind(message) == Kind::Taken).await else {
            self.require(false, || "chat was not told who has taken it".to_owned());
            return;
        };
        self.outcome.acked_s = Some(self.since_zero(at));
        self.timeline.note(at, Event::Taken, &content::headline(&message));
        let says = message.text().contains(&format!("{TAKER} has had it since"));
        self.require(says, || "the message does not say who has taken it".to_owned());
        if alert.is_some_and(|alert| alert.label("severity") == "critical") {
            self.handled().await;
        }
    }

    /// Whether Prometheus knows that the relay has it: else the bypass would speak.
    async fn handled(&mut self) {
        let handled = format!(r#"max(relay_incident_handled{{failure_type="{}"}})"#, self.fault.failure_type);
        let ask = async || (self.observer.query(&handled).await.ok()?? >= 1.0).then_some(());
        let known = until(Instant::now() + SCRAPED_WITHIN, COARSE, ask).await;
        self.require(known.is_some(), || format!("{handled} is not 1, though somebody has taken it"));
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
        let text = format!("chat accepted, {:.3} s after the first connection:", took.as_secs_f64());
        self.timeline.note(at, Event::Resolved, &text);
        self.timeline.quote(&message.text());
        self.require(content::tells_duration(&message), || "RESOLVED does not say how long it lasted".to_owned());
        let says = self.outcome.acked_s.is_none() || message.text().contains(&format!("{TAKER} had it"));
        self.require(says, || "RESOLVED does not say who had it".to_owned());
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
        self.timeline.note(at, Event::Resolved, "chat accepted:");
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
        self.timeline.note(Instant::now(), Event::Seen, text);
    }

    /// What chat accepted since the drill began, with their arrival on this process's clock.
    async fn arrivals(&self) -> anyhow::Result<Vec<(Instant, Message)>> {
        let log = self.observer.chat().await?;
        let asked = Instant::now();
        let messages = if self.fault.teller == Teller::Second { log.second } else { log.messages };
        let new = messages.into_iter().filter(|message| message.at_ms > self.before.now_ms);
        let arrival = |message: &Message| {
            asked.checked_sub(Duration::from_millis(log.now_ms.saturating_sub(message.at_ms))).unwrap_or(asked)
        };
        Ok(new.map(|message| (arrival(&message), message)).collect())
    }

    /// What of `along` a message is about.
    fn aside(&self, message: &Message) -> Option<&'static str> {
        // While chat is down, that it is down is told as well, and rightly.
        let chat: &[_] = if self.chat_down { &["alert_pipeline"] } else { &[] };
        let (headline, footer) = (content::headline(message), content::footer(message));
        let about = |aside: &&str| {
            footer.split(" · ").any(|part| part == *aside) || aside.contains(' ') && headline.contains(aside)
        };
        self.fault.along.iter().chain(chat).copied().find(about)
    }

    /// What chat is rightly told besides is told once.
    pub(super) async fn asides(&mut self) {
        let messages = self.arrivals().await.unwrap_or_default().into_iter().map(|(_, message)| message);
        let began = messages.filter(|message| content::kind(message) != Kind::Resolved);
        let told: Vec<_> =
            began.filter_map(|message| Some((self.aside(&message)?, content::headline(&message)))).collect();
        for (aside, headline) in &told {
            let times = told.iter().filter(|(other, _)| other == aside).count();
            self.require(times == 1, || format!("{times} messages besides are about {aside}, as this: {headline}"));
        }
        self.outcome.also = told.into_iter().map(|(_, headline)| headline).collect();
    }

    /// Messages about what is rehearsed, or about what nobody should be told of; none when chat cannot be asked.
    pub(super) async fn new_messages(&self) -> Vec<Message> {
        let all = self.arrivals().await.unwrap_or_default().into_iter().map(|(_, message)| message);
        all.filter(|message| self.aside(message).is_none()).collect()
    }

    /// The first new message that `wanted` accepts, with its arrival.
    pub(super) async fn message(
        &self,
        deadline: Instant,
        wanted: impl Fn(&Message) -> bool,
    ) -> Option<(Instant, Message)> {
        let fits = |message: &Message| self.aside(message).is_none() && wanted(message);
        let ask = async || self.arrivals().await.ok()?.into_iter().find(|(_, message)| fits(message));
        until(deadline, COARSE, ask).await
    }
}
