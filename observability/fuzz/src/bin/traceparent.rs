//! A `traceparent` is adopted when W3C says it is sound, and replaced otherwise; what goes on is always sound.
#![no_main]

use libfuzzer_sys::fuzz_target;

/// The trace id of a sound header, read by offsets: another way than the library's.
fn sound(header: &str) -> Option<&str> {
    let header = header.trim_matches([' ', '\t']);
    let part = |range| header.get(range);
    let dashes = [2, 35, 52].iter().all(|at| header.as_bytes().get(*at) == Some(&b'-'));
    let (version, trace, span, flags) = (part(0..2)?, part(3..35)?, part(36..52)?, part(53..55)?);
    let hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let end = match version {
        "00" => header.len() == 55,
        _ => header.len() == 55 || header.as_bytes().get(55) == Some(&b'-'),
    };
    let ids = fuzz::is_id(trace, 32) && fuzz::is_id(span, 16);
    (dashes && ids && hex(version) && version != "ff" && hex(flags) && end).then_some(trace)
}

fuzz_target!(|input: &[u8]| {
    let Some(seen) = fuzz::ask("traceparent", &[], input) else { return };
    let sent = &seen.sent_on["traceparent"];
    let parts: Vec<_> = sent.split('-').collect();
    assert!(parts.len() == 4 && parts[0] == "00" && ["00", "01"].contains(&parts[3]), "{sent}");
    assert!(fuzz::is_id(parts[1], 32) && fuzz::is_id(parts[2], 16), "{sent}");
    // A header that stands twice is malformed.
    let once = std::str::from_utf8(input).ok().filter(|input| input.is_ascii() && !input.contains('\n'));
    let given = once.and_then(sound);
    match given {
        Some(trace) => assert_eq!(parts[1], trace),
        None => assert!(!String::from_utf8_lossy(input).contains(parts[1]), "{sent} was adopted"),
    }
});
