//! The relay as a program: started, fed, broken and asked from outside.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    clippy::print_stdout,
    reason = "a test ends where it fails, helpers included; it shows what it measured; counters are whole numbers"
)]

/// Taking incidents, and who may.
mod acting;
/// The inbox in a real browser.
mod browser;
/// A local server that answers as chat platforms do, on good days and bad ones.
mod chat;
/// What the relay finds out for itself.
mod comparing;
/// Wrong configuration, ports in use, probes.
mod configuration;
/// Every platform against a server that answers as it does.
mod contracts;
/// From a notification to an accepted message, whatever the chat answers.
mod delivery;
/// The page: what it shows, what it escapes, how it stays live.
mod inbox;
/// What is let in, and what is refused and counted.
mod intake;
/// What monitoring reads about the relay.
mod metrics;
/// A local server that answers as Prometheus and Alertmanager do.
mod monitoring;
/// An outage that the chat did not live to see, and restarts in the middle.
mod outage;
/// Who hears what and when.
mod policy;
/// That no secret is shown anywhere.
mod secrets;
/// Starts the program and speaks to it.
mod support;
