//! Every metric of the relay.
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use observability::metrics::{Counter, Gauge, Histogram, Metric, intern};

use crate::server::Relay;
use crate::store::Gauges;
use crate::time;

/// Requests to the intake, by what became of them.
pub(crate) static INTAKE_REQUESTS: Counter<2> =
    Counter::new("relay_intake_requests_total", "Notifications that came in, by outcome.", ["endpoint", "outcome"]);
pub(crate) static DELIVERY_FAILURES: Counter<1> =
    Counter::new("relay_delivery_failures_total", "Attempts that a channel did not accept.", ["channel"]);
pub(crate) static DELIVERY_SECONDS: Histogram<1> = Histogram::new(
    "relay_delivery_seconds",
    "Time from an alert's start until a channel accepted the message.",
    ["channel"],
    &[0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 15.0, 30.0, 60.0, 300.0, 1800.0],
);
pub(crate) static ACKNOWLEDGE_SECONDS: Histogram<0> = Histogram::new(
    "relay_acknowledge_seconds",
    "Time from an incident's start until somebody took it for the first time.",
    [],
    &[15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 14400.0],
);
pub(crate) static DEAD_LETTERS: Counter<1> =
    Counter::new("relay_dead_letters_total", "Messages given up after a day.", ["channel"]);
static CHANNEL_UP: Gauge<1> = Gauge::new("relay_channel_up", "0 while a channel accepts nothing.", ["channel"]);
static MISSED_STEPS: Gauge<0> =
    Gauge::new("relay_escalation_missed_steps", "Open incidents whose next step should have been made.", []);
static OLDEST_PENDING: Gauge<1> = Gauge::new(
    "relay_oldest_pending_seconds",
    "Age of the oldest message that a channel has not accepted.",
    ["channel"],
);
static INCIDENTS: Gauge<1> = Gauge::new("relay_incidents", "Incidents in the store.", ["state"]);
static HEARTBEAT_AGE: Gauge<0> =
    Gauge::new("relay_heartbeat_age_seconds", "Time since monitoring last said that it lives.", []);
static HANDLED: Gauge<3> = Gauge::new(
    "relay_incident_handled",
    "1 while everybody who is due has been told of the open incidents of this kind.",
    ["service", "env", "failure_type"],
);

/// For `observability::init`.
pub static ALL: &[&dyn Metric] = &[
    &INTAKE_REQUESTS,
    &DELIVERY_FAILURES,
    &DELIVERY_SECONDS,
    &ACKNOWLEDGE_SECONDS,
    &DEAD_LETTERS,
    &CHANNEL_UP,
    &MISSED_STEPS,
    &OLDEST_PENDING,
    &INCIDENTS,
    &HEARTBEAT_AGE,
    &HANDLED,
];

type Kind = [&'static str; 3];

/// The kinds of incident whose gauge stands, so that it goes to 0 when they are over.
#[derive(Debug, Default)]
pub(crate) struct Handled(Mutex<BTreeSet<Kind>>);

/// Brings the gauges up to date; before every report.
pub(crate) async fn refresh(relay: &Relay) {
    HEARTBEAT_AGE.set([], time::seconds(relay.heartbeat.age()));
    if let Ok(missed) = relay.store.missed_steps(&relay.policy).await {
        MISSED_STEPS.set([], f64::from(u32::try_from(missed).unwrap_or(u32::MAX)));
    }
    match relay.store.gauges(!relay.channels.is_empty()).await {
        Ok(gauges) => {
            INCIDENTS.set(["open"], f64::from(gauges.open));
            INCIDENTS.set(["resolved"], f64::from(gauges.resolved));
            for channel in relay.channels.iter().map(|channel| channel.name) {
                let since = gauges.oldest_pending.get(channel);
                OLDEST_PENDING.set([channel], since.map_or(0.0, |since| time::seconds(time::now() - since)));
                CHANNEL_UP.set([channel], if relay.health.is_down(channel) { 0.0 } else { 1.0 });
            }
            relay.handled.show(&gauges);
        }
        // Without the store nothing is known, and nothing may be called handled.
        Err(error) => {
            relay.handled.show(&Gauges::default());
            tracing::error!(failure_type = "alert_pipeline", error.cause = %error, "the store cannot be read");
        }
    }
}

impl Handled {
    fn show(&self, gauges: &Gauges) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = BTreeSet::new();
        for ((service, env, failure_type), handled) in &gauges.handled {
            let kind = [intern("service", service), intern("env", env), intern("failure_type", failure_type)];
            // Kinds beyond the label limit share one gauge: it is 1 only if all of them are handled.
            let first = now.insert(kind);
            if first || !handled {
                HANDLED.set(kind, if *handled { 1.0 } else { 0.0 });
            }
        }
        for over in shown.difference(&now) {
            HANDLED.set(*over, 0.0);
        }
        *shown = now;
    }
}
