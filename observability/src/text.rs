//! A line for people: time, level, message, then `key=value`; in colour on a terminal.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tracing::Level;

use crate::json::MAX_LINE;

const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// A line in the making.
pub(crate) struct Text {
    line: String,
    colour: bool,
}

impl Text {
    pub(crate) fn new(time: SystemTime, level: Level, message: &str, colour: bool) -> Self {
        let mut text = Self { line: String::new(), colour };
        let time = DateTime::<Utc>::from(time).format("%H:%M:%S%.3f ").to_string();
        text.styled(DIM, &time);
        text.styled(style(level), &format!("{level:5}"));
        text.line.push(' ');
        text.line.push_str(&one_line(message));
        text
    }

    pub(crate) fn field(&mut self, key: &str, value: &str) {
        self.line.push(' ');
        self.styled(DIM, &format!("{key}="));
        self.line.push_str(&one_line(value));
    }

    pub(crate) fn value(&mut self, key: &str, value: &Value) {
        match value.as_str() {
            Some(text) => self.field(key, text),
            None => self.field(key, &value.to_string()),
        }
    }

    /// Replaces what `out` holds.
    pub(crate) fn end(mut self, out: &mut Vec<u8>) {
        if self.line.len() > MAX_LINE {
            self.line.truncate(self.line.floor_char_boundary(MAX_LINE));
            self.line.push_str(if self.colour { PLAIN } else { "" });
        }
        out.clear();
        out.extend_from_slice(self.line.as_bytes());
        out.push(b'\n');
    }

    fn styled(&mut self, style: &str, text: &str) {
        let (style, plain) = if self.colour { (style, PLAIN) } else { ("", "") };
        self.line.extend([style, text, plain]);
    }
}

fn style(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[1;31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}

/// A control character in a value must not start a line of its own, nor move the cursor.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn line(level: Level, colour: bool) -> String {
        let time = UNIX_EPOCH + Duration::from_millis(1_763_653_784_744);
        let mut text = Text::new(time, level, "POST /v1/orders → 201", colour);
        text.field("cause", "a\nb \u{1b}[31mred");
        text.value("amount", &3.into());
        text.value("order_id", &"o-42".into());
        let mut out = Vec::new();
        text.end(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_without_colour() {
        let expected = "15:49:44.744 INFO  POST /v1/orders → 201 cause=a b  [31mred amount=3 order_id=o-42\n";
        assert_eq!(line(Level::INFO, false), expected);
    }

    #[test]
    fn a_line_in_colour() {
        let expected = "\x1b[2m15:49:44.744 \x1b[0m\x1b[1;31mERROR\x1b[0m POST /v1/orders → 201 \
                        \x1b[2mcause=\x1b[0ma b  [31mred \x1b[2mamount=\x1b[0m3 \x1b[2morder_id=\x1b[0mo-42\n";
        assert_eq!(line(Level::ERROR, true), expected);
    }

    #[test]
    fn a_long_line_is_cut_and_does_not_colour_what_follows() {
        let mut out = Vec::new();
        Text::new(UNIX_EPOCH, Level::WARN, &"ü".repeat(MAX_LINE), true).end(&mut out);
        assert!(out.len() < MAX_LINE + 8 && out.ends_with(b"\x1b[0m\n"));
    }
}
