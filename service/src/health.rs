//! What the probes answer. Liveness never depends on the database: a restart would not bring it back.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::database::Database;

/// Whether this process has started, may get traffic, or is on its way out.
#[derive(Clone, Debug)]
pub struct Health {
    database: Database,
    started: Arc<AtomicBool>,
    draining: Arc<AtomicBool>,
}

impl Health {
    /// A process that is still starting.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, started: Arc::default(), draining: Arc::default() }
    }

    /// The database was reached once and its schema is current.
    pub fn start(&self) {
        self.started.store(true, Ordering::Relaxed);
    }

    /// From now on no new traffic is wanted.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the start is over.
    #[must_use]
    pub fn started(&self) -> bool {
        self.started.load(Ordering::Relaxed)
    }

    /// Why this process should get no traffic, if so.
    #[must_use]
    pub fn not_ready(&self) -> Option<&'static str> {
        if self.draining.load(Ordering::Relaxed) {
            Some("draining")
        } else if !self.started() {
            Some("starting")
        } else if !self.database.is_up() {
            Some("db_down")
        } else {
            None
        }
    }
}
