//! When to try again. Pure, but for the dice.
use std::time::Duration;

/// The second and third try: a hiccup is over within seconds, and somebody waits for the message.
const FIRST: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];
const BASE: Duration = Duration::from_secs(4);
const CAP: Duration = Duration::from_mins(1);
/// Full jitter may come out as nothing, and a loop must not spin.
const FLOOR: Duration = Duration::from_millis(250);
/// A server that asks for more than this is mistaken.
const LONGEST_ASKED: Duration = Duration::from_hours(1);

/// The pause after the `attempts`th failed attempt. What the server asked for wins.
pub(crate) fn pause(attempts: u32, asked: Option<Duration>) -> Duration {
    if let Some(asked) = asked {
        return asked.min(LONGEST_ASKED).max(FLOOR);
    }
    let nth = usize::try_from(attempts).unwrap_or(usize::MAX);
    FIRST.get(nth.saturating_sub(1)).copied().unwrap_or_else(|| ceiling(attempts).mul_f64(fastrand::f64()).max(FLOOR))
}

/// The pause after a refusal that only a person can mend, such as a revoked address.
pub(crate) const fn long_pause() -> Duration {
    CAP
}

/// The most that full jitter may choose: doubling from the fourth try on.
fn ceiling(attempts: u32) -> Duration {
    BASE.saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(3))).min(CAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_three_tries_fall_within_five_seconds() {
        assert!(pause(1, None) + pause(2, None) < Duration::from_secs(5));
    }

    #[test]
    fn later_pauses_grow_with_jitter_up_to_a_minute() {
        for attempts in 3..100 {
            let pause = pause(attempts, None);
            assert!((FLOOR..=CAP).contains(&pause), "{attempts}: {pause:?}");
        }
        assert_eq!((ceiling(3), ceiling(5), ceiling(40)), (Duration::from_secs(4), Duration::from_secs(16), CAP));
    }

    #[test]
    fn what_the_server_asks_for_wins_within_reason() {
        assert_eq!(pause(1, Some(Duration::from_secs(90))), Duration::from_secs(90));
        assert_eq!(pause(1, Some(Duration::from_secs(999_999))), LONGEST_ASKED);
        assert_eq!(pause(9, Some(Duration::ZERO)), FLOOR);
    }
}
