//! Rules whose windows are divided by one factor, so that a drill need not last minutes.
//!
//! Ranges, offsets, `for` and `keep_firing_for` shrink; expressions, thresholds, lanes and inhibition stay as they are.

use std::sync::LazyLock;

use anyhow::anyhow;
use regex::{Captures, Regex};

/// A range holds three scrapes of what is scraped every 5 s, one of which may be missed.
const SHORTEST_RANGE: u64 = 15;
/// What is evaluated every 5 s has to be seen twice.
const SHORTEST_FOR: u64 = 5;

static WINDOWS: LazyLock<Result<[(Regex, u64); 2], regex::Error>> = LazyLock::new(|| {
    Ok([
        (Regex::new(r"(\[|\boffset )(\d+)([smhd])\b")?, SHORTEST_RANGE),
        (Regex::new(r"(?m)^(\s*(?:for|keep_firing_for): )(\d+)([smhd])\b")?, SHORTEST_FOR),
    ])
});

/// `rules` with windows divided by `factor`, but none made shorter than what it takes to see anything.
pub(crate) fn rules(rules: &str, factor: u64) -> anyhow::Result<String> {
    let windows = WINDOWS.as_ref().map_err(|error| anyhow!("{error}"))?;
    let mut text = rules.to_owned();
    for (window, shortest) in windows {
        let shorter = window.replace_all(&text, |found: &Captures<'_>| {
            let (_, [before, number, unit]) = found.extract();
            format!("{before}{}s", seconds(duration(number, unit), factor, *shortest))
        });
        text = shorter.into_owned();
    }
    Ok(text)
}

/// A range of so many seconds.
pub(crate) const fn range(long: u64, factor: u64) -> u64 {
    seconds(long, factor, SHORTEST_RANGE)
}

/// A `for` or `keep_firing_for` of so many seconds.
pub(crate) const fn lasting(long: u64, factor: u64) -> u64 {
    seconds(long, factor, SHORTEST_FOR)
}

const fn seconds(long: u64, factor: u64, shortest: u64) -> u64 {
    let short = long.div_ceil(factor);
    match (short < shortest, long < shortest) {
        (false, _) => short,
        (true, false) => shortest,
        (true, true) => long,
    }
}

fn duration(number: &str, unit: &str) -> u64 {
    let unit = match unit {
        "d" => 86_400,
        "h" => 3_600,
        "m" => 60,
        _ => 1,
    };
    number.parse().unwrap_or(0) * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = "
      - alert: X
        expr: |
          sum(rate(a_total[5m])) * 120 > 0.005 and avg_over_time(b[1h] offset 10m) > 300
          or abs(c - timestamp(c))[15s:1s] > 2
        for: 2m
        keep_firing_for: 15s
        annotations:
          query: '{service=\"orders\"} | level = \"ERROR\"'
          description: for 2m more than 5m
";

    #[test]
    fn windows_shrink_and_everything_else_stays() {
        let shortened = rules(RULE, 10).unwrap();

        let expected = RULE
            .replace("[5m]", "[30s]")
            .replace("[1h] offset 10m", "[360s] offset 60s")
            .replace(" for: 2m", " for: 12s")
            .replace("keep_firing_for: 15s", "keep_firing_for: 5s");
        assert_eq!(shortened, expected);
    }

    #[test]
    fn a_factor_of_one_changes_no_length() {
        let shortened = rules("expr: rate(a[5m])\n  for: 30s\n", 1).unwrap();

        assert_eq!(shortened, "expr: rate(a[300s])\n  for: 30s\n");
    }

    #[test]
    fn no_window_becomes_too_short_to_see_anything() {
        assert_eq!((range(60, 10), range(15, 10), range(5, 10)), (15, 15, 5));
        assert_eq!((lasting(15, 10), lasting(120, 10), lasting(0, 10)), (5, 12, 0));
    }
}
