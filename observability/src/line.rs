//! One log line: which keys, in which order, how values are escaped, and where they are cut.

use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::io::Write as _;

use chrono::{SecondsFormat, Utc};
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata};

use crate::context::{RESERVED, Request};
use crate::layer::Core;

/// Longest line, in bytes. Collectors and log stores refuse or split longer ones.
const MAX_LINE: usize = 16 * 1024;
/// Longest single value. What is cut ends in [`CUT`].
const MAX_VALUE: usize = 8 * 1024;
const CUT: &str = "…[cut]";
/// Room kept for the end of a line that had to be cut.
const TAIL: usize = 64;

/// Who writes the lines.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) service: &'static str,
    pub(crate) version: &'static str,
    pub(crate) environment: String,
}

/// Formats an event and hands it to the output.
pub(crate) fn write(core: &Core, metadata: &Metadata<'_>, event: &Event<'_>, request: Option<&Request>) {
    thread_local!(static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) });
    // Taken, not borrowed: a value whose Debug writes a line of its own finds an empty buffer, not a lock.
    let mut buffer = SCRATCH.take();
    let urgent = *metadata.level() <= Level::WARN;
    if core.output.wants_json() {
        buffer.clear();
        json(&mut buffer, &core.identity, metadata, event, request);
        core.output.write_json(&buffer, urgent);
    }
    if core.output.wants_text() {
        buffer.clear();
        text(&mut buffer, metadata, event, request);
        core.output.write_text(&buffer, urgent);
    }
    SCRATCH.set(buffer);
}

fn json(out: &mut Vec<u8>, identity: &Identity, metadata: &Metadata<'_>, event: &Event<'_>, request: Option<&Request>) {
    let mut line = Json { out, truncated: false };
    line.out.push(b'{');
    line.text("timestamp", &Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true));
    line.text("level", metadata.level().as_str());
    line.text("message", &message(event));
    line.text("service", identity.service);
    line.text("version", identity.version);
    line.text("env", &identity.environment);
    line.text("target", metadata.target());
    if let Some(request) = request {
        line.text("request_id", &request.request_id);
        line.text("trace_id", &request.trace_id.to_string());
        line.text("span_id", &request.span_id.to_string());
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

fn text(out: &mut Vec<u8>, metadata: &Metadata<'_>, event: &Event<'_>, request: Option<&Request>) {
    let mut line = String::new();
    let _ = write!(line, "{} {:5} {}", Utc::now().format("%H:%M:%S%.3f"), metadata.level(), one_line(&message(event)));
    event.record(&mut Fields(|name: &'static str, value: &Value| {
        let _ = write!(line, " {name}={}", one_line(&plain(value)));
    }));
    if let Some(request) = request {
        request.with_fields(|fields| {
            for (key, value) in fields {
                let _ = write!(line, " {key}={}", one_line(&plain(value)));
            }
        });
        let _ = write!(line, " trace_id={}", request.trace_id);
    }
    let end = line.floor_char_boundary(MAX_LINE);
    line.truncate(end);
    out.extend_from_slice(line.as_bytes());
    out.push(b'\n');
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A control character in a value must not start a line of its own, nor move the cursor.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn message(event: &Event<'_>) -> String {
    let mut message = String::new();
    event.record(&mut Message(&mut message));
    message
}

/// Takes the message of an event.
struct Message<'a>(&'a mut String);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.0.push_str(value);
        }
    }
}

/// Calls back with every field of an event but its message, and but what the `log` bridge adds.
struct Fields<F>(F);

impl<F: FnMut(&'static str, &Value)> Fields<F> {
    fn call(&mut self, field: &Field, value: impl Into<Value>) {
        if field.name() != "message" && !field.name().starts_with("log.") {
            (self.0)(field.name(), &value.into());
        }
    }
}

impl<F: FnMut(&'static str, &Value)> Visit for Fields<F> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() != "message" {
            self.call(field, format!("{value:?}"));
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.call(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.call(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.call(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.call(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.call(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut chain = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            let _ = write!(chain, ": {cause}");
            source = cause.source();
        }
        self.call(field, chain);
    }
}

/// A JSON object in the making, which never grows beyond [`MAX_LINE`].
struct Json<'a> {
    out: &'a mut Vec<u8>,
    truncated: bool,
}

impl Json<'_> {
    fn value(&mut self, key: &str, value: &Value) {
        match value {
            Value::String(text) => self.text(key, text),
            Value::Array(_) | Value::Object(_) => {
                let encoded = value.to_string();
                if encoded.len() <= self.room(key) {
                    self.raw(key, encoded.as_bytes());
                } else {
                    self.text(key, &encoded);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => self.raw(key, value.to_string().as_bytes()),
        }
    }

    fn text(&mut self, key: &str, text: &str) {
        let room = self.room(key);
        let kept = fitting(text, room);
        if kept.len() == text.len() {
            self.raw(key, &quoted(text));
        } else {
            self.raw(key, &quoted(&format!("{}{CUT}", fitting(text, room.saturating_sub(CUT.len())))));
        }
    }

    /// How long a value of this key may be.
    fn room(&self, key: &str) -> usize {
        MAX_LINE.saturating_sub(self.out.len() + key.len() + TAIL).min(MAX_VALUE)
    }

    fn raw(&mut self, key: &str, encoded: &[u8]) {
        let key = quoted(key);
        if self.out.len() + key.len() + encoded.len() + TAIL > MAX_LINE + CUT.len() {
            self.truncated = true;
            return;
        }
        if self.out.len() > 1 {
            self.out.push(b',');
        }
        self.out.extend_from_slice(&key);
        self.out.push(b':');
        self.out.extend_from_slice(encoded);
    }

    fn end(self) {
        let end = if self.truncated { ",\"truncated\":true}" } else { "}" };
        let _ = writeln!(self.out, "{end}");
    }
}

fn quoted(text: &str) -> Vec<u8> {
    serde_json::to_vec(text).unwrap_or_default()
}

/// The longest beginning of `text` whose escaped form has at most `room` bytes.
fn fitting(text: &str, room: usize) -> &str {
    // A control character becomes six bytes.
    if text.len() * 6 <= room {
        return text;
    }
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += match c {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            c if u32::from(c) < 0x20 => 6,
            c => c.len_utf8(),
        };
        if used > room {
            return text.get(..at).unwrap_or_default();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn any_values_give_one_valid_line_of_bounded_length(
            fields in prop::collection::vec(("[a-z.]{1,12}", prop_oneof![any::<String>(), ".{0,40000}", "[\u{0}-\u{1f}]{0,9000}"]), 0..8),
        ) {
            let mut out = Vec::new();
            let mut line = Json { out: &mut out, truncated: false };
            line.out.push(b'{');
            for (key, value) in &fields {
                line.text(key, value);
            }
            line.end();
            prop_assert!(out.len() <= MAX_LINE, "{} bytes", out.len());
            prop_assert_eq!(out.split(|byte| *byte == b'\n').count(), 2);
            serde_json::from_slice::<Value>(&out).unwrap();
        }
    }

    #[test]
    fn a_long_value_is_cut_and_marked() {
        let mut out = Vec::new();
        let mut line = Json { out: &mut out, truncated: false };
        line.out.push(b'{');
        line.text("long", &"ü".repeat(1_000_000));
        line.end();
        let value: Value = serde_json::from_slice(&out).unwrap();
        assert!(value["long"].as_str().unwrap().ends_with("ü…[cut]"));
    }
}
