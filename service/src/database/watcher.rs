//! Is the database up? One connection of its own asks twice a second, so that an empty or jammed pool
//! is never mistaken for an outage, and an outage is known before a request has to find out.

use std::time::Duration;

use observability::db;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::time::{Instant, sleep, timeout};

use super::{Database, Settings, State};
use crate::failure::FailureType;

/// Time from an answer to the next question; while it is down, on average.
const PERIOD: Duration = Duration::from_millis(500);
/// A silent database is suspect after this long ...
const PATIENCE: Duration = Duration::from_secs(1);
/// ... and down when a new connection gets no answer in this time either.
const SECOND_CHANCE: Duration = Duration::from_millis(500);
/// While it is down a try may take longer: fewer dead connections pile up in front of a frozen
/// server, and the one that waits is answered in the moment the server is back.
const PATIENCE_WHEN_DOWN: Duration = Duration::from_secs(3);
/// At start there is no verdict for this long, so that a deploy wakes nobody.
const GRACE: Duration = Duration::from_secs(5);
/// Answers in a row that end an outage.
const HITS_TO_RETURN: u32 = 3;

/// Watches until the process ends.
pub async fn watch(database: Database, settings: Settings) {
    // A slow answer is this file's business, not one more line of sqlx's.
    let mut probe = Probe { options: settings.connect.clone().disable_statement_logging(), connection: None };
    let mut verdict = Verdict::new(Instant::now());
    let mut misses = 0_u32;
    loop {
        let answer = probe.ask(verdict.state).await;
        misses = if answer.is_ok() { 0 } else { misses.saturating_add(1) };
        let change = verdict.record(answer.is_ok(), Instant::now());
        let cause = answer.err().unwrap_or_default();
        if change.is_none() && verdict.state == Seen::Never && misses.is_power_of_two() {
            tracing::info!(tries = misses, cause = cause, "waiting for the database");
        }
        if let Some(change) = change {
            publish(&database, &settings, &change, &cause);
        }
        tokio::select! {
            () = sleep(pause(verdict.state)) => {}
            // A request has lost its connection: look at once.
            () = database.0.suspicion.notified() => {}
        }
    }
}

/// All instances lose a database in the same moment; they do not come back in the same moment.
fn pause(seen: Seen) -> Duration {
    match seen {
        Seen::Down => PERIOD.mul_f64(0.5 + fastrand::f64()),
        Seen::Never | Seen::Up => PERIOD,
    }
}

/// Says it once in the log, in `db_up`, and to everybody who waits for the database.
fn publish(database: &Database, settings: &Settings, change: &Change, cause: &str) {
    let failure_type = FailureType::DbDown.as_str();
    match change {
        Change::Reached | Change::Back(_) => {
            db::UP.set([], 1.0);
            database.set(State::Up(settings.pool()));
        }
        Change::NeverReached | Change::Lost => {
            db::UP.set([], 0.0);
            database.set(State::Down);
        }
    }
    match change {
        Change::Reached => tracing::info!("database reached"),
        Change::Back(outage) => {
            tracing::info!(outage_s = outage.as_secs_f64(), "database back");
        }
        Change::NeverReached => {
            tracing::error!(failure_type, cause = cause, "database not reached");
        }
        Change::Lost => tracing::error!(failure_type, cause = cause, "database lost"),
    }
}

/// The watcher's connection.
struct Probe {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
}

impl Probe {
    /// Asks once; a database that counts as up gets a second chance on a new connection, because one
    /// broken connection is not an outage.
    async fn ask(&mut self, seen: Seen) -> Result<(), String> {
        let patience = match seen {
            Seen::Never | Seen::Up => PATIENCE,
            Seen::Down => PATIENCE_WHEN_DOWN,
        };
        let first = self.select(patience).await;
        if first.is_err() && seen == Seen::Up {
            return self.select(SECOND_CHANCE).await;
        }
        first
    }

    async fn select(&mut self, patience: Duration) -> Result<(), String> {
        // Taken out, so that a connection that failed or was too slow is dropped.
        let existing = self.connection.take();
        let exchange = async {
            let mut connection = match existing {
                Some(connection) => connection,
                None => PgConnection::connect_with(&self.options).await?,
            };
            sqlx::raw_sql("SELECT 1").execute(&mut connection).await?;
            Ok::<_, sqlx::Error>(connection)
        };
        match timeout(patience, exchange).await {
            Ok(Ok(connection)) => {
                self.connection = Some(connection);
                Ok(())
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} ms", patience.as_millis())),
        }
    }
}

/// What was last seen of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Never,
    Up,
    Down,
}

/// What is worth telling.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Reached,
    NeverReached,
    Lost,
    Back(Duration),
}

/// Turns answers into changes; pure, the clock comes in.
#[derive(Debug)]
struct Verdict {
    state: Seen,
    since: Instant,
    hits: u32,
}

impl Verdict {
    fn new(now: Instant) -> Self {
        Self { state: Seen::Never, since: now, hits: 0 }
    }

    fn record(&mut self, hit: bool, now: Instant) -> Option<Change> {
        self.hits = if hit { self.hits.saturating_add(1) } else { 0 };
        let lasted = now.duration_since(self.since);
        let (state, change) = match (self.state, hit) {
            (Seen::Never, true) => (Seen::Up, Change::Reached),
            (Seen::Never, false) if lasted >= GRACE => (Seen::Down, Change::NeverReached),
            (Seen::Up, false) => (Seen::Down, Change::Lost),
            (Seen::Down, true) if self.hits >= HITS_TO_RETURN => (Seen::Up, Change::Back(lasted)),
            _ => return None,
        };
        *self = Self { state, since: now, hits: 0 };
        Some(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One answer every `PERIOD`; returns the changes with the number of the answer that made each.
    fn changes(answers: &[bool]) -> Vec<(usize, Change)> {
        let start = Instant::now();
        let mut verdict = Verdict::new(start);
        let mut now = start;
        let mut changes = Vec::new();
        for (number, hit) in answers.iter().enumerate() {
            changes.extend(verdict.record(*hit, now).map(|change| (number, change)));
            now += PERIOD;
        }
        changes
    }

    #[test]
    fn instances_ask_a_lost_database_at_different_moments() {
        let pauses: Vec<_> = (0..20).map(|_| pause(Seen::Down)).collect();
        assert!(pauses.iter().all(|pause| (PERIOD / 2..PERIOD * 2).contains(pause)), "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{pauses:?}");
        // Not by a hair: of 20 pauses spread over one `PERIOD`, all within a quarter of it are one chance in 10^10.
        let (shortest, longest) = (*pauses.iter().min().unwrap(), *pauses.iter().max().unwrap());
        assert!(longest > shortest + PERIOD / 4, "{pauses:?}");
    }

    #[test]
    fn the_first_answer_counts_as_up() {
        assert_eq!(changes(&[false, true, true]), [(1, Change::Reached)]);
    }

    #[test]
    fn there_is_no_verdict_in_the_first_five_seconds() {
        assert_eq!(changes(&[false; 10]), []);
        assert_eq!(changes(&[false; 12]), [(10, Change::NeverReached)]);
    }

    #[test]
    fn one_miss_is_down_and_three_hits_in_a_row_are_up() {
        let outage = changes(&[true, false, true, true, false, true, true, true, true]);
        assert_eq!(outage, [(0, Change::Reached), (1, Change::Lost), (7, Change::Back(PERIOD * 6))]);
    }
}
