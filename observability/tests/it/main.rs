//! What a user of the library relies on, seen from outside.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets the unexpected should stop there"
)]

/// A request is one span, one line, one observation, whatever happens to it.
mod http;
/// The shape of a line, and what a request says on all of its lines.
mod logs;
/// Names of metrics, and what is served where.
mod metrics;
/// A whole process: start, lines on stdout and in files, spans over OTLP, the end.
mod process;
/// Parents of spans, and what goes along with outgoing calls.
mod traces;
