//! Faults on purpose, to see what they look like before they come by themselves. Only with `FAULTS=on`,
//! which production refuses; each ends by itself.
//!
//! ```text
//! service admin fault                                        # what is active
//! service admin fault errors --rate 0.05 --for 60s           # 5 % of requests get 500
//! service admin fault latency --delay 800ms --route '/v1/orders/{id}' --for 2m
//! service admin fault panic --rate 0.01 --for 60s            # handlers panic
//! service admin fault hang --route '/v1/orders' --for 60s    # no answer until REQUEST_TIMEOUT
//! service admin fault cpu --delay 200ms --for 60s            # each request blocks its thread, computing
//! service admin fault slow_statements --delay 700ms --for 60s  # each request runs a pg_sleep first
//! service admin fault connections --amount 10 --for 60s      # taken out of the pool
//! service admin fault transaction --for 5m                   # left open, in the way of nobody
//! service admin fault locks --for 60s                        # left open, and orders cannot be changed
//! service admin fault deadlocks --for 60s                    # about one a second, for Postgres to end
//! service admin fault memory --amount 64 --for 5m            # MiB, kept in use
//! service admin fault files --amount 900 --for 2m            # kept open
//! service admin fault telemetry --for 30s                    # stdout stalls: lines wait, then are lost
//! service admin fault clock --amount -30 --for 60s           # seconds that the reported clock is off
//! service admin fault crash                                  # the process ends as by a bug
//! service admin fault errors --end                           # at once; without a name: all of them
//! ```
//!
//! Over HTTP, on the admin listener: `GET /faults`, `PUT /faults/errors` with `{"rate": 0.05, "for": "60s"}`,
//! `DELETE /faults/errors`, `DELETE /faults`. While one is active, `fault_active{fault="errors"}` is 1; its
//! start and its end are a line each.

mod database;
mod hold;
mod requests;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use clap::ValueEnum as _;
use futures_util::FutureExt as _;
use observability::metrics;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

use crate::{database::Database, metrics::FAULT_ACTIVE};

/// The longest that one may last: who asked for it may be gone.
const LONGEST: Duration = Duration::from_mins(30);

/// What can be broken.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
#[value(rename_all = "snake_case")]
pub enum Kind {
    /// Requests wait for `--delay` first
    Latency,
    /// Requests are answered with 500
    Errors,
    /// Handlers panic
    Panic,
    /// Requests get no answer until `REQUEST_TIMEOUT`
    Hang,
    /// Requests compute for `--delay`, on the thread that others wait for
    Cpu,
    /// Requests run a statement of `--delay` first
    SlowStatements,
    /// `--amount` connections of the pool are in use
    Connections,
    /// A transaction stays open
    Transaction,
    /// A transaction stays open, and nobody else can change orders
    Locks,
    /// Two transactions wait for each other, about once a second
    Deadlocks,
    /// `--amount` MiB are in use
    Memory,
    /// `--amount` more files are open
    Files,
    /// Stdout stalls: log lines wait, then are lost
    Telemetry,
    /// The reported clock is off by `--amount` seconds
    Clock,
    /// The process ends at once
    Crash,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        let name = self.to_possible_value();
        metrics::intern("fault", name.as_ref().map_or("", |name| name.get_name()))
    }
}

/// How it is broken, and for how long.
#[derive(clap::Args, Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct How {
    /// How long, at most 30m; needed for all but crash
    #[arg(long = "for", value_name = "TIME")]
    #[serde(rename = "for")]
    lasting: Option<String>,
    /// Only requests of this route, such as `/v1/orders/{id}`
    #[arg(long)]
    route: Option<String>,
    /// Share of requests, 0 to 1
    #[arg(long)]
    rate: Option<f64>,
    /// How slow, such as 800ms
    #[arg(long, value_name = "TIME")]
    delay: Option<String>,
    /// How much
    #[arg(long, allow_negative_numbers = true)]
    amount: Option<i32>,
}

