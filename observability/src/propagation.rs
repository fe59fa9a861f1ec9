//! What travels between services: `traceparent`, `tracestate`, `baggage`, `x-request-id`.
//!
//! W3C Trace Context, level 1, parsed by hand: a header that breaks a rule counts as absent.

use opentelemetry::trace::{SpanId, TraceFlags, TraceId};

/// Longest `tracestate` and `baggage` carried on, in bytes. The specification asks for at least 512.
const MAX_STATE: usize = 1024;

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

/// Takes a `tracestate` or `baggage` that is short enough to be carried on.
pub(crate) fn accept_state(header: &str) -> Option<&str> {
    let visible = |byte: u8| matches!(byte, b' '..=b'~');
    ((1..=MAX_STATE).contains(&header.len()) && header.bytes().all(visible)).then_some(header)
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
            if let Some(state) = accept_state(&header) {
                prop_assert!(state.len() <= MAX_STATE && state.is_ascii() && !state.contains(['\r', '\n', '\0']));
            }
        }
    }
}
