//! Episodes: what a notification about an alert means, given what is known of it. Pure.
use crate::alertmanager::Status;

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
}
