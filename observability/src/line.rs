//! One log line: which keys, in which order. The line that closes a request is made from a template,
//! because every request has one; all others come from events.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use serde_json::Value;
use tracing::{Event, Level, Metadata};

use crate::context::{self, RESERVED, Request};
use crate::fields::{Fields, message};
use crate::json::Json;
use crate::layer::Core;
use crate::text::Text;

/// Who writes the lines, as it stands in each of them.
#[derive(Debug)]
pub(crate) struct Identity(String);

impl Identity {
    pub(crate) fn new(service: &str, version: &str, environment: &str) -> Self {
        let mut members = Vec::new();
        let mut json = Json::open(&mut members);
        json.text("service", service);
        json.text("version", version);
        json.text("env", environment);
        Self(String::from_utf8(members).unwrap_or_default())
    }
}

/// What all closing lines of one kind of request share.
#[derive(Debug)]
pub(crate) struct Template {
    level: Level,
    message: String,
    before_ids: Vec<u8>,
    after_ids: Vec<u8>,
}

impl Template {
    pub(crate) fn new(core: &Core, level: Level, message: String, fields: &[(&str, Value)]) -> Self {
        let (mut before_ids, mut after_ids) = (Vec::new(), Vec::new());
        head(&mut before_ids, core, level, &message, TARGET);
        let mut json = Json::open(&mut after_ids);
        for (key, value) in fields {
            json.value(key, value);
        }
        after_ids.extend_from_slice(b",\"duration_ms\":");
        Self { level, message, before_ids, after_ids }
    }
}

/// Target of closing lines.
pub(crate) const TARGET: &str = "observability::http";

/// Writes the line that closes a request.
// Not inlined, so that a profile can name it.
#[inline(never)]
pub(crate) fn close(core: &Core, template: &Template, request: &Request, microseconds: u64, more: &[(&str, &str)]) {
    let urgent = template.level <= Level::WARN;
    with_scratch(|buffer| {
        if core.output.wants_json() {
            stamp(buffer);
            buffer.extend_from_slice(&template.before_ids);
            let mut line = Json::open(buffer);
            ids(&mut line, request);
            line.out.extend_from_slice(&template.after_ids);
            milliseconds(line.out, microseconds);
            for (key, value) in more {
                line.text(key, value);
            }
            request.with_fields(|fields| fields.iter().for_each(|(key, value)| line.value(key, value)));
            line.end();
            core.output.write_json(buffer, urgent);
        }
        if core.output.wants_text() {
            let mut line = Text::new(SystemTime::now(), template.level, &template.message, core.output.colour());
            line.field("duration_ms", &format!("{}.{:03}", microseconds / 1000, microseconds % 1000));
            for (key, value) in more {
                line.field(key, value);
            }
            end_text(buffer, line, Some(request));
            core.output.write_text(buffer, urgent);
        }
    });
}

/// Writes the line of an event.
pub(crate) fn write(core: &Core, metadata: &Metadata<'_>, event: &Event<'_>, request: Option<&Request>) {
    let urgent = *metadata.level() <= Level::WARN;
    with_scratch(|buffer| {
        if core.output.wants_json() {
            json(buffer, core, metadata, event, request);
            core.output.write_json(buffer, urgent);
        }
        if core.output.wants_text() {
            let mut line = Text::new(SystemTime::now(), *metadata.level(), &message(event), core.output.colour());
            event.record(&mut Fields(|name: &'static str, value: &Value| line.value(name, value)));
            end_text(buffer, line, request);
            core.output.write_text(buffer, urgent);
        }
    });
}

/// Writes a line of the library's own, whatever the log filter says.
pub(crate) fn tell(core: &Core, level: Level, target: &str, told: &str, fields: &[(&str, Value)]) {
    let request = context::current();
    with_scratch(|buffer| {
        if core.output.wants_json() {
            stamp(buffer);
            head(buffer, core, level, told, target);
            let mut line = Json::open(buffer);
            if let Some(request) = &request {
                ids(&mut line, request);
            }
            for (key, value) in fields {
                line.value(key, value);
            }
            line.end();
            core.output.write_json(buffer, true);
        }
        if core.output.wants_text() {
            let mut line = Text::new(SystemTime::now(), level, told, core.output.colour());
            for (key, value) in fields {
                line.value(key, value);
            }
            end_text(buffer, line, request.as_deref());
            core.output.write_text(buffer, true);
        }
    });
}

/// Lends a buffer that keeps its memory. Taken, not borrowed: a value whose Debug writes a line of its
/// own finds an empty buffer, not a lock. At the end of a thread, a new one.
fn with_scratch(work: impl FnOnce(&mut Vec<u8>)) {
    thread_local!(static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) });
    let mut buffer = SCRATCH.try_with(Cell::take).unwrap_or_default();
    buffer.clear();
    work(&mut buffer);
    let _ = SCRATCH.try_with(|scratch| scratch.set(buffer));
}

