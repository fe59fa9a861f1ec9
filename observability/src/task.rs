//! Spawning that keeps the request's context. The bare spawns are banned by clippy: a task spawned
//! without its span writes lines without ids.

use std::future::Future;

use tokio::task::JoinHandle;
use tracing::{Instrument as _, Span};

/// Spawns a task that stays in the current request's context.
#[expect(clippy::disallowed_methods, reason = "this is the wrapper that the ban points to")]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future.instrument(Span::current()))
}

/// Spawns a task on this thread that stays in the current request's context.
///
/// # Panics
/// Outside a `LocalSet`, and outside actix's own threads, as `tokio::task::spawn_local` does.
#[expect(clippy::disallowed_methods, reason = "this is the wrapper that the ban points to")]
pub fn spawn_local<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    tokio::task::spawn_local(future.instrument(Span::current()))
}

/// Runs a blocking closure on a thread of its own, in the current request's context.
#[expect(clippy::disallowed_methods, reason = "this is the wrapper that the ban points to")]
pub fn spawn_blocking<F, R>(work: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let span = Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work))
}
