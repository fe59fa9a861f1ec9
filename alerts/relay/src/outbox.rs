//! Delivers: one worker a channel, as soon as something is due, until the channel has accepted it.
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::channel::{Channel, Sender, Verdict};
use crate::message::Message;
use crate::metrics::{DELIVERY_FAILURES, DELIVERY_SECONDS};
use crate::server::Relay;
use crate::store::{Due, Outcome, Subject};
use crate::{retry, time};

/// A worker looks again after this long, whatever it was told.
const LONGEST_REST: Duration = Duration::from_mins(1);
/// The pause after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Starts the workers. They end when the bell says so, each after the attempt it is at.
pub(crate) fn start(relay: &Arc<Relay>, sender: &Sender) -> Vec<JoinHandle<()>> {
    let worker = |channel: &Channel| {
        DELIVERY_FAILURES.zero([channel.name()]);
        Worker { relay: Arc::clone(relay), sender: sender.clone(), channel: channel.clone(), held_until: None }
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
    /// The platform asked not to be disturbed before then.
    held_until: Option<Instant>,
}

impl Worker {
    async fn work(mut self) {
        let mut bell = self.relay.bell.listen();
        while !bell.borrow_and_update().stopping {
            let rest = self.step().await.unwrap_or_else(|error| {
                tracing::error!(failure_type = "alert_pipeline", channel = self.channel.name(), error.cause = %error, "the outbox cannot be read");
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
        let held = self.held_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
        if !held.is_zero() {
            return Ok(held);
        }
        let name = self.channel.name();
        let Some(due) = self.relay.store.due(name).await? else {
            return Ok(self.relay.store.until_due(name).await?.unwrap_or(LONGEST_REST).min(LONGEST_REST));
        };
        let message = Message::new(&due.incident, due.subject, due.attempts, &self.relay.links);
        let verdict = self.sender.send(&self.channel, &message, due.plain).await;
        if let Verdict::Later { asked: Some(asked), .. } = verdict {
            self.held_until = Some(Instant::now() + retry::pause(due.attempts + 1, Some(asked)));
        }
        let outcome = outcome(verdict, &due);
        self.report(&due, &outcome);
        self.settle(&due, &outcome).await;
        Ok(Duration::ZERO)
    }

    /// Does not give up: what is forgotten here would be sent again and again.
    async fn settle(&self, due: &Due, outcome: &Outcome) {
        while let Err(error) = self.relay.store.settle(due, outcome).await {
            tracing::error!(failure_type = "alert_pipeline", channel = self.channel.name(), error.cause = %error, "a delivery cannot be written down");
            if self.relay.bell.stopping() {
                return;
            }
            tokio::time::sleep(STORE_PAUSE).await;
        }
        self.relay.bell.ring();
    }

    fn report(&self, due: &Due, outcome: &Outcome) {
        let (channel, code, attempt) = (self.channel.name(), due.incident.code.as_str(), due.attempts + 1);
        match outcome {
            Outcome::Accepted => {
                if due.subject != Subject::Resolved {
                    DELIVERY_SECONDS.record([channel], time::seconds(time::now() - due.incident.started_at));
                }
                tracing::info!(channel, incident = code, about = due.subject.name(), attempt, "message delivered");
            }
            Outcome::Failed { why, pause, .. } => {
                DELIVERY_FAILURES.increment([channel]);
                let pause_ms = time::millis(*pause);
                tracing::warn!(failure_type = "alert_pipeline", channel, incident = code, about = due.subject.name(), attempt, pause_ms, error.cause = %why, "message not accepted");
            }
        }
    }
}

/// What a verdict means for the row. Nothing is given up: also a broken channel is tried again, once a minute.
fn outcome(verdict: Verdict, due: &Due) -> Outcome {
    match verdict {
        Verdict::Accepted => Outcome::Accepted,
        Verdict::Later { asked, why } => {
            Outcome::Failed { why, pause: retry::pause(due.attempts + 1, asked), plain: due.plain }
        }
        Verdict::MessageRefused { why } if !due.plain => Outcome::Failed { why, pause: Duration::ZERO, plain: true },
        Verdict::MessageRefused { why } | Verdict::ChannelBroken { why } => {
            Outcome::Failed { why, pause: retry::long_pause(), plain: due.plain }
        }
    }
}
