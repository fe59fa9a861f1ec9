//! A part that keeps lines, spans or figures is away.

use super::{
    injury::Process,
    runner::{Fault, Window},
};

const AWAY: Window = Window { range: 15, fill: 15, lasting: 60, keep: 15, steps: Window::SLOW };

pub(super) const COLLECTOR_DOWN: Fault = away("collector_down", &Process::Killed("otel-collector"));
pub(super) const LOKI_DOWN: Fault = away("loki_down", &Process::Killed("loki"));
pub(super) const JAEGER_DOWN: Fault = away("jaeger_down", &Process::Killed("jaeger"));
pub(super) const EXPORTER_DOWN: Fault = away("exporter_down", &Process::Killed("postgres-exporter"));

const fn away(name: &'static str, injury: &'static Process) -> Fault {
    Fault::new(name, "telemetry", "TelemetryBackendDown", injury, AWAY)
}
