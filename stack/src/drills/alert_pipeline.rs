//! A part of the way from Prometheus to chat is away.

use std::time::Duration;

use super::{
    injury::Process,
    runner::{Fault, Teller, Window, Within},
};

/// The relay is dead: Alertmanager tells people itself.
pub(super) const RELAY_DOWN: Fault = Fault {
    teller: Teller::Bypass,
    along: &["alert_pipeline"],
    ..Fault::new(
        "relay_down",
        "alert_pipeline",
        "RelayDown",
        &Process::Killed("relay"),
        // RelayDown after 15 s, and EscalateUnresolved after 5 min more.
        Window { range: 5, fill: 5, lasting: 315, keep: 15, steps: 5 + Window::PAGE },
    )
};

/// Alertmanager is dead: the relay misses its heartbeat, for 45 s.
pub(super) const ALERTMANAGER_DOWN: Fault = silent("alertmanager_down", &Process::Killed("alertmanager"), 75);

/// Prometheus is dead. Alertmanager keeps what it heard last for four resend delays, the Watchdog too.
pub(super) const PROMETHEUS_DOWN: Fault = silent("prometheus_down", &Process::Killed("prometheus"), 75 + 4 * 15);

/// Alertmanager is there and says nothing.
pub(super) const HEARTBEAT_LOST: Fault = silent("watchdog", &Process::Frozen("alertmanager"), 75);

/// The relay notices by itself, for nothing is left that could tell it.
const fn silent(name: &'static str, injury: &'static Process, seconds: u64) -> Fault {
    Fault {
        teller: Teller::Relay,
        along: &["alert_pipeline"],
        within: Within::Promised(Duration::from_secs(seconds), Duration::from_mins(1)),
        ..Fault::new(name, "watchdog", "Watchdog", injury, Window { range: 0, fill: 0, lasting: 0, keep: 0, steps: 0 })
    }
}
