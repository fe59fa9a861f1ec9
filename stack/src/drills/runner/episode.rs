//! The steps of one outage, and what each of them establishes.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::{
    Back, Evidence, Fault, Outcome, Scene, Sign, Teller,
    content::{self, Kind},
    observer::{Alert, Observer, Readiness, until},
    pulse::Pulse,
    requests,
};
use crate::{chat::Log, load::Load, timeline::Timeline};

const REQUESTS_PER_SECOND: u32 = 20;
/// Long enough to measure how much a target was missed by.
pub(super) const LATEST: Duration = Duration::from_mins(1);
/// The fast lane's scrape interval.
const SCRAPE: Duration = Duration::from_secs(1);
const FINE: Duration = Duration::from_millis(10);
pub(super) const COARSE: Duration = Duration::from_millis(100);

pub(super) struct Episode<'a> {
    scene: &'a Scene,
    pub(super) fault: &'a Fault,
    pub(super) chat_within: Duration,
    pub(super) resolved_within: Duration,
    pub(super) observer: Observer,
    pub(super) timeline: &'a mut Timeline,
    load: Load,
    pulse: Pulse,
    started_before: Option<f64>,
    /// What chat and the bypass had received before.
    pub(super) before: Log,
    pub(super) zero: Instant,
    zero_wall: DateTime<Utc>,
    detected: Option<Instant>,
    pub(super) repair: Instant,
    pub(super) back: Option<Instant>,
    recovered: Option<Instant>,
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
        let load = Load::start(&observer.at.service, REQUESTS_PER_SECOND, scene.traffic())?;
        super::green::wait(&observer, &load, timeline).await?;
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
            started_before,
            before,
            zero: now,
            zero_wall: Utc::now(),
            detected: None,
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
            self.timeline.note(Instant::now(), &format!("WRONG: {reason}"));
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
        self.timeline.note(self.zero, "everything is green; the fault follows");
        let done = self.fault.injury.inflict(self.scene).await?;
        self.timeline.note(Instant::now(), &done);
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
            Some(at) => self.timeline.note(at, "detected: readiness is not green any more"),
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
        self.timeline.note(self.zero + after, &format!("alerted: {} fires", self.fault.alert));
        let failure_type = alert.label("failure_type").to_owned();
        self.require(failure_type == self.fault.failure_type, || {
            format!("the alert says failure_type {failure_type:?}, not {:?}", self.fault.failure_type)
        });
        Some(alert)
    }

    /// The dashboards show it.
    pub(super) async fn dashboards(&mut self, alert: &Alert) {
        match super::dashboards::judge(&self.observer, self.fault.failure_type, alert).await {
            Ok(wrong) if wrong.is_empty() => self.timeline.note(Instant::now(), "the dashboards show it"),
            Ok(wrong) => self.require_all(wrong),
            Err(error) => self.require(false, || format!("the dashboards could not be asked: {error:#}")),
        }
    }

    /// The alert's query shows lines of it.
    pub(super) async fn lines(&mut self, alert: &Alert) {
        match super::lines::judge(&self.observer, alert, self.zero_wall).await {
            None => {}
            Some(Ok(found)) => {
                self.timeline.note(Instant::now(), &format!("the alert's query leads to {found} lines of it"));
            }
            Some(Err(problem)) => {
                self.require(false, || format!("the alert's query {problem}: {}", alert.annotation("query")));
            }
        }
    }

    /// Keeps the fault up, at least a little longer: refusals are to be seen.
    pub(super) async fn hold(&mut self, hold: Duration) {
        let until = (self.zero + hold).max(Instant::now() + Duration::from_secs(2));
        tokio::time::sleep_until(until.into()).await;
    }

    /// Repairs, and watches for the first accepted connection and for readiness meanwhile.
    pub(super) async fn repair(&mut self) -> anyhow::Result<()> {
        self.repair = Instant::now();
        self.timeline.note(self.repair, &format!("repair: {}", self.fault.injury.remedy()));
        self.outcome.repair_s = Some(self.since_zero(self.repair));
        let deadline = self.repair + LATEST;
        let back = async || match self.fault.back {
            Back::Postgres => self.observer.postgres_accepts().await.then(Instant::now),
            Back::Service => (self.observer.ready().await == Readiness::Green).then(Instant::now),
            Back::Repaired => Some(Instant::now()),
        };
        let repair = self.fault.injury.repair(self.scene);
        if self.fault.back == Back::Repaired {
            repair.await?;
            self.back = Some(Instant::now());
        } else {
            let (repaired, back) = tokio::join!(repair, until(deadline, FINE, back));
            repaired?;
            self.back = back;
        }
        match self.back {
            Some(at) => self.timeline.note(at, "what was broken is back"),
            None => self.require(false, || "it accepts no connection after the repair".to_owned()),
        }
        let green = async || (self.observer.ready().await == Readiness::Green).then(Instant::now);
        self.recovered = until(deadline, FINE, green).await;
        match self.recovered {
            Some(at) => self.timeline.note(at, "recovered: readiness is green"),
            None => self.require(false, || "readiness stayed red after the repair".to_owned()),
        }
        Ok(())
    }

    /// Judges requests, probes and the messages in all.
    pub(super) async fn finish(mut self, expected: &[Kind]) -> anyhow::Result<Outcome> {
        let messages = self.new_messages().await;
        let kinds: Vec<Kind> = messages.iter().map(content::kind).collect();
        self.outcome.messages = messages.len();
        self.require(kinds == expected, || {
            let headlines: Vec<String> = messages.iter().map(content::headline).collect();
            format!("chat received {kinds:?} instead of {expected:?}: {headlines:#?}")
        });
        let log = self.observer.chat().await?;
        let escalated = log.escalations.len().saturating_sub(self.before.escalations.len());
        let around = self.fault.teller == Teller::Bypass;
        self.require((escalated == 0) != around, || format!("{escalated} messages went around the relay"));
        let rollbacks = log.rollbacks.len().saturating_sub(self.before.rollbacks.len());
        self.require(rollbacks == usize::from(self.fault.rollback), || {
            format!("the rollback hook was called {rollbacks} times")
        });
        let started_after = self.observer.started().await;
        let evidence = Evidence {
            zero: self.zero,
            detected: self.detected,
            repair: self.repair,
            recovered: self.recovered,
            samples: self.load.finish().await,
            pulse_lost: self.pulse.lost(self.zero),
            started_before: self.started_before,
            started_after,
        };
        self.timeline.say(&requests::describe(&evidence));
        self.outcome.refused_ms = requests::refused_ms(&evidence);
        self.require_all((self.fault.judge)(&evidence));
        self.outcome.ok = self.outcome.reasons.is_empty();
        Ok(self.outcome)
    }
}

/// Rounded to what can be measured.
pub(super) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000.0).round() / 1_000.0
}
