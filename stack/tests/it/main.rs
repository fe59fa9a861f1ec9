//! The end-to-end tests, one module a subject.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "clippy knows a test by its attribute, and takes what tests share for production code"
)]

// One request, found in every signal, and from each signal in the next.
mod acceptance;
// What the benchmarks build is what ships.
mod bench;
// The chat player answers as Slack does, and fails as chats fail.
mod chat;
// What the collector keeps, counts and holds.
mod collector;
// Rules, tests, routes, runbooks and code name the same things.
mod contract;
// Every alert leads to a panel that draws its metric.
mod dashboards;
// Each drill passes on a fresh stack, within its target.
mod drills;
// Grafana would take what is in its files.
mod grafana;
// What mutes what: the table, on the real Alertmanager, and complete.
mod inhibit_rules;
// What the relay is told of many alerts at once, and what around it.
mod inhibition;
// The light traffic idles when it is asked to.
mod load;
// The native run, as a person uses it: up, down, doctor, and what goes wrong.
mod native;
// The README's commands, in its order.
mod readme;
// The project takes another name.
mod rename;
// What `make up` and `make test` decide.
mod scripts;
// A drill breaks and repairs exactly what it says.
mod supervision;
// A command gets a database of its own.
mod with_postgres;

mod alerting;
#[path = "../common/mod.rs"]
mod common;
mod machine;
mod runner;
