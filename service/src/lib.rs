//! The example service: orders on Postgres, with everything around it that a service in production
//! needs. To start your own, replace `orders` and keep the rest.

pub mod admin;
mod answer;
pub mod app;
pub mod auth;
pub mod commands;
pub mod config;
pub mod database;
pub mod error;
pub mod failure;
pub mod faults;
pub mod gate;
pub mod health;
pub mod metrics;
pub mod openapi;
pub mod orders;
mod pages;
pub mod payments;
pub mod server;

/// Who is reporting, in every line, metric and span.
pub const SERVICE: observability::Service = observability::Service {
    name: "orders",
    version: env!("CARGO_PKG_VERSION"),
    revision: match option_env!("REVISION") {
        Some(revision) => revision,
        None => "unknown",
    },
};
