//! The repair, and the judgement at the end.

use std::time::{Duration, Instant};

use super::{
    Back, Evidence, Outcome, Teller,
    content::{self, Kind},
    episode::{Episode, FINE, LATEST},
    observer::{Readiness, until},
    requests,
};
use crate::timeline::Event;

impl Episode<'_> {
    /// Keeps the fault up, at least a little longer: refusals are to be seen.
    pub(super) async fn hold(&mut self, hold: Duration) {
        let until = (self.zero + hold).max(Instant::now() + Duration::from_secs(2));
        tokio::time::sleep_until(until.into()).await;
    }

    /// Repairs, and watches for the first accepted connection and for readiness meanwhile.
    pub(super) async fn repair(&mut self) -> anyhow::Result<()> {
        self.repair = Instant::now();
        self.timeline.note(self.repair, Event::Repair, &self.fault.injury.remedy());
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
            Some(at) => self.timeline.note(at, Event::Repair, "what was broken is back"),
            None => self.require(false, || "it accepts no connection after the repair".to_owned()),
        }
        let green = async || (self.observer.ready().await == Readiness::Green).then(Instant::now);
        self.recovered = until(deadline, FINE, green).await;
        match self.recovered {
            Some(at) => self.timeline.note(at, Event::Repair, "recovered: readiness is green"),
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
        self.asides().await;
        let log = self.observer.chat().await?;
        let escalated = log.escalations.len().saturating_sub(self.before.escalations.len());
        // That it is in nobody's hands, and that this is over.
        let around = if self.fault.teller == Teller::Bypass { 2 } else { 0 };
        self.require(escalated == around, || format!("{escalated} messages went around the relay, not {around}"));
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
