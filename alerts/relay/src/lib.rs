//! Carries alerts from Alertmanager to chat, and loses none.
//!
//! An alert comes in (`intake`), becomes part of an incident (`incident`) and rows of the outbox in one durable
//! transaction (`store`), is sent until a chat has accepted it (`outbox`, `channel`, `message`), and can be looked at
//! all the while (`inbox`).

mod actions;
mod admin;
mod alertmanager;
mod bell;
mod bucket;
mod channel;
mod config;
mod episode;
mod escalation;
mod health;
mod heartbeat;
mod inbox;
mod incident;
mod intake;
mod keeper;
mod message;
mod metrics;
mod operate;
mod outbox;
mod policy;
mod reconcile;
mod retry;
mod runbooks;
mod server;
mod sight;
mod store;
mod time;

pub use config::{Args, Command, Config};
pub use metrics::ALL as METRICS;
pub use operate::{describe, explain, health, selftest};
pub use server::{Running, run, start};
