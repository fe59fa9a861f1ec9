//! The store: one `SQLite` database in the relay's own folder, never in the database that is being watched.
//!
//! One connection writes, so no writer ever waits for another; a commit returns after the disk has it.
mod actions;
mod checkpoint;
mod incidents;
mod intake;
mod keep;
mod outbox;
mod rows;
#[cfg(test)]
mod simulated;

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, SqliteConnection, SqlitePool};

pub(crate) use actions::{Act, Acted};
pub(crate) use incidents::{Delivery, Entry, Filter, Gauges};
pub(crate) use intake::Circumstances;
pub(crate) use outbox::{Due, Outcome};

use crate::time;

/// How long a statement waits for its turn.
const PATIENCE: Duration = Duration::from_secs(2);
const READERS: u32 = 4;
/// How long a resolved incident is kept.
const KEPT: Duration = Duration::from_hours(90 * 24);

/// What incidents there are and who still has to hear of them.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    writer: SqlitePool,
    reader: SqlitePool,
    /// Held as long as the store is open: two relays on one folder would both deliver.
    _lock: Arc<File>,
}

impl Store {
    /// Opens the store in `folder`, making and migrating it as needed.
    pub(crate) async fn open(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("RELAY_DATA_DIR: cannot make {}", folder.display()))?;
        let lock = lock(folder)?;
        let options = SqliteConnectOptions::new()
            .filename(folder.join("relay.sqlite"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(PATIENCE)
            .foreign_keys(true)
            // An image without a temporary folder is a good image.
            .pragma("temp_store", "MEMORY");
        // SQLite ends a transaction by itself when the disk is full, and the connection would wait for that end for ever.
        let sound = |connection: &SqliteConnection| Ok(!connection.is_in_transaction());
        let pool = |size| {
            let options = SqlitePoolOptions::new().max_connections(size).acquire_timeout(PATIENCE);
            options.before_acquire(move |connection, _| Box::pin(async move { sound(connection) }))
        };
        let opened = async {
            let writer = pool(1).connect_with(options.clone()).await?;
            sqlx::migrate!().run(&writer).await?;
            sqlx::query("UPDATE memory SET checked_at = ? WHERE checked_at = 0")
                .bind(time::now())
                .execute(&writer)
                .await?;
            let reader = pool(READERS).connect_with(options.pragma("query_only", "ON")).await?;
            anyhow::Ok(Self { writer, reader, _lock: lock })
        };
        opened.await.with_context(|| {
            format!("RELAY_DATA_DIR: cannot use the store in {}; if it is damaged or of a newer version, move it away and start again", folder.display())
        })
    }

    /// Writes something, and waits until the disk has it.
    pub(crate) async fn check(&self) -> sqlx::Result<()> {
        sqlx::query("INSERT INTO probe (id, at) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET at = excluded.at")
            .bind(time::now())
            .execute(&self.writer)
            .await
            .map(|_| ())
    }

    /// Forgets incidents that have long been over. What nobody has heard of yet is kept.
    pub(crate) async fn forget(&self) -> sqlx::Result<u64> {
        let done = sqlx::query(
            "DELETE FROM incidents WHERE resolved_at < ?
             AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.incident_id = incidents.id AND d.state = 'pending')",
        );
        Ok(done.bind(time::now() - time::millis(KEPT)).execute(&self.writer).await?.rows_affected())
    }

    /// Finishes what was begun and lets go of the files.
    pub(crate) async fn close(&self) {
        self.writer.close().await;
        self.reader.close().await;
    }
}

fn lock(folder: &Path) -> anyhow::Result<Arc<File>> {
    let path = folder.join("lock");
    let file = File::create(&path).with_context(|| format!("RELAY_DATA_DIR: cannot write to {}", folder.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Arc::new(file)),
        Err(TryLockError::WouldBlock) => {
            anyhow::bail!("RELAY_DATA_DIR: another relay uses {}; stop it, or name another folder", folder.display())
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("RELAY_DATA_DIR: cannot lock {}", path.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_disk_that_was_full_can_be_written_to_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let limit = async |pages: u32| {
            let pragma = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
            sqlx::query(pragma).fetch_all(&store.writer).await.unwrap();
        };
        let fill = async || {
            let mut write = store.writer.begin_with("BEGIN IMMEDIATE").await?;
            let much = sqlx::query("INSERT INTO spent VALUES (hex(randomblob(100000)), 0)");
            much.execute(&mut *write).await?;
            write.commit().await
        };
        limit(1).await;
        assert!(fill().await.unwrap_err().to_string().contains("full"));
        limit(1_000_000).await;
        fill().await.unwrap();
    }
}
