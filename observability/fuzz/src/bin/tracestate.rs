//! A `tracestate` goes on only as W3C allows: bounded, each key once, every member sound.
#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use opentelemetry::trace::TraceState;

const PARENT: (&str, &str) = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");

fuzz_target!(|input: &[u8]| {
    let Some(seen) = fuzz::ask("tracestate", &[PARENT], input) else { return };
    let Some(state) = seen.sent_on.get("tracestate") else { return };
    assert!((1..=1024).contains(&state.len()) && state.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{state}");
    let keys: Vec<_> = state.split(',').map(|member| member.split_once('=').expect("a pair").0).collect();
    assert!(keys.len() <= 32 && keys.iter().collect::<HashSet<_>>().len() == keys.len(), "{state}");
    state.parse::<TraceState>().expect("sound");
    let given = String::from_utf8_lossy(input);
    assert!(state.split(',').all(|member| given.contains(member)), "{state} is not of {given}");
});
