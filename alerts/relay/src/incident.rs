//! Incidents: what belongs together, when one opens and when it is over. Pure.
use sqlx::FromRow;

use crate::alertmanager::{Alert, Pairs};

/// No vowels (no words), and nothing that is mistaken for something else when read aloud or from a phone.
const CODE_ALPHABET: &[u8] = b"23456789BCDFGHJKMNPQRSTVWXZ";
const CODE_LENGTH: usize = 4;

/// Alerts of this tier are a second observer's view: they stand in the inbox and page nobody by themselves.
pub(crate) const CONTEXT: &str = "context";

/// Something that is or was broken, as the store keeps it.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct Incident {
    pub(crate) id: i64,
    pub(crate) code: String,
    pub(crate) alertname: String,
    pub(crate) failure_type: String,
    pub(crate) service: String,
    pub(crate) env: String,
    pub(crate) severity: String,
    pub(crate) summary: String,
    pub(crate) impact: String,
    pub(crate) description: String,
    pub(crate) expression: String,
    pub(crate) labels: String,
    pub(crate) started_at: i64,
    pub(crate) received_at: i64,
    pub(crate) resolved_at: Option<i64>,
    pub(crate) resolved_received_at: Option<i64>,
    /// What to ask Loki for.
    pub(crate) query: String,
    /// The panel that shows it, as the alert says.
    pub(crate) dashboard: String,
    /// When the present chain of escalation began, and how many of its steps were made.
    pub(crate) chain_from: i64,
    pub(crate) steps: u32,
    pub(crate) acked_at: Option<i64>,
    pub(crate) acked_by: String,
    pub(crate) reopened_at: Option<i64>,
    pub(crate) flapping_since: Option<i64>,
    pub(crate) summary_at: Option<i64>,
    /// Since when none of its alerts fires, while it is flapping.
    pub(crate) quiet_since: Option<i64>,
    pub(crate) lost_at: Option<i64>,
}

impl Incident {
    pub(crate) const fn state(&self) -> State {
        match self {
            Self { resolved_at: Some(_), .. } => State::Resolved,
            Self { lost_at: Some(_), .. } => State::LostSight,
            Self { flapping_since: Some(_), .. } => State::Flapping,
            Self { acked_at: Some(_), .. } => State::Acknowledged,
            _ => State::Open,
        }
    }

    /// What its labels say, for the policy.
    pub(crate) fn labels(&self) -> Pairs {
        serde_json::from_str(&self.labels).unwrap_or_default()
    }

    /// What to call it when the alert brought no summary.
    pub(crate) fn title(&self) -> &str {
        [&self.summary, &self.alertname]
            .into_iter()
            .map(|text| text.trim())
            .find(|text| !text.is_empty())
            .unwrap_or("An alert without a name")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    Acknowledged,
    Flapping,
    LostSight,
    Resolved,
}

impl State {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Flapping => "flapping",
            Self::LostSight => "lost_sight",
            Self::Resolved => "resolved",
        }
    }
}

/// What a channel is told. The store keeps these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(rename_all = "snake_case")]
pub(crate) enum Subject {
    /// It is broken.
    Firing,
    /// Nobody has taken it in time.
    Escalated,
    /// It comes and goes, and will be told less often.
    Flapping,
    /// It still comes and goes.
    Summary,
    /// Somebody has it.
    Acknowledged,
    /// Monitoring cannot see it any more, which is not its end.
    LostSight,
    /// It works again.
    Resolved,
    /// It was broken and works again, and the chat has not heard of either.
    Outage,
    /// Many messages in one.
    Digest,
    /// Nothing is broken: somebody tries the channel.
    Test,
}

impl Subject {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Escalated => "escalated",
            Self::Flapping => "flapping",
            Self::Summary => "summary",
            Self::Acknowledged => "acknowledged",
            Self::LostSight => "lost_sight",
            Self::Resolved => "resolved",
            Self::Outage => "outage",
            Self::Digest => "digest",
            Self::Test => "test",
        }
    }
}

/// What becomes of an incident whose fault returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Return {
    /// It has been over for long: a new one.
    New,
    Reopened,
    /// Again and again.
    Flapping,
}

/// A fault that returns this soon is the same incident; returning twice within the longer time is flapping.
pub(crate) const REOPENS: i64 = 10 * 60_000;
const FLAPS: i64 = 30 * 60_000;
/// How often people hear of what is flapping, and how long it has to be quiet to be over.
const SUMMARY: i64 = 10 * 60_000;
pub(crate) const CALM: i64 = 10 * 60_000;
/// After this much quiet a summary has nothing to say.
const QUIET: i64 = 3 * 60_000;
/// An acknowledgement is good for this long.
pub(crate) const TAKEN_FOR: i64 = 60 * 60_000;

pub(crate) fn comes_back(now: i64, resolved: Option<i64>, reopened: Option<i64>) -> Return {
    match (resolved, reopened) {
        (Some(resolved), Some(reopened)) if now - resolved <= REOPENS && now - reopened <= FLAPS => Return::Flapping,
        (Some(resolved), _) if now - resolved <= REOPENS => Return::Reopened,
        _ => Return::New,
    }
}

impl Incident {
    /// Whether a flapping incident has been quiet for long enough to be over.
    pub(crate) fn calm(&self, now: i64) -> bool {
        self.flapping_since.is_some() && self.quiet_since.is_some_and(|since| now - since >= CALM)
    }

    /// Whether it is time to say that it goes on.
    pub(crate) fn summary_due(&self, now: i64) -> bool {
        let last = self.summary_at.or(self.flapping_since);
        last.is_some_and(|last| now - last >= SUMMARY) && self.quiet_since.is_none_or(|since| now - since < QUIET)
    }

    pub(crate) fn ack_expired(&self, now: i64) -> bool {
        self.acked_at.is_some_and(|at| now - at >= TAKEN_FOR)
    }
}

/// Alerts with the same identity are one incident: several instances, several observers in a row.
/// Group labels tell alerts apart that have no name, service or environment of their own.
pub(crate) fn identity(alert: &Alert, group: &Pairs) -> String {
    let own = ["alertname", "service", "env"].map(|name| alert.label(name));
    if own.iter().any(|value| value.is_empty()) { format!("{own:?} {group:?}") } else { format!("{own:?}") }
}

/// A new code, such as `K7QF`. The store keeps it unique.
pub(crate) fn code() -> String {
    std::iter::repeat_with(|| fastrand::choice(CODE_ALPHABET))
        .flatten()
        .take(CODE_LENGTH)
        .copied()
        .map(char::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_short_and_hard_to_misread() {
        for _ in 0..1000 {
            let code = code();
            assert_eq!(code.len(), 4);
            assert!(!code.contains(['0', 'O', '1', 'I', 'L', 'A', 'E', 'U', 'Y']), "{code}");
        }
    }
}
