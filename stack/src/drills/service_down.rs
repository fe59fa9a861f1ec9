//! Every instance of the service is gone.

use std::time::Duration;

use super::{
    injury::Process,
    runner::{Back, Evidence, Fault, SERIES, Sign, Surroundings, Teller, Within, requests},
};

/// SIGKILL; nothing restarts it until the repair.
pub(super) const DOWN: Fault = Fault {
    name: "service_down",
    failure_type: "service_down",
    alert: "ServiceDown",
    teller: Teller::Alert,
    along: &[],
    injury: &Process::Killed("service"),
    shows: SERIES,
    sign: Sign::Readiness,
    back: Back::Service,
    surroundings: Surroundings::MEASURED,
    within: Within::Promised(Duration::from_secs(8), Duration::from_secs(30)),
    rollback: false,
    drawn: true,
    needs: &[],
    judge,
};

fn judge(evidence: &Evidence) -> Vec<String> {
    let mut wrong = requests::end(evidence);
    if evidence.started_before == evidence.started_after {
        wrong.push("the service is the same process as before: it was never down".to_owned());
    }
    wrong
}
