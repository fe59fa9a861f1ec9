//! The real Alertmanager between a Prometheus and a relay that are played.

mod alert;
mod relay;

use std::{convert::Infallible, io::Write, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use serde_json::{Value, json};
use stack::{Alertmanager, Alone};
use tokio::{
    sync::Mutex,
    time::{Instant, interval_at},
};

pub(crate) use alert::{Alert, alert};
use relay::Relay;
pub(crate) use relay::{Notice, headline};

/// As Prometheus does here: `--rules.alert.resend-delay`, and what it sends in one request.
const RESEND: Duration = Duration::from_secs(15);
const BATCH: usize = 64;
/// What Prometheus does not send again is over after this.
const LASTS: TimeDelta = TimeDelta::seconds(60);

/// One Alertmanager with those it speaks to.
pub(crate) struct Stage {
    alertmanager: Alone,
    relay: Relay,
    client: reqwest::Client,
    /// Held while it is sent, so that what has ended is not sent as firing once more.
    firing: Mutex<Vec<Alert>>,
}

/// Plays `scene` with the Alertmanager in use and with the oldest, at the same time.
pub(crate) async fn on_each_alertmanager(changes: &[(&str, &str)], scene: impl AsyncFn(&Stage)) {
    let in_use = Alertmanager::in_use().await.unwrap();
    let mut all = vec![in_use];
    match Alertmanager::oldest().await {
        Ok(oldest) if oldest.version() == all[0].version() => (),
        Ok(oldest) => all.push(oldest),
        Err(error) => {
            // Past the harness, which shows the output of failed tests only.
            let mut output = std::io::stdout();
            writeln!(output, "SKIPPED: needs Debian's Alertmanager ({error:#})").unwrap();
        }
    }
    join_all(all.iter().map(async |alertmanager| {
        let stage = Stage::set(alertmanager, changes).await;
        tokio::select! {
            never = stage.keep_sending() => match never {},
            () = scene(&stage) => (),
        }
        stage.alertmanager.stop().await.unwrap();
    }))
    .await;
}

impl Stage {
    async fn set(alertmanager: &Alertmanager, changes: &[(&str, &str)]) -> Self {
        let relay = Relay::start(alertmanager.version());
        Self {
            alertmanager: alertmanager.start(relay.address, changes).await.unwrap(),
            relay,
            client: stack::http::client(Duration::from_secs(10)).unwrap(),
            firing: Mutex::default(),
        }
    }

    /// Raises `alerts`, in their order.
    pub(crate) async fn fire(&self, alerts: Vec<Alert>) {
        let mut firing = self.firing.lock().await;
        self.send(&alerts, Utc::now() + LASTS).await;
        firing.extend(alerts);
    }

    /// Ends all alerts of these names for which `of` holds.
    pub(crate) async fn end(&self, names: &[&str], of: impl Fn(&Alert) -> bool) {
        let mut firing = self.firing.lock().await;
        let ended: Vec<_> = firing.extract_if(.., |alert| names.contains(&alert.name()) && of(alert)).collect();
        assert!(!ended.is_empty(), "none of {names:?} was firing");
        self.send(&ended, Utc::now()).await;
    }

    async fn keep_sending(&self) -> Infallible {
        let mut ticks = interval_at(Instant::now() + RESEND, RESEND);
        loop {
            ticks.tick().await;
            self.send(&self.firing.lock().await, Utc::now() + LASTS).await;
        }
    }

    async fn send(&self, alerts: &[Alert], ends: DateTime<Utc>) {
        for batch in alerts.chunks(BATCH) {
            let body: Vec<_> = batch
                .iter()
                .map(|alert| json!({ "labels": alert.labels, "startsAt": alert.started, "endsAt": ends }))
                .collect();
            let url = format!("{}/api/v2/alerts", self.alertmanager.url());
            let answer = self.client.post(url).json(&body).send().await.unwrap();
            assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
        }
    }

    pub(crate) fn version(&self) -> &str {
        &self.relay.version
    }

    /// What Alertmanager says of every alert it holds.
    pub(crate) async fn alerts(&self) -> Vec<Value> {
        let url = format!("{}/api/v2/alerts", self.alertmanager.url());
        self.client.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// Everything that was told so far, as soon as `enough` holds of it.
    pub(crate) async fn heard(&self, what: &str, enough: impl FnMut(&[Notice]) -> bool) -> Vec<Notice> {
        self.relay.heard(what, enough).await
    }

    /// Waits until the relay was told all of `expected`, and fails when it was told anything else.
    pub(crate) async fn hears_only(&self, expected: &[String]) {
        self.relay.hears_only(expected).await;
    }
}
