//! What a user of the library relies on, seen from outside.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets the unexpected should stop there"
)]

/// A collector that is away, slow, or says no.
mod away;
/// A collector to be treated badly.
mod collector;
/// Spans are named and described as OpenTelemetry's conventions say.
mod conventions;
/// A request is one span, one line, one observation, whatever happens to it.
mod http;
/// The shape of a line, and what a request says on all of its lines.
mod logs;
/// Names of metrics, and what is served where.
mod metrics;
/// A whole process: start, lines on stdout and in files, spans over OTLP, the end.
mod process;
/// The example program, in a process of its own.
mod program;
/// W3C trace context, in and out.
mod propagation;
/// The end, under load and on a bad day.
mod shutdown;
/// A full disk, a file that is gone, a standard output that nobody reads.
mod sinks;
/// Lines for a person at a terminal.
mod terminal;
/// Parents of spans, and what goes along with outgoing calls.
mod traces;
/// What goes wrong in a request is told once, in every signal alike.
mod troubles;
/// Lines, spans and numbers of a long mixed run: sound, and of one mind.
mod truth;