fn json(out: &mut Vec<u8>, core: &Core, metadata: &Metadata<'_>, event: &Event<'_>, request: Option<&Request>) {
    stamp(out);
    head(out, core, *metadata.level(), &message(event), metadata.target());
    let mut line = Json::open(out);
    if let Some(request) = request {
        ids(&mut line, request);
    }
    let mut names = Vec::new();
    event.record(&mut Fields(|name: &'static str, value: &Value| {
        names.push(name);
        if RESERVED.contains(&name) {
            line.value(&format!("field.{name}"), value);
        } else {
            line.value(name, value);
        }
    }));
    if let Some(request) = request {
        request.with_fields(|fields| {
            for (key, value) in fields.iter().filter(|(key, _)| !names.contains(key)) {
                line.value(key, value);
            }
        });
    }
    line.end();
}

/// Begins a line: `{"timestamp":"2026-11-20T15:49:44.744123Z"`.
fn stamp(out: &mut Vec<u8>) {
    thread_local!(static SECOND: Cell<(u64, [u8; 20])> = const { Cell::new((0, [0; 20])) });
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (mut second, mut text) = SECOND.get();
    if second != now.as_secs() {
        second = now.as_secs();
        let time = i64::try_from(second).ok().and_then(|second| DateTime::from_timestamp(second, 0));
        let written = time.unwrap_or_default().format("%Y-%m-%dT%H:%M:%S.").to_string();
        text = written.as_bytes().try_into().unwrap_or(*b"1970-01-01T00:00:00.");
        SECOND.set((second, text));
    }
    out.extend_from_slice(b"{\"timestamp\":\"");
    out.extend_from_slice(&text);
    let mut rest = now.subsec_micros();
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
    }
    out.extend_from_slice(&digits);
    out.extend_from_slice(b"Z\"");
}

fn head(out: &mut Vec<u8>, core: &Core, level: Level, message: &str, target: &str) {
    let mut line = Json::open(out);
    line.text("level", level.as_str());
    line.text("message", message);
    line.out.extend_from_slice(core.identity.0.as_bytes());
    line.text("target", target);
}

/// Without escaping: request ids were checked when they were accepted, the others are digits.
fn ids(line: &mut Json<'_>, request: &Request) {
    line.out.extend_from_slice(b",\"request_id\":\"");
    line.out.extend_from_slice(request.request_id());
    line.out.extend_from_slice(b"\",\"trace_id\":\"");
    line.out.extend_from_slice(request.trace_hex.bytes());
    line.out.extend_from_slice(b"\",\"span_id\":\"");
    line.out.extend_from_slice(request.span_hex.bytes());
    line.out.push(b'"');
}

/// Appends `microseconds` as milliseconds with three decimals.
fn milliseconds(out: &mut Vec<u8>, microseconds: u64) {
    let mut digits = [b'0'; 24];
    let mut rest = microseconds;
    let mut first = digits.len();
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        if at == 20 {
            *digit = b'.';
            continue;
        }
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        first = at;
        if rest == 0 && at < 20 {
            break;
        }
    }
    out.extend_from_slice(digits.get(first..).unwrap_or_default());
}

fn end_text(out: &mut Vec<u8>, mut line: Text, request: Option<&Request>) {
    if let Some(request) = request {
        request.with_fields(|fields| fields.iter().for_each(|(key, value)| line.value(key, value)));
        line.field("trace_id", request.trace_hex.as_str());
    }
    line.end(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_milliseconds_with_three_decimals() {
        for (microseconds, text) in
            [(0, "0.000"), (7, "0.007"), (1_000, "1.000"), (3_214, "3.214"), (12_345_678, "12345.678")]
        {
            let mut out = Vec::new();
            milliseconds(&mut out, microseconds);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
        let mut out = Vec::new();
        milliseconds(&mut out, u64::MAX);
        assert_eq!(out, b"18446744073709551.615");
    }
}
