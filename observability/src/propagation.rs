//! What travels between services: `traceparent`, `tracestate`, `baggage`, `x-request-id`.
//!
//! W3C Trace Context, level 1, parsed by hand: a header that breaks a rule counts as absent.

use std::collections::BTreeSet;

use opentelemetry::trace::{SpanId, TraceFlags, TraceId, TraceState};

/// Longest `tracestate` carried on, in bytes. The specification asks for at least 512.
const MAX_STATE: usize = 1024;
/// Most members of a `tracestate`: with more, all of it counts as absent.
const MAX_MEMBERS: usize = 32;
/// Members longer than this go first when a `tracestate` is too long.
const LONG_MEMBER: usize = 128;
/// Longest `baggage` carried on, in bytes. W3C Baggage asks for as much.
const MAX_BAGGAGE: usize = 8192;

/// The caller's position in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parent {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) sampled: bool,
}

/// Reads `version-traceid-spanid-flags`. A later version may have more fields, version 00 may not.
pub(crate) fn parse_traceparent(header: &str) -> Option<Parent> {
    let mut parts = header.trim_matches([' ', '\t']).splitn(5, '-');
    let version = hex(parts.next()?, 2)?;
    let trace_id = TraceId::from_hex(hex(parts.next()?, 32)?).ok()?;
    let span_id = SpanId::from_hex(hex(parts.next()?, 16)?).ok()?;
    let flags = u8::from_str_radix(hex(parts.next()?, 2)?, 16).ok()?;
    let more = parts.next().is_some();
    let allowed = match version {
        "ff" => false,
        "00" => !more,
        _ => true,
    };
    (allowed && trace_id != TraceId::INVALID && span_id != SpanId::INVALID).then_some(Parent {
        trace_id,
        span_id,
        sampled: TraceFlags::new(flags).is_sampled(),
    })
}

/// Lower-case hexadecimal digits only, as the specification demands.
fn hex(part: &str, length: usize) -> Option<&str> {
    let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (part.len() == length && part.bytes().all(lower)).then_some(part)
}

/// Takes a caller's request id when it is 1 to 64 of `[A-Za-z0-9._-]`: it will stand in log lines.
pub(crate) fn accept_request_id(header: &str) -> Option<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    ((1..=64).contains(&header.len()) && header.bytes().all(plain)).then_some(header)
}

/// Takes a `tracestate`, or what may be carried on of a long one. One malformed member spoils all.
pub(crate) fn accept_tracestate(header: &str) -> Option<String> {
    let members = header.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty());
    let members: Vec<_> = members.collect();
    let pairs = members.iter().filter_map(|member| member.split_once('='));
    let keys: BTreeSet<_> =
        pairs.filter(|(key, value)| !key.is_empty() && !value.is_empty()).map(|(key, _)| key).collect();
    let each_once = keys.len() == members.len();
    // Without the empty members: the parser stops at the 32nd, whatever it is.
    let parses = || members.join(",").parse::<TraceState>().is_ok();
    let sound = each_once && members.iter().all(|member| is_visible(member)) && parses();
    ((1..=MAX_MEMBERS).contains(&members.len()) && sound).then(|| shortened(members))
}

/// As the specification has it: without the longest members, then without the oldest, which stand last.
fn shortened(mut members: Vec<&str>) -> String {
    while members.iter().map(|member| member.len() + 1).sum::<usize>() > MAX_STATE + 1 {
        let long = members.iter().rposition(|member| member.len() > LONG_MEMBER);
        members.remove(long.unwrap_or(members.len() - 1));
    }
    members.join(",")
}

