//! The example service: orders on Postgres, with everything around it that a service in production
//! needs. To start your own, replace `orders` and keep the rest.

pub mod admin; // the second listener: metrics, probes, what can be changed at run time
pub mod app; // the public listener: routes and middleware
pub mod commands; // what the command line offers
pub mod config; // flags over environment over file over default
pub mod database; // pool, watcher, migrations
pub mod error; // every way a request can fail, with its answer
pub mod failure; // what those are called in logs, metrics, alerts and runbooks
pub mod health; // started, ready, draining
pub mod metrics; // what this service counts
pub mod server; // start and stop of both listeners

mod orders; // the domain

/// Who is reporting, in every line, metric and span.
pub const SERVICE: observability::Service = observability::Service {
    name: "orders",
    version: env!("CARGO_PKG_VERSION"),
    revision: match option_env!("REVISION") {
        Some(revision) => revision,
        None => "unknown",
    },
};
