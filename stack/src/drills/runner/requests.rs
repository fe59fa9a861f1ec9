//! What users were answered while it was broken, and before and after.

use std::time::{Duration, Instant};

use super::Evidence;
use crate::{
    load::{Answer, HANGS, Sample},
    results::Spread,
};

/// Before the fault is noticed, nobody waits longer.
const UNNOTICED: Duration = Duration::from_millis(2_500);
/// From then on, a refusal takes less,
const REFUSED: Duration = Duration::from_millis(50);
/// but for one in so many: a machine that is busy with other things makes a request wait now and then,
const BUSY: usize = 50;
/// though never this long.
const NEVER: Duration = Duration::from_millis(250);

/// Where a repair takes its time, so many requests at the end must succeed: 2 s of them.
const LAST: usize = 40;

/// From detection on every request is refused with 503 at once; before it none waits long; afterwards all succeed.
pub(in crate::drills) fn fail_fast(evidence: &Evidence) -> Vec<String> {
    let mut wrong = end(evidence);
    let other = between(evidence, Some(evidence.zero), evidence.recovered)
        .filter(|sample| !sample.succeeded() && !matches!(sample.answer, Answer::Status { code: 503, .. }));
    complain(&mut wrong, evidence, "answered with neither success nor 503", other);
    let refused: Vec<&Sample> = between(evidence, evidence.detected, Some(evidence.repair)).collect();
    if refused.is_empty() {
        wrong.push("no request was sent between detection and repair".to_owned());
    }
    let tolerated = refused.len().div_ceil(BUSY);
    let mut slow: Vec<&Sample> = refused.iter().copied().filter(|sample| sample.took >= REFUSED).collect();
    slow.sort_unstable_by_key(|sample| std::cmp::Reverse(sample.took));
    if slow.len() > tolerated || slow.first().is_some_and(|slowest| slowest.took >= NEVER) {
        complain(&mut wrong, evidence, "not refused in under 50 ms", slow.into_iter());
    }
    let other = refused.into_iter().filter(|sample| sample.answer != Answer::Status { code: 503, retry_after: true });
    complain(&mut wrong, evidence, "not refused with 503 and Retry-After", other);
    wrong
}

/// While it lasts, nothing fails but `what`, and that with `code`.
pub(in crate::drills) fn only(what: &str, code: u16, evidence: &Evidence) -> Vec<String> {
    let mut wrong = Vec::new();
    let failed = between(evidence, Some(evidence.zero), None).filter(|sample| !sample.succeeded());
    let (expected, other): (Vec<_>, Vec<_>) = failed.partition(|sample| {
        sample.what == what && matches!(sample.answer, Answer::Status { code: found, .. } if found == code)
    });
    complain(&mut wrong, evidence, "failed, though the fault does not concern them", other.into_iter());
    if expected.is_empty() {
        wrong.push(format!("no {what} was refused with {code}"));
    }
    wrong
}

/// Whatever they met while it lasted: all succeed afterwards, and nothing had to restart.
pub(in crate::drills) fn recover(evidence: &Evidence) -> Vec<String> {
    let mut wrong = afterwards(evidence);
    wrong.extend(no_restart(evidence));
    wrong
}

/// Of a process that was started anew, all are answered as soon as it is ready.
pub(in crate::drills) fn recover_from_restart(evidence: &Evidence) -> Vec<String> {
    afterwards(evidence)
}

/// Who hangs is let go one by one after the repair: in the end all succeed, and nothing had to restart.
pub(in crate::drills) fn recover_in_the_end(evidence: &Evidence) -> Vec<String> {
    let last = evidence.samples.len().saturating_sub(LAST);
    let failed = evidence.samples.iter().skip(last).filter(|sample| !sample.succeeded());
    let mut wrong = Vec::new();
    complain(&mut wrong, evidence, "still refused long after the repair", failed);
    wrong.extend(no_restart(evidence));
    wrong
}

/// The service recovers by itself.
pub(in crate::drills) fn no_restart(evidence: &Evidence) -> Option<String> {
    let restarted = evidence.started_before != evidence.started_after;
    restarted.then(|| "the service restarted; it should have recovered by itself".to_owned())
}

/// No request hangs, none waits long, and all succeed once the service is ready again.
pub(in crate::drills) fn end(evidence: &Evidence) -> Vec<String> {
    let mut wrong = Vec::new();
    let hanging = evidence.samples.iter().filter(|sample| sample.took >= HANGS);
    complain(&mut wrong, evidence, "left hanging", hanging);
    let slow = between(evidence, Some(evidence.zero), None).filter(|sample| sample.took > UNNOTICED);
    complain(&mut wrong, evidence, "answered only after 2.5 s", slow);
    wrong.extend(afterwards(evidence));
    wrong
}

/// All succeed once the service is ready again.
fn afterwards(evidence: &Evidence) -> Vec<String> {
    let mut wrong = Vec::new();
    let late = between(evidence, evidence.recovered, None).filter(|sample| !sample.succeeded());
    complain(&mut wrong, evidence, "refused after readiness was green again", late);
    if between(evidence, evidence.recovered, None).next().is_none() {
        wrong.push("no request was sent after readiness was green again".to_owned());
    }
    wrong
}

/// Those sent from `from` on, before `to`.
fn between(evidence: &Evidence, from: Option<Instant>, to: Option<Instant>) -> impl Iterator<Item = &Sample> {
    evidence
        .samples
        .iter()
        .filter(move |sample| from.is_some_and(|from| sample.sent >= from) && to.is_none_or(|to| sample.sent < to))
}

fn complain<'a>(
    wrong: &mut Vec<String>,
    evidence: &Evidence,
    what: &str,
    mut offenders: impl Iterator<Item = &'a Sample>,
) {
    let Some(first) = offenders.next() else { return };
    let offset = first.sent.saturating_duration_since(evidence.zero).as_secs_f64();
    let took = first.took.as_secs_f64() * 1_000.0;
    wrong.push(format!(
        "{} requests were {what}; the first: {} sent at +{offset:.3} s ended after {took:.0} ms with {:?}",
        offenders.count() + 1,
        first.what,
        first.answer,
    ));
}

/// How long those took that were sent between detection and repair.
pub(super) fn refused_ms(evidence: &Evidence) -> Option<Spread> {
    Spread::of(between(evidence, evidence.detected, Some(evidence.repair)).map(|sample| millis(sample.took)))
}

/// One line about it, for the reader of the timeline.
pub(super) fn describe(evidence: &Evidence) -> String {
    let refused = between(evidence, evidence.detected, Some(evidence.repair)).count();
    let waited = between(evidence, Some(evidence.zero), evidence.detected).map(|sample| sample.took).max();
    let (p50, max) = refused_ms(evidence).map_or((0.0, 0.0), |spread| (spread.p50, spread.max));
    format!(
        "requests: before detection the longest waited {:.0} ms; after it {refused} were refused, median {p50:.1} ms, longest {max:.1} ms",
        millis(waited.unwrap_or_default()),
    )
}

/// Rounded to what can be measured.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}