impl How {
    /// How long it lasts and how slow it is, when all that this kind needs is there.
    fn check(&self, kind: Kind) -> Result<(Duration, Duration), String> {
        use Kind as K;
        let lasting = match &self.lasting {
            Some(time) => duration("for", time)?,
            None if kind == K::Crash => Duration::from_secs(1),
            None => return Err("for is missing: say how long, such as 60s".into()),
        };
        if lasting > LONGEST {
            return Err("for is longer than 30m: ask again when it has ended".into());
        }
        if self.rate.is_some_and(|rate| !(0.0..=1.0).contains(&rate)) {
            return Err("rate is not a number from 0 to 1".into());
        }
        let slow = matches!(kind, K::Latency | K::Cpu | K::SlowStatements);
        let delay = match &self.delay {
            Some(delay) => duration("delay", delay)?,
            None if slow => return Err("delay is missing: say how slow, such as 800ms".into()),
            None => Duration::ZERO,
        };
        let counted = matches!(kind, K::Connections | K::Memory | K::Files);
        match self.amount {
            None | Some(..=0) if counted => Err("amount is missing: say how many".into()),
            None if kind == K::Clock => Err("amount is missing: say by how many seconds".into()),
            _ => Ok((lasting, delay)),
        }
    }
}

fn duration(name: &str, text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{name}: {error}; write it as 500ms or 2s"))
}

/// What is broken at the moment. Its clones share it.
#[derive(Clone, Debug)]
pub struct Faults {
    active: Arc<Mutex<Vec<Active>>>,
    database: Database,
}

#[derive(Debug)]
struct Active {
    kind: Kind,
    how: How,
    delay: Duration,
    until: Instant,
    /// Dropped with the rest, which ends what is held.
    _stop: oneshot::Sender<()>,
}

impl Faults {
    /// Nothing is broken yet.
    #[must_use]
    pub fn none(database: Database) -> Self {
        for kind in Kind::value_variants() {
            FAULT_ACTIVE.set([kind.as_str()], 0.0);
        }
        Self { active: Arc::default(), database }
    }

    /// Breaks something, in place of what was broken in this way before.
    pub fn begin(&self, kind: Kind, how: How) -> Result<(), String> {
        let (lasting, delay) = how.check(kind)?;
        self.end(Some(kind));
        let until = Instant::now() + lasting;
        let (stop, stopped) = oneshot::channel();
        let fault = kind.as_str();
        FAULT_ACTIVE.set([fault], 1.0);
        tracing::warn!(fault, how = json!(how).to_string(), "fault begins");
        if kind == Kind::Crash {
            // The answer and the line above get out first.
            observability::spawn_local(sleep(Duration::from_millis(200)).map(|()| std::process::abort()));
        }
        let hold = hold::hold(kind, how.amount.unwrap_or_default(), self.database.clone());
        self.lock().push(Active { kind, how, delay, until, _stop: stop });
        let faults = self.clone();
        observability::spawn_local(async move {
            tokio::select! {
                () = hold => {}
                () = sleep(lasting) => {}
                _ = stopped => {}
            }
            faults.lock().retain(|active| active.kind != kind || active.until != until);
            if kind == Kind::Telemetry {
                // Else this line would be lost with the others.
                sleep(Duration::from_secs(1)).await;
            }
            let again = faults.lock().iter().any(|active| active.kind == kind);
            FAULT_ACTIVE.set([fault], if again { 1.0 } else { 0.0 });
            tracing::warn!(fault, "fault ends");
        });
        Ok(())
    }

    /// Ends one kind, or all.
    pub fn end(&self, kind: Option<Kind>) {
        self.lock().retain(|active| kind.is_some_and(|kind| active.kind != kind));
    }

    /// What is active, for people.
    #[must_use]
    pub fn list(&self) -> Value {
        let now = Instant::now();
        let show = |active: &Active| {
            let left = active.until.saturating_duration_since(now).as_secs();
            json!({ "fault": active.kind.as_str(), "how": active.how, "seconds_left": left })
        };
        self.lock().iter().map(show).collect()
    }

    /// Seconds by which the reported clock is off.
    pub(crate) fn clock(&self) -> i32 {
        let active = self.lock();
        active.iter().find(|active| active.kind == Kind::Clock).and_then(|active| active.how.amount).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Active>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
