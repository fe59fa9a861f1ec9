//! Incidents: what belongs together, when one opens and when it is over. Pure.
use sqlx::FromRow;

use crate::alertmanager::{Alert, Pairs, Status};

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
}

impl Incident {
    pub(crate) fn state(&self) -> State {
        if self.resolved_at.is_none() { State::Open } else { State::Resolved }
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
    Resolved,
}

impl State {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Resolved => "resolved",
        }
    }
}

/// What a channel is told about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transition {
    Firing,
    Resolved,
}

impl Transition {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
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

/// What is known of an episode: one alert (its fingerprint) since one moment (its `startsAt`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Episode {
    Unknown,
    Firing,
    /// Its end was news a moment ago.
    JustOver,
    LongOver,
}

/// A notification that its own end has overtaken arrives within this time, if at all.
const OVERTAKEN: i64 = 15_000;

impl Episode {
    /// `heard`: how long ago its beginning or its end was news.
    pub(crate) const fn known(ended: bool, heard: i64) -> Self {
        match (ended, heard > OVERTAKEN) {
            (false, _) => Self::Firing,
            (true, false) => Self::JustOver,
            (true, true) => Self::LongOver,
        }
    }
}

/// What to do about an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A repeat, or a notification that was overtaken by a later one.
    Nothing,
    /// It opens an incident, and people are told.
    Open,
    /// It belongs to the incident that is open already.
    Join,
    /// It is over; with the last one of its incident, the incident is, too.
    End,
    /// It came and went without our hearing of it: told once, as a whole.
    TellAfterwards,
}

/// Decides. `open` says whether an incident of the same identity is open.
pub(crate) const fn step(status: Status, episode: Episode, open: bool) -> Step {
    match (status, episode, open) {
        // An alert that fires on, long after its end was reported, had not ended: Prometheus had been out of reach, and
        // Alertmanager took its silence for an end.
        (Status::Firing, Episode::Unknown | Episode::LongOver, false) => Step::Open,
        (Status::Firing, Episode::Unknown | Episode::LongOver, true) | (Status::Resolved, Episode::Unknown, true) => {
            Step::Join
        }
        (Status::Resolved, Episode::Unknown, false) => Step::TellAfterwards,
        (Status::Resolved, Episode::Firing, _) => Step::End,
        (Status::Firing, Episode::Firing | Episode::JustOver, _)
        | (Status::Resolved, Episode::JustOver | Episode::LongOver, _) => Step::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_has_its_step() {
        use Episode::{JustOver, LongOver, Unknown};
        use Status::{Firing, Resolved};
        let cases = [
            (Firing, Unknown, false, Step::Open),
            (Firing, Unknown, true, Step::Join),
            (Firing, Episode::Firing, true, Step::Nothing),
            (Firing, JustOver, false, Step::Nothing),
            (Firing, LongOver, false, Step::Open),
            (Firing, LongOver, true, Step::Join),
            (Resolved, Episode::Firing, true, Step::End),
            (Resolved, JustOver, false, Step::Nothing),
            (Resolved, LongOver, false, Step::Nothing),
            (Resolved, Unknown, true, Step::Join),
            (Resolved, Unknown, false, Step::TellAfterwards),
        ];
        for (status, episode, open, expected) in cases {
            assert_eq!(step(status, episode, open), expected, "{status:?} {episode:?} {open}");
        }
    }

    #[test]
    fn codes_are_short_and_hard_to_misread() {
        for _ in 0..1000 {
            let code = code();
            assert_eq!(code.len(), 4);
            assert!(!code.contains(['0', 'O', '1', 'I', 'L', 'A', 'E', 'U', 'Y']), "{code}");
        }
    }
}
