//! Delivers: one worker a channel, as soon as something is due, until the channel has accepted it.
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::bucket::Bucket;
use crate::channel::{Channel, Sender, Verdict};
use crate::incident::Subject;
use crate::message::Message;
use crate::metrics::{DEAD_LETTERS, DELIVERY_FAILURES, DELIVERY_SECONDS};
use crate::server::Relay;
use crate::store::{Due, Outcome};
use crate::{retry, time};

/// A worker looks again after this long, whatever it was told.
const LONGEST_REST: Duration = Duration::from_mins(1);
/// The pause after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// While a channel is dead, it looks this often for what another one should tell.
const LOOKS: Duration = Duration::from_millis(250);
/// After so many failures in a row a channel counts as dead.
const DEAD_AFTER: u32 = 3;

/// Starts the workers. They end when the bell says so, each after the attempt it is at.
pub(crate) fn start(relay: &Arc<Relay>, sender: &Sender) -> Vec<JoinHandle<()>> {
    let worker = |channel: &Channel| {
        DELIVERY_FAILURES.zero([channel.name]);
        DEAD_LETTERS.zero([channel.name]);
        Worker {
            relay: Arc::clone(relay),
            sender: sender.clone(),
            channel: channel.clone(),
            bucket: Bucket::new(channel.per_minute, Instant::now()),
            failures: 0,
            held_until: None,
            looked: Instant::now(),
        }
    };
    relay.channels.iter().map(|channel| observability::spawn(supervise(worker(channel)))).collect()
}

/// A channel must not fall silent because one message hit a bug.
async fn supervise(worker: Worker) {
    while observability::spawn(worker.clone().work()).await.is_err() {
        tokio::time::sleep(STORE_PAUSE).await;
    }
}

#[derive(Clone)]
struct Worker {
    relay: Arc<Relay>,
    sender: Sender,
    channel: Channel,
    bucket: Bucket,
    /// In a row: the breaker opens, and each further attempt is a probe.
    failures: u32,
    /// The platform asked not to be disturbed before then, or is given time to recover.
    held_until: Option<Instant>,
    /// When it last looked for what another channel should tell.
    looked: Instant,
}

