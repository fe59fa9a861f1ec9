//! Every instance of the service is gone.

use std::time::Duration;

use super::runner::{Back, Evidence, Fault, Injury, requests};

/// SIGKILL; nothing restarts it until the repair.
pub(super) const DOWN: Fault = Fault {
    name: "service_down",
    failure_type: "service_down",
    alert: "ServiceDown",
    component: "service",
    injury: Injury::Kill,
    back: Back::Service,
    chat_within: Duration::from_secs(8),
    judge,
};

fn judge(evidence: &Evidence) -> Vec<String> {
    let mut wrong = requests::end(evidence);
    if evidence.started_before == evidence.started_after {
        wrong.push("the service is the same process as before: it was never down".to_owned());
    }
    wrong
}
