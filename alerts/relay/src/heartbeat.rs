//! Whether monitoring still lives: Prometheus' Watchdog, carried here by Alertmanager every 15 s.
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::alertmanager::{Alert, Status};
use crate::incident::Incident;
use crate::reconcile::record;
use crate::server::Relay;
use crate::time;

/// The last beat. Until the first one, the program's start stands for it.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    patience: i64,
    started: i64,
    /// 0: none yet.
    last: AtomicI64,
}

impl Heartbeat {
    pub(crate) fn start(patience: Duration) -> Self {
        Self { patience: time::millis(patience), started: time::now(), last: AtomicI64::new(0) }
    }

    pub(crate) fn beat(&self) {
        self.last.store(time::now(), Ordering::Relaxed);
    }

    pub(crate) fn last(&self) -> i64 {
        self.last.load(Ordering::Relaxed)
    }

    pub(crate) fn age(&self) -> i64 {
        time::now().saturating_sub(self.last().max(self.started)).max(0)
    }

    pub(crate) fn overdue(&self) -> bool {
        self.age() > self.patience
    }
}

/// The incident that the relay opens itself.
pub(crate) const SILENT: &str = "MonitoringSilent";

/// Opens it when the heartbeat has stopped, closes it when it is back.
pub(crate) async fn watch(relay: &Relay) -> sqlx::Result<()> {
    relay.store.remember_beat(relay.heartbeat.last()).await?;
    let open: Option<Incident> =
        relay.store.unresolved().await?.into_iter().find(|incident| incident.alertname == SILENT);
    let silent = relay.heartbeat.overdue() && relay.store.ever_beat().await?;
    let status = match (&open, silent) {
        (None, true) => Status::Firing,
        (Some(_), false) => Status::Resolved,
        _ => return Ok(()),
    };
    let labels = [
        ("alertname", SILENT),
        ("failure_type", "watchdog"),
        ("service", "monitoring"),
        ("env", relay.environment.as_str()),
        ("severity", "critical"),
        ("tier", "cause"),
    ];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let since = open.map_or_else(|| time::now() - relay.heartbeat.age(), |incident| incident.started_at);
    let mut alert = Alert::new(labels, DateTime::from_timestamp_millis(since).unwrap_or_default(), Utc::now());
    alert.annotations.insert("summary".into(), "Monitoring is silent: its heartbeat has stopped".into());
    alert.annotations.insert("impact".into(), "Faults may go unnoticed until it is back.".into());
    alert.annotations.insert("dashboard".into(), "alerts/5".into());
    record(relay, vec![alert], status).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_becomes_overdue_and_a_beat_ends_it() {
        let heartbeat = Heartbeat { started: time::now() - 46_000, ..Heartbeat::start(Duration::from_secs(45)) };
        assert!(heartbeat.overdue());
        heartbeat.beat();
        assert!(!heartbeat.overdue());
    }
}
