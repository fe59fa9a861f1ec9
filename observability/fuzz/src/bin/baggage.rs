//! `baggage` goes on as it came, or not at all.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some(seen) = fuzz::ask("baggage", &[], input) else { return };
    let Some(baggage) = seen.sent_on.get("baggage") else { return };
    assert!((1..=8192).contains(&baggage.len()) && baggage.bytes().all(|byte| matches!(byte, b' '..=b'~')));
    let given = std::str::from_utf8(input).expect("text");
    assert_eq!(baggage, &given.replace('\n', ","));
});
