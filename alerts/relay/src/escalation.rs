//! Escalation: a policy and a clock in, steps out. Pure.
use std::collections::BTreeSet;

use crate::policy::Route;

/// The steps that are due: made as one, however many a restart has left over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// How many steps are made with these.
    pub(crate) steps: u32,
    pub(crate) channels: BTreeSet<&'static str>,
}

/// What is due at `now` in a chain that began at `from`, of which `made` steps were made.
pub(crate) fn due(route: &Route, from: i64, made: u32, now: i64) -> Option<Due> {
    let is_due = |step: &u32| after(route, *step).is_some_and(|after| from.saturating_add(after) <= now);
    let steps: Vec<u32> = (made..u32::MAX).take_while(is_due).collect();
    let last = steps.last()?;
    let channels = steps.iter().flat_map(|step| channels(route, *step).iter().copied()).collect();
    Some(Due { steps: last + 1, channels })
}

/// How long after the beginning a step is due; the steps after the levels repeat the last one.
fn after(route: &Route, step: u32) -> Option<i64> {
    if let Some(level) = route.levels.get(index(step)) {
        return Some(level.after);
    }
    let nth = step.saturating_sub(u32::try_from(route.levels.len()).unwrap_or(u32::MAX)) + 1;
    let again = route.repeat > 0 && nth <= route.repeats;
    route.levels.last().filter(|_| again).map(|last| last.after + route.repeat * i64::from(nth))
}

fn channels(route: &Route, step: u32) -> &[&'static str] {
    route.levels.get(index(step)).or(route.levels.last()).map_or(&[], |level| &level.channels)
}

fn index(step: u32) -> usize {
    usize::try_from(step).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Level;

    const MINUTE: i64 = 60_000;

    fn route() -> Route {
        let level = |minutes, channel| Level { after: minutes * MINUTE, channels: vec![channel] };
        let levels = vec![level(0, "slack"), level(5, "ntfy"), level(15, "phone")];
        Route { levels, repeat: 30 * MINUTE, repeats: 2, ..Route::default() }
    }

    #[test]
    fn without_an_acknowledgement_every_level_and_two_repeats_are_due_in_time() {
        let mut made = 1;
        let mut told = Vec::new();
        for minute in 0..300 {
            if let Some(due) = due(&route(), 0, made, minute * MINUTE) {
                told.push((minute, due.channels.into_iter().collect::<Vec<_>>().join(",")));
                made = due.steps;
            }
        }
        let expected = [(5, "ntfy"), (15, "phone"), (45, "phone"), (75, "phone")];
        assert_eq!(told, expected.map(|(minute, channel)| (minute, channel.to_owned())));
    }

    #[test]
    fn steps_that_a_restart_has_left_over_are_made_once() {
        let due = due(&route(), 0, 1, 200 * MINUTE).unwrap();
        assert_eq!(due, Due { steps: 5, channels: ["ntfy", "phone"].into() });
    }

    #[test]
    fn a_route_without_levels_or_repeats_has_an_end() {
        assert_eq!(due(&Route::default(), 0, 0, i64::MAX), None);
        let once = Route { levels: vec![Level { after: 0, channels: vec!["slack"] }], ..Route::default() };
        assert_eq!(due(&once, 0, 1, i64::MAX), None);
    }
}
