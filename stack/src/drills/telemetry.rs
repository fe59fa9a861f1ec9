//! Lines, spans or figures are lost on their way, or the part that keeps them is away.

use super::{
    injury::{Process, Service},
    runner::{Fault, Window},
};

/// Lines wait for stdout until no more may, and are lost from then on.
pub(super) const LINES_LOST: Fault = Fault::new(
    "telemetry",
    "telemetry",
    "TelemetryDropped",
    &Service {
        what: "stdout is stalled",
        inflict: &["fault", "telemetry", "--for", "10m"],
        repair: &["fault", "telemetry", "--end"],
    },
    Window { range: 300, fill: 10, lasting: 60, keep: 0, steps: Window::SLOW },
);

pub(super) const COLLECTOR_DOWN: Fault =
    away("collector_down", &Process::Killed("otel-collector"), &["otel-collector"], 5);
pub(super) const LOKI_DOWN: Fault = away("loki_down", &Process::Killed("loki"), &["loki"], 15);
pub(super) const JAEGER_DOWN: Fault = away("jaeger_down", &Process::Killed("jaeger"), &["jaeger"], 15);
pub(super) const EXPORTER_DOWN: Fault =
    away("exporter_down", &Process::Killed("postgres-exporter"), &["postgres-exporter"], 5);

/// Something that is scraped every `scrape` seconds.
const fn away(name: &'static str, injury: &'static Process, needs: &'static [&'static str], scrape: u64) -> Fault {
    let window = Window { range: 0, fill: 0, lasting: 60, keep: 15, steps: scrape + Window::SLOW - 5 };
    Fault { needs, ..Fault::new(name, "telemetry", "TelemetryBackendDown", injury, window) }
}
