//! What users were answered while it was broken, and before and after.

use std::time::{Duration, Instant};

use super::Evidence;
use crate::load::{Answer, HANGS, Sample};

/// Before the fault is noticed, nobody waits longer.
const UNNOTICED: Duration = Duration::from_millis(2_500);
/// From then on, a refusal takes no longer.
const REFUSED: Duration = Duration::from_millis(50);

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
    let slow_or_other = refused.into_iter().filter(|sample| {
        own_time(evidence, sample) >= REFUSED || sample.answer != Answer::Status { code: 503, retry_after: true }
    });
    complain(&mut wrong, evidence, "not refused with 503 and Retry-After in under 50 ms", slow_or_other);
    wrong
}

/// No request hangs, none waits long, and all succeed once the service is ready again.
pub(in crate::drills) fn end(evidence: &Evidence) -> Vec<String> {
    let mut wrong = Vec::new();
    let hanging = evidence.samples.iter().filter(|sample| sample.took >= HANGS);
    complain(&mut wrong, evidence, "left hanging", hanging);
    let slow = between(evidence, Some(evidence.zero), None).filter(|sample| sample.took > UNNOTICED);
    complain(&mut wrong, evidence, "answered only after 2.5 s", slow);
    let late = between(evidence, evidence.recovered, None).filter(|sample| !sample.succeeded());
    complain(&mut wrong, evidence, "refused after readiness was green again", late);
    if between(evidence, evidence.recovered, None).next().is_none() {
        wrong.push("no request was sent after readiness was green again".to_owned());
    }
    wrong
}

/// How long a request took, less the time in which nothing on this machine ran.
fn own_time(evidence: &Evidence, sample: &Sample) -> Duration {
    let stalled = evidence.stalls.iter().map(|stall| stall.within(sample.sent, sample.took)).sum();
    sample.took.saturating_sub(stalled)
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

/// One line about the refusals, for the reader of the timeline.
pub(super) fn describe(evidence: &Evidence) -> String {
    let mut took: Vec<Duration> =
        between(evidence, evidence.detected, Some(evidence.repair)).map(|sample| sample.took).collect();
    took.sort_unstable();
    let median = took.get(took.len() / 2).copied().unwrap_or_default();
    let longest = took.last().copied().unwrap_or_default();
    let stalled = evidence.stalls.iter().filter(|stall| stall.from >= evidence.zero).map(|stall| stall.took).max();
    let waited = between(evidence, Some(evidence.zero), evidence.detected).map(|sample| sample.took).max();
    format!(
        "requests: before detection the longest waited {:.0} ms; after it {} were refused, median {:.1} ms, longest {:.1} ms \
         (longest standstill of the machine itself: {:.0} ms)",
        waited.unwrap_or_default().as_secs_f64() * 1_000.0,
        took.len(),
        median.as_secs_f64() * 1_000.0,
        longest.as_secs_f64() * 1_000.0,
        stalled.unwrap_or_default().as_secs_f64() * 1_000.0,
    )
}
