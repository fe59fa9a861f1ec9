//! The database is gone: killed, or frozen so that it holds its connections and answers nothing.

use std::time::Duration;

use super::{
    injury::{Process, Statements},
    runner::{Back, Evidence, Fault, SERIES, Sign, Surroundings, Teller, Within, requests},
};

/// SIGKILL to every process of the cluster: connections are refused at once.
pub(super) const DOWN: Fault = Fault {
    name: "db_down",
    failure_type: "db_down",
    alert: "DatabaseDown",
    teller: Teller::Alert,
    along: &[],
    injury: &Process::Killed("postgres"),
    shows: SERIES,
    sign: Sign::Readiness,
    back: Back::Postgres,
    surroundings: Surroundings::MEASURED,
    within: Within::Promised(Duration::from_secs(2), Duration::from_secs(30)),
    rollback: false,
    drawn: true,
    needs: &[],
    judge,
};

/// SIGSTOP to every process of the cluster: connections hang.
pub(super) const FROZEN: Fault = Fault {
    name: "db_frozen",
    injury: &Process::Frozen("postgres"),
    within: Within::Promised(Duration::from_secs(5), Duration::from_secs(30)),
    ..DOWN
};

/// The service's role may not log in any more, as after credentials were rotated, and its sessions have ended.
pub(super) const LOGINS_REFUSED: Fault = Fault {
    name: "db_login",
    injury: &Statements {
        what: "the service's password has expired, and its sessions are ended",
        inflict: &[
            "ALTER ROLE orders VALID UNTIL '2000-01-01'",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'orders'",
        ],
        remedy: "the service's password is valid again",
        repair: &["ALTER ROLE orders VALID UNTIL 'infinity'"],
    },
    back: Back::Repaired,
    ..DOWN
};

fn judge(evidence: &Evidence) -> Vec<String> {
    let mut wrong = requests::fail_fast(evidence);
    if !evidence.pulse_lost.is_empty() {
        wrong.push(format!(
            "liveness was not green {} times: the first time {:.3} s after the fault",
            evidence.pulse_lost.len(),
            evidence.pulse_lost.first().copied().unwrap_or_default().as_secs_f64()
        ));
    }
    wrong.extend(requests::no_restart(evidence));
    wrong
}