impl Worker {
    async fn work(mut self) {
        let mut bell = self.relay.bell.listen();
        while !bell.borrow_and_update().stopping {
            let rest = self.step().await.unwrap_or_else(|error| {
                tracing::error!(failure_type = "alert_pipeline", channel = self.channel.name, error.cause = %error, "the outbox cannot be read");
                STORE_PAUSE
            });
            if rest.is_zero() {
                continue;
            }
            tokio::select! {
                _ = bell.changed() => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// Makes the next attempt, if one is due. Returns how long to rest.
    async fn step(&mut self) -> sqlx::Result<Duration> {
        let name = self.channel.name;
        let held = self.held_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
        if !held.is_zero() {
            return self.wait_out(held).await;
        }
        let free = self.bucket.free(Instant::now());
        if free == 0 {
            return Ok(self.bucket.wait());
        }
        let mut due = self.relay.store.due(name).await?;
        if due.is_empty() {
            return Ok(self.relay.store.until_due(name).await?.unwrap_or(LONGEST_REST).min(LONGEST_REST));
        }
        let (wanted, passed): (Vec<_>, Vec<_>) = due.into_iter().partition(|due| self.channel.takes(due.subject));
        if !passed.is_empty() {
            self.settle(&passed, &Outcome::Accepted(None)).await;
            return Ok(Duration::ZERO);
        }
        due = wanted;
        let rush = self.channel.platform.rush(time::now());
        if !rush.is_zero() && !due.iter().any(Due::is_urgent) {
            return Ok(rush);
        }
        // More than the platform takes at once goes into one message, and the rest of the burst with the next.
        if due.len() > free {
            self.bucket.drain();
        } else {
            self.bucket.take();
            due.truncate(1);
        }
        let (message, plain) = (self.message(&due), due.iter().all(|due| due.plain));
        let handle = due.first().filter(|_| due.len() == 1).and_then(|due| due.handle.clone());
        let (verdict, handle) = self.sender.send(&self.channel, &message, plain, handle.as_deref()).await;

        let outcome = self.outcome(verdict, handle, plain);
        self.report(&due, &outcome);
        self.settle(&due, &outcome).await;
        if matches!(outcome, Outcome::Failed { .. }) {
            self.fail_over(&due).await?;
        }
        Ok(Duration::ZERO)
    }

    /// Meanwhile, what is urgent finds another way.
    async fn wait_out(&mut self, held: Duration) -> sqlx::Result<Duration> {
        if self.relay.health.is_down(self.channel.name) && self.looked.elapsed() >= LOOKS {
            self.looked = Instant::now();
            self.fail_over(&self.relay.store.due(self.channel.name).await?).await?;
        }
        Ok(held.min(LOOKS))
    }

    fn message(&self, due: &[Due]) -> Message {
        let message = |due: &Due| {
            let mut message = Message::new(due, &self.relay.links);
            message.urgent = matches!(due.subject, Subject::Firing | Subject::Escalated)
                && self.relay.policy.route(&due.incident.labels()).1.mention;
            if !message.is_over() && due.incident.acked_at.is_none() {
                message.links.extend(self.relay.links.take(&self.relay.actions.token(&due.incident.code, time::now())));
            }
            message
        };
        let mut messages: Vec<Message> = due.iter().map(message).collect();
        if messages.len() == 1
            && let Some(single) = messages.pop()
        {
            return single;
        }
        Message::digest(&messages, self.channel.platform.digest())
    }

    /// What a verdict means for the rows and for the channel.
    fn outcome(&mut self, verdict: Verdict, handle: Option<String>, plain: bool) -> Outcome {
        let (why, asked, broken) = match verdict {
            Verdict::Accepted => {
                (self.failures, self.held_until) = (0, None);
                self.relay.health.up(self.channel.name);
                return Outcome::Accepted(handle);
            }
            Verdict::MessageRefused { why } if !plain => {
                return Outcome::Failed { why, pause: Duration::ZERO, plain: true };
            }
            // Not this one, but the next may pass.
            Verdict::MessageRefused { why } => return Outcome::Failed { why, pause: retry::long_pause(), plain },
            Verdict::Later { asked, why } => (why, asked, false),
            Verdict::ChannelBroken { why } => (why, Some(retry::long_pause()), true),
        };
        self.failures += 1;
        self.held_until = Some(Instant::now() + retry::pause(self.failures, asked));
        if broken || self.failures >= DEAD_AFTER {
            self.relay.health.down(self.channel.name, &why);
        }
        Outcome::Failed { why, pause: Duration::ZERO, plain }
    }

    /// Critical news of a dead channel goes to the next one at once.
    async fn fail_over(&self, due: &[Due]) -> sqlx::Result<()> {
        if !self.relay.health.is_down(self.channel.name) {
            return Ok(());
        }
        for due in due.iter().filter(|due| due.is_urgent()) {
            let labels = due.incident.labels();
            let (_, route) = self.relay.policy.route(&labels);
            let people = || self.relay.channels.iter().filter(|channel| !channel.hook).map(|channel| channel.name);
            let all = route.everybody().filter(|name| people().any(|person| person == *name)).chain(people());
            let alive: Vec<_> = all.filter(|name| !self.relay.health.is_down(name)).collect();
            if self.relay.store.fail_over(self.channel.name, due, &alive).await? {
                self.relay.bell.ring();
            }
        }
        Ok(())
    }

    /// Does not give up: what is forgotten here would be sent again and again.
    async fn settle(&self, due: &[Due], outcome: &Outcome) {
        while let Err(error) = self.relay.store.settle(self.channel.name, due, outcome).await {
            tracing::error!(failure_type = "alert_pipeline", channel = self.channel.name, error.cause = %error, "a delivery cannot be written down");
            if self.relay.bell.stopping() {
                return;
            }
            tokio::time::sleep(STORE_PAUSE).await;
        }
        self.relay.bell.ring();
    }

    fn report(&self, all: &[Due], outcome: &Outcome) {
        let Some(due) = all.first() else { return };
        let (channel, code, messages) = (self.channel.name, due.incident.code.as_str(), all.len());
        let (about, attempt) = (due.subject.name(), due.attempts + 1);
        match outcome {
            Outcome::Accepted(_) => {
                for due in all.iter().filter(|due| matches!(due.subject, Subject::Firing | Subject::Outage)) {
                    DELIVERY_SECONDS.record([channel], time::seconds(time::now() - due.since));
                }
                tracing::info!(channel, incident = code, about, attempt, messages, "message delivered");
            }
            Outcome::Failed { why, .. } => {
                DELIVERY_FAILURES.increment([channel]);
                let pause =
                    self.held_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
                let pause_ms = time::millis(pause);
                tracing::warn!(failure_type = "alert_pipeline", channel, incident = code, about, attempt, messages, pause_ms, error.cause = %why, "message not accepted");
            }
        }
    }
}
