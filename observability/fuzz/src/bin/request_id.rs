//! An `x-request-id` is said back when it can stand in a line; else the trace id takes its place.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some(seen) = fuzz::ask("x-request-id", &[], input) else { return };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let sound = (1..=64).contains(&input.len()) && input.iter().all(|byte| plain(*byte));
    assert_eq!(seen.sent_on["x-request-id"], seen.request_id);
    if sound {
        assert_eq!(seen.request_id.as_bytes(), input);
    } else {
        assert!(fuzz::is_id(&seen.request_id, 32), "{}", seen.request_id);
        assert!(seen.sent_on["traceparent"].contains(&seen.request_id));
    }
});
