//! The stack of `docker compose up`, one module a subject: `make test-compose`.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "clippy knows a test by its attribute, and takes what tests share for production code"
)]

// Every part is as closed and as bounded as it can be.
mod hardening;
// They are small, and a change in one program rebuilds nothing else.
mod images;
// `docker compose up`, and the README's other commands for containers, as it has them.
mod readme;
// Third parties are restarted under traffic, and nothing is lost.
mod restarts;
// The whole of it: healthy, small, its secrets kept, one request in every signal, and told when it breaks.
mod whole;

#[path = "../common/mod.rs"]
mod common;
mod docker;
#[path = "../it/machine.rs"]
mod machine;
