//! The database is gone: killed, or frozen so that it holds its connections and answers nothing.

use std::time::Duration;

use super::runner::{Back, Evidence, Fault, Injury, requests};

/// SIGKILL to every process of the cluster: connections are refused at once.
pub(super) const DOWN: Fault = Fault {
    name: "db_down",
    failure_type: "db_down",
    alert: "DatabaseDown",
    component: "postgres",
    injury: Injury::Kill,
    back: Back::Postgres,
    chat_within: Duration::from_secs(2),
    judge,
};

/// SIGSTOP to every process of the cluster: connections hang.
pub(super) const FROZEN: Fault =
    Fault { name: "db_frozen", injury: Injury::Freeze, chat_within: Duration::from_secs(5), ..DOWN };

fn judge(evidence: &Evidence) -> Vec<String> {
    let mut wrong = requests::fail_fast(evidence);
    if !evidence.pulse_lost.is_empty() {
        wrong.push(format!(
            "liveness was not green {} times: the first time {:.3} s after the fault",
            evidence.pulse_lost.len(),
            evidence.pulse_lost.first().copied().unwrap_or_default().as_secs_f64()
        ));
    }
    if evidence.started_before != evidence.started_after {
        wrong.push("the service restarted; it should have recovered by itself".to_owned());
    }
    wrong
}
