//! Postgres as the rest of the service sees it: a pool while it is up, an error at once while it is
//! not. Who may query and how long it may take is decided here, once.

pub mod check;
pub mod migrations;
pub mod watcher;

use std::{
    convert::Infallible,
    future::pending,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use observability::{context, db};
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, PgPool, PgTransaction,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep},
};

use crate::{config::Config, error::ApiError};

/// A connection idle for longer than this is asked whether it still lives before it is used. A busy
/// pool thus pays no extra round trip, a quiet one finds its dead connections.
const IDLE_TRUST: Duration = Duration::from_secs(1);

/// Work that takes longer is slow. After slow work, and after a statement that Postgres refused, all work runs
/// in a transaction that names its trace, for a minute: what comes next of the same trouble leads to its requests.
const SLOW: Duration = Duration::from_millis(250);
const NAMED_FOR: Duration = Duration::from_mins(1);

/// How to reach Postgres, and how many connections to keep.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it is and who we are there.
    pub connect: PgConnectOptions,
    /// Connections kept at most.
    pub max_connections: u32,
    /// How long a request waits for one of them.
    pub acquire_timeout: Duration,
}

impl Settings {
    /// What the configuration says about the database.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        // A request that has timed out leaves its statement behind: the server ends that too. Who waits for a lock
        // gives up while there is time to say so, but not before Postgres looks for deadlocks, which is after 1 s.
        let limit = format!("{}ms", config.request_timeout.as_millis());
        let for_lock = format!("{}ms", (config.request_timeout / 2).as_millis().max(1));
        let connect = config.connect_options()?.application_name(crate::SERVICE.name);
        Ok(Self {
            connect: connect.options([("statement_timeout", &limit), ("lock_timeout", &for_lock)]),
            max_connections: config.database_max_connections,
            acquire_timeout: config.database_acquire_timeout,
        })
    }

    /// A pool that connects when it is first used.
    #[must_use]
    pub fn pool(&self) -> PgPool {
        PgPoolOptions::new()
            .max_connections(self.max_connections)
            .acquire_timeout(self.acquire_timeout)
            .test_before_acquire(false)
            .before_acquire(|connection, metadata| {
                Box::pin(async move {
                    if metadata.idle_for > IDLE_TRUST {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(self.connect.clone())
    }
}

/// What the watcher knows.
#[derive(Clone, Debug)]
enum State {
    /// No verdict yet.
    Unknown,
    /// Reachable. The pool is replaced with each recovery, so no connection from before is ever used.
    Up(PgPool),
    /// Not reachable.
    Down,
}

/// The handle that handlers use.
#[derive(Clone, Debug)]
pub struct Database(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: watch::Sender<State>,
    suspicion: Notify,
    named_until: Mutex<Option<Instant>>,
}

impl Database {
    /// A database nobody has reached yet; [`watcher::watch`] finds out.
    #[must_use]
    pub fn unknown() -> Self {
        let state = watch::Sender::new(State::Unknown);
        Self(Arc::new(Shared { state, suspicion: Notify::new(), named_until: Mutex::default() }))
    }

    /// A database that counts as up for ever, for tests.
    #[must_use]
    pub fn fixed(pool: PgPool) -> Self {
        let database = Self::unknown();
        database.set(State::Up(pool));
        database
    }

    /// Runs `work` on a connection of the pool. While the database is down it fails at once, and so
    /// does work in flight in the moment the watcher loses the database.
    pub async fn run<T>(&self, work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>) -> Result<T, ApiError> {
        let mut state = self.0.state.subscribe();
        let State::Up(pool) = state.borrow_and_update().clone() else {
            return Err(lost());
        };
        let query = async {
            let mut connection = db::acquire(&pool).await?;
            if !self.is_named() {
                return work(&mut connection).await;
            }
            let mut transaction = begin(&mut connection).await?;
            let outcome = work(&mut transaction).await?;
            transaction.commit().await?;
            Ok(outcome)
        };
        let slow = async {
            sleep(SLOW).await;
            self.name_traces();
            pending::<Infallible>().await
        };
        tokio::select! {
            biased;
            result = query => result.map_err(|error| {
                if matches!(error, sqlx::Error::Database(_)) {
                    self.name_traces();
                }
                // The watcher should look at once, unless it already knows.
                if is_lost(&error) && self.is_up() {
                    self.0.suspicion.notify_one();
                }
                error.into()
            }),
            _ = state.changed() => Err(lost()),
            never = slow => match never {},
        }
    }

    fn name_traces(&self) {
        *self.0.named_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + NAMED_FOR);
    }

    fn is_named(&self) -> bool {
        let until = *self.0.named_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Whether the watcher reaches it.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(*self.0.state.borrow(), State::Up(_))
    }

    /// Waits until the watcher reaches it.
    pub async fn until_up(&self) {
        // The sender lives as long as `self`, so this cannot fail.
        let _ = self.0.state.subscribe().wait_for(|state| matches!(state, State::Up(_))).await;
    }

    /// Brings the pool's gauges up to date; for the moment before metrics are rendered.
    pub fn record_pool(&self) {
        if let State::Up(pool) = &*self.0.state.borrow() {
            db::record_pool(pool);
        }
    }

    /// Makes `state` known to everybody, and lets go of the pool before it.
    fn set(&self, state: State) {
        if let State::Up(pool) = self.0.state.send_replace(state) {
            // Closing waits for connections in use, and those may hang as long as the network likes.
            observability::spawn(async move { pool.close().await });
        }
    }
}

/// Begins a transaction that carries the id of its trace in `application_name`, so that a line of
/// Postgres' log or a row of `pg_stat_activity` leads to the request. It costs no round trip, and ends
/// with the transaction. A comment in each statement would be a new statement each time, to be prepared anew.
pub(crate) async fn begin(connection: &mut PgConnection) -> sqlx::Result<PgTransaction<'_>> {
    match context::trace_id().filter(|_| !connection.is_in_transaction()) {
        // The id is hexadecimal.
        Some(id) => {
            let name = crate::SERVICE.name;
            connection.begin_with(AssertSqlSafe(format!("begin; set local application_name = '{name} {id}'"))).await
        }
        None => connection.begin().await,
    }
}

fn lost() -> ApiError {
    ApiError::DatabaseDown("the watcher does not reach the database".into())
}

/// Whether an error says that the database, or the way to it, is gone.
pub(crate) fn is_lost(error: &sqlx::Error) -> bool {
    use sqlx::Error as E;
    match error {
        E::Io(_) | E::Tls(_) | E::PoolClosed | E::WorkerCrashed => true,
        // 57P0x: shutting down, crashed, starting up; 08xxx: connection exception.
        E::Database(error) => error.code().is_some_and(|code| code.starts_with("57P0") || code.starts_with("08")),
        _ => false,
    }
}
