//! Times as the store keeps them (Unix milliseconds, UTC) and as people read them.
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

pub(crate) fn now() -> i64 {
    Utc::now().timestamp_millis()
}

/// `2026-11-20 14:02:11 UTC`
pub(crate) fn stamp(millis: i64) -> String {
    format!("{} UTC", date(millis).format("%Y-%m-%d %H:%M:%S"))
}

/// `14:02:11`
pub(crate) fn clock(millis: i64) -> String {
    date(millis).format("%H:%M:%S").to_string()
}

/// `2026-11-20T14:02:11.000Z`
pub(crate) fn rfc3339(millis: i64) -> String {
    date(millis).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// `3 min 29 s`: the two largest units, which is what one says aloud.
pub(crate) fn spoken(millis: i64) -> String {
    let seconds = millis.max(0) / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes} min"),
        (days, hours, _, _) => format!("{days} d {hours} h"),
    }
}

/// How long until `millis`; zero when it has passed.
pub(crate) fn until(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis.saturating_sub(now())).unwrap_or(0))
}

/// A duration in the store's unit.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Seconds for a metric.
pub(crate) fn seconds(millis: i64) -> f64 {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0)).as_secs_f64()
}

/// From a time of Prometheus.
pub(crate) fn from_seconds(seconds: f64) -> i64 {
    Duration::try_from_secs_f64(seconds).map_or(0, millis)
}

fn date(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(millis).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_said_in_its_two_largest_units() {
        let spoken: Vec<String> = [900, 59_000, 209_000, 7_260_000, 180_000_000].map(spoken).into();
        assert_eq!(spoken, ["0 s", "59 s", "3 min 29 s", "2 h 1 min", "2 d 2 h"]);
    }
}
