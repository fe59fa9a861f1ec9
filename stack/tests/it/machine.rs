//! The machine belongs to the tests that start stacks together; a drill, which measures, has it to itself.

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

static MACHINE: RwLock<()> = RwLock::const_new(());

/// For a test that starts something heavy. Take it once a test: a second one could wait for a drill that waits for the first.
pub(crate) async fn shared() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().await
}

/// For a test whose figures would mean nothing on a busy machine.
pub(crate) async fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().await
}
