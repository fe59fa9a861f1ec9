//! Carries alerts from Alertmanager to chat, and loses none.
//!
//! An alert comes in (`intake`), becomes part of an incident (`incident`) and rows of the outbox in one durable
//! transaction (`store`), is sent until a chat has accepted it (`outbox`, `channel`, `message`), and can be looked at
//! all the while (`inbox`).

mod admin;
mod alertmanager;
mod bell;
mod channel;
mod config;
mod heartbeat;
mod inbox;
mod incident;
mod intake;
mod message;
mod metrics;
mod operate;
mod outbox;
mod retry;
mod runbooks;
mod server;
mod store;
mod time;

pub use config::{Args, Command, Config};
pub use metrics::ALL as METRICS;
pub use operate::{describe, health};
pub use server::{Running, run, start};