/// Whether a `baggage` can be carried on.
pub(crate) fn accepts_baggage(header: &str) -> bool {
    (1..=MAX_BAGGAGE).contains(&header.len()) && is_visible(header)
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_well_formed_parent_is_taken() {
        let parent = parse_traceparent(&format!("00-{TRACE}-{SPAN}-01")).unwrap();
        assert_eq!(parent.trace_id.to_string(), TRACE);
        assert_eq!(parent.span_id.to_string(), SPAN);
        assert!(parent.sampled);
        assert!(!parse_traceparent(&format!("00-{TRACE}-{SPAN}-02")).unwrap().sampled);
    }

    #[test]
    fn a_later_version_may_have_more_fields() {
        assert!(parse_traceparent(&format!("01-{TRACE}-{SPAN}-01-more")).is_some());
    }

    #[test]
    fn a_malformed_parent_counts_as_absent() {
        let zeros = "0".repeat(32);
        let upper = TRACE.to_uppercase();
        for header in [
            String::new(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{upper}-{SPAN}-01"),
            format!("00-{TRACE}{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-01"),
        ] {
            assert_eq!(parse_traceparent(&header), None, "{header}");
        }
    }

    #[test]
    fn a_request_id_that_could_break_a_line_is_refused() {
        assert_eq!(accept_request_id("8060f58b"), Some("8060f58b"));
        for id in ["", "a\"b", "a b", "a\n", &"a".repeat(65)] {
            assert_eq!(accept_request_id(id), None, "{id:?}");
        }
    }

    #[test]
    fn a_tracestate_is_carried_on_as_the_specification_says() {
        let members = |count| (0..count).map(|at| format!("k{at}=v")).collect::<Vec<_>>().join(",");
        for sound in ["vendor=1", "a=1,b=2", "tenant@system=x/y", "a= 1", &members(32)] {
            assert_eq!(accept_tracestate(sound).as_deref(), Some(sound), "{sound}");
        }
        assert_eq!(accept_tracestate("a=1 ,\t, b=2,").as_deref(), Some("a=1,b=2"));
        let late = format!("{}a=1=2", ",".repeat(40));
        for malformed in
            [late.as_str(), "", ",", "a", "a=", "=1", "A=1", "a=1,a=2", "a=1,b", "a=\u{7f}", "a=1=2", &members(33)]
        {
            assert_eq!(accept_tracestate(malformed), None, "{malformed:?}");
        }
    }

    #[test]
    fn a_long_tracestate_loses_its_longest_members_first_and_then_its_oldest() {
        let (long, middling) = ("x".repeat(200), "y".repeat(100));
        let state = |keys: &[&str], value: &str| keys.iter().map(|key| format!("{key}={value}")).collect::<Vec<_>>();
        let kept = state(&["a", "b", "c", "d", "e", "f", "g", "h", "i"], &middling);
        let mut all = kept.clone();
        all.insert(1, format!("long={long}"));
        all.extend(state(&["j", "k"], &middling));
        assert_eq!(accept_tracestate(&all.join(",")), Some(kept.join(",")));
    }

    /// Sound headers, nearly sound ones, and noise.
    fn traceparents() -> impl Strategy<Value = String> {
        prop_oneof![
            "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}",
            "(00|01|ff)-[0-9a-fA-F]{31,33}-[0-9a-f]{15,17}-[0-9a-g]{1,3}(-.{0,9})?",
            ".{0,200}",
        ]
    }

    proptest! {
        #[test]
        fn what_is_taken_of_a_header_is_what_it_says(header in traceparents()) {
            if let Some(parent) = parse_traceparent(&header) {
                let ids = format!("-{}-{}-", parent.trace_id, parent.span_id);
                prop_assert_eq!(header.trim().get(2..53), Some(ids.as_str()));
                prop_assert!(!header.starts_with("ff"));
            }
        }

        #[test]
        fn what_is_taken_of_other_headers_can_stand_in_a_line_and_in_a_header(header in ".{0,1200}") {
            if let Some(id) = accept_request_id(&header) {
                prop_assert!((1..=64).contains(&id.len()) && !id.contains(['"', '\\', ' ', '\n']));
            }
            if accepts_baggage(&header) {
                prop_assert!(header.len() <= 8192 && header.is_ascii() && !header.contains(['\r', '\n', '\0']));
            }
            if let Some(state) = accept_tracestate(&header) {
                prop_assert!(state.len() <= MAX_STATE && is_visible(&state));
            }
        }
    }
}
