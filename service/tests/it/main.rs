//! The service from outside: over HTTP, on a real Postgres, and as a process.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets the unexpected should stop there"
)]

/// Who may ask, how often, how much at a time.
mod access;
/// Probes, metrics and what can be changed at run time.
mod admin;
/// Clients that are slow, excessive, or many.
mod clients;
/// What `.env.example` says of compose is true.
mod compose_example;
/// Every variable: default, good, bad, contradictory.
mod configuration;
/// Things broken on purpose.
mod faults;
/// Random histories of many requests at a time, against a model.
mod histories;
/// Migrations that would hold everybody up are refused.
mod locks;
/// Migrations are applied once, by a role of their own, without waiting for locks.
mod migrations;
/// The same order sent again.
mod once;
/// What each endpoint does.
mod orders;
/// A database that is killed, frozen, not there.
mod outage;
/// Pages for people, and the description for machines.
mod pages;
/// Paying, with a provider that misbehaves.
mod payments;
/// Every statement has an index.
mod plans;
/// Every way to provoke an error, and its answer.
mod problems;
/// Start and stop of the real program.
mod process;
/// What the tests stand on.
mod support;
/// Line, span and metric of one request agree.
mod telemetry;
/// What Postgres shows of a statement names its trace.
mod traced;
