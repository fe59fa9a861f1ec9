//! Faults that take something away from the whole process, and give it back when they are dropped.

use std::{
    fs::File,
    future::pending,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread,
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time::sleep;

use super::{
    Kind,
    database::{deadlocks, keep_connection, keep_transaction},
};
use crate::database::Database;

const MIB: usize = 1024 * 1024;
/// Between two steps of growing, or of filling.
const STEP: Duration = Duration::from_millis(50);
/// MiB that memory grows by in one step.
const GROWTH: usize = 8;
/// Lines of 8 KiB that are more than may wait for stdout.
const FILL: usize = 1100;

/// Takes, and keeps. Never ends by itself.
pub(super) async fn hold(kind: Kind, amount: i32, database: Database) {
    let amount = usize::try_from(amount).unwrap_or_default();
    match kind {
        Kind::Memory => keep(memory(amount).await).await,
        Kind::Files => keep(files(amount)).await,
        Kind::Telemetry => keep(stall_lines()).await,
        Kind::Connections => keep(join_all((0..amount).map(|_| keep_connection(&database))).await).await,
        Kind::Transaction => keep_transaction(&database, "select from orders limit 1").await,
        Kind::Locks => keep_transaction(&database, "lock table orders in exclusive mode").await,
        Kind::Deadlocks => deadlocks(&database).await,
        _ => pending().await,
    }
}

async fn keep<T>(_held: T) {
    pending::<()>().await;
}

async fn memory(mebibytes: usize) -> Vec<Vec<u8>> {
    let mut held = Vec::new();
    while held.len() < mebibytes {
        let more = GROWTH.min(mebibytes - held.len());
        // Not zeroes: memory of those is not taken before it is used.
        held.extend((0..more).map(|_| vec![1; MIB]));
        sleep(STEP).await;
    }
    held
}

/// As many as the process gets.
fn files(number: usize) -> Vec<File> {
    (0..number).map_while(|_| File::open("/dev/null").ok()).collect()
}

/// Holds stdout, so that lines wait until no more may, and are lost from then on; until the sender is
/// dropped.
fn stall_lines() -> Sender<()> {
    let (held, ended) = channel::<()>();
    thread::spawn(move || {
        let _stall = observability::logs::stall();
        let filler = "x".repeat(8 * 1024);
        let fill = || tracing::warn!(filler, "stdout is stalled by a fault");
        (0..FILL).for_each(|_| fill());
        while ended.recv_timeout(STEP) == Err(RecvTimeoutError::Timeout) {
            fill();
        }
    });
    held
}
