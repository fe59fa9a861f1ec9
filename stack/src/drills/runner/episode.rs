//! The steps of one outage, and what each of them establishes.

use std::time::{Duration, Instant, UNIX_EPOCH};

use chrono::{DateTime, Utc};

use super::{
    Fault, Outcome, Scene, Sign,
    first_look::FirstLook,
    observer::{Alert, Observer, Readiness, until},
    pulse::Pulse,
};
use crate::{
    chat::{Log, Message},
    load::Load,
    timeline::{Event, Timeline},
};

const REQUESTS_PER_SECOND: u32 = 20;
/// Long enough to measure how much a target was missed by.
pub(super) const LATEST: Duration = Duration::from_mins(1);
/// The fast lane's scrape interval.
const SCRAPE: Duration = Duration::from_secs(1);
pub(super) const FINE: Duration = Duration::from_millis(10);
pub(super) const COARSE: Duration = Duration::from_millis(100);

pub(super) struct Episode<'a> {
    pub(super) scene: &'a Scene,
    pub(super) fault: &'a Fault,
    pub(super) chat_within: Duration,
    pub(super) resolved_within: Duration,
    pub(super) observer: Observer,
    pub(super) timeline: &'a mut Timeline,
    pub(super) load: Load,
    pub(super) pulse: Pulse,
    pub(super) first_look: FirstLook,
    pub(super) started_before: Option<f64>,
    /// What chat and the bypass had received before.
    pub(super) before: Log,
    pub(super) zero: Instant,
    pub(super) zero_wall: DateTime<Utc>,
    pub(super) detected: Option<Instant>,
    /// What chat was told first.
    pub(super) told: Option<Message>,
    pub(super) repair: Instant,
    pub(super) back: Option<Instant>,
    pub(super) recovered: Option<Instant>,
    /// Chat is down through the outage.
    pub(super) chat_down: bool,
    pub(super) outcome: Outcome,
}

impl<'a> Episode<'a> {
    /// Steady requests until everything is green.
    pub(super) async fn prepare(
        scene: &'a Scene,
        fault: &'a Fault,
        shortened: u64,
        observer: Observer,
        timeline: &'a mut Timeline,
    ) -> anyhow::Result<Self> {
        timeline.say(&format!("drill {}: warming up with {REQUESTS_PER_SECOND} requests a second", fault.name));
        fault.injury.prepare(scene).await?;
        let load = Load::start(&observer.at.service, REQUESTS_PER_SECOND, scene.traffic())?;
        super::green::wait(&observer, &load, timeline).await?;
        let first_look = FirstLook::read(&observer, fault.failure_type, fault.shows).await?;
        first_look.silent().await?;
        let started_before = observer.started().await;
        let before = observer.chat().await?;
        let now = Instant::now();
        Ok(Self {
            scene,
            fault,
            chat_within: fault.chat_within(shortened),
            resolved_within: fault.resolved_within(shortened),
            pulse: Pulse::watch(observer.clone()),
            observer,
            timeline,
            load,
            first_look,
            started_before,
            before,
            zero: now,
            zero_wall: Utc::now(),
            detected: None,
            told: None,
            repair: now,
            back: None,
            recovered: None,
            chat_down: false,
            outcome: Outcome { drill: fault.name.to_owned(), ..Outcome::default() },
        })
    }

    pub(super) fn require(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            let reason = otherwise();
            self.timeline.note(Instant::now(), Event::Wrong, &reason);
            self.outcome.reasons.push(reason);
        }
    }

    pub(super) fn require_all(&mut self, reasons: Vec<String>) {
        for reason in reasons {
            self.require(false, || reason);
        }
    }

    pub(super) fn since_zero(&self, at: Instant) -> f64 {
        seconds(at.saturating_duration_since(self.zero))
    }

    pub(super) async fn inflict(&mut self) -> anyhow::Result<()> {
        // Green was seen through scrapes: without this, every fault would come at the same moment between two of them.
        tokio::time::sleep(SCRAPE.mul_f64(fastrand::f64())).await;
        self.zero = Instant::now();
        self.zero_wall = Utc::now();
        self.timeline.start(self.zero);
        self.timeline.note(self.zero, Event::Seen, "everything is green; the fault follows");
        let done = self.fault.injury.inflict(self.scene).await?;
        self.timeline.note(Instant::now(), Event::Fault, &done);
        Ok(())
    }

    pub(super) async fn detect(&mut self) {
        if self.fault.sign == Sign::None {
            return;
        }
        let ask = async || (self.observer.ready().await != Readiness::Green).then(Instant::now);
        self.detected = until(self.zero + LATEST, FINE, ask).await;
        self.outcome.detected_s = self.detected.map(|at| self.since_zero(at));
        match self.detected {
            Some(at) => self.timeline.note(at, Event::Detected, "readiness is not green any more"),
            None => self.require(false, || "readiness stayed green".to_owned()),
        }
    }

    /// Waits for the alert. Its own `startsAt` says when, more exactly than asking could.
    pub(super) async fn alerted(&mut self) -> Option<Alert> {
        let ask = async || self.observer.alert(self.fault.alert, self.fault.along).await.ok().flatten();
        let alert = until(self.zero + self.chat_within + LATEST, COARSE, ask).await;
        let Some(alert) = alert else {
            self.require(false, || format!("{} did not reach Alertmanager", self.fault.alert));
            return None;
        };
        let after = (alert.starts_at - self.zero_wall).to_std().unwrap_or_default();
        self.outcome.alerted_s = Some(seconds(after));
        self.pending(&alert).await;
        self.timeline.note(self.zero + after, Event::Alert, &format!("{} fires", self.fault.alert));
        let failure_type = alert.label("failure_type").to_owned();
        self.require(failure_type == self.fault.failure_type, || {
            format!("the alert says failure_type {failure_type:?}, not {:?}", self.fault.failure_type)
        });
        Some(alert)
    }

    /// What no probe sees is detected when the rule's expression holds, though its `for` has yet to pass.
    async fn pending(&mut self, alert: &Alert) {
        if self.fault.sign == Sign::Readiness {
            return;
        }
        let (name, service) = (self.fault.alert, alert.label("service"));
        let since = format!(r#"min(ALERTS_FOR_STATE{{alertname="{name}", service="{service}"}})"#);
        let Ok(Some(since)) = self.observer.query(&since).await else { return };
        let Ok(since) = Duration::try_from_secs_f64(since) else { return };
        // Whole seconds, so it may seem to begin a little before the fault.
        let after = (DateTime::from(UNIX_EPOCH + since) - self.zero_wall).to_std().unwrap_or_default();
        self.outcome.detected_s = Some(seconds(after));
        self.timeline.note(self.zero + after, Event::Detected, &format!("the condition of {name} holds"));
    }
}

/// Rounded to what can be measured.
pub(super) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000.0).round() / 1_000.0
}
