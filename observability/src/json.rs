//! A JSON object in the making, which never grows beyond the longest line.

use std::fmt::Write as _;

use serde_json::Value;

/// Longest line, in bytes. Collectors and log stores refuse or split longer ones.
pub(crate) const MAX_LINE: usize = 16 * 1024;
/// Longest single value. What is cut ends in [`CUT`].
pub(crate) const MAX_VALUE: usize = 8 * 1024;
pub(crate) const CUT: &str = "…[cut]";
/// Room kept for the end of a line that had to be cut.
const TAIL: usize = 64;

pub(crate) struct Json<'a> {
    pub(crate) out: &'a mut Vec<u8>,
    truncated: bool,
}

impl<'a> Json<'a> {
    /// Goes on with an object that is open, and has a member already.
    pub(crate) fn open(out: &'a mut Vec<u8>) -> Self {
        Self { out, truncated: false }
    }

    /// A member whose value is JSON already.
    pub(crate) fn raw(&mut self, key: &str, encoded: &str) {
        if encoded.len() <= self.room(key) {
            self.key(key);
            self.out.extend_from_slice(encoded.as_bytes());
        } else {
            self.truncated = true;
        }
    }

    pub(crate) fn text(&mut self, key: &str, text: &str) {
        let room = self.room(key);
        if room < CUT.len() {
            self.truncated = true;
            return;
        }
        self.key(key);
        self.out.push(b'"');
        let kept = fitting(text, room);
        if kept.len() == text.len() {
            escape(self.out, text);
        } else {
            escape(self.out, fitting(text, room - CUT.len()));
            self.out.extend_from_slice(CUT.as_bytes());
        }
        self.out.push(b'"');
    }

    pub(crate) fn value(&mut self, key: &str, value: &Value) {
        match value {
            Value::String(text) => self.text(key, text),
            Value::Array(_) | Value::Object(_) => {
                let encoded = value.to_string();
                if encoded.len() <= self.room(key) { self.raw(key, &encoded) } else { self.text(key, &encoded) }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => self.raw(key, &value.to_string()),
        }
    }

    pub(crate) fn end(self) {
        let end: &[u8] = if self.truncated { b",\"truncated\":true}\n" } else { b"}\n" };
        self.out.extend_from_slice(end);
    }

    fn key(&mut self, key: &str) {
        self.out.extend_from_slice(b",\"");
        escape(self.out, key);
        self.out.extend_from_slice(b"\":");
    }

    /// How long a value of this key may be.
    fn room(&self, key: &str) -> usize {
        MAX_LINE.saturating_sub(self.out.len() + key.len() + TAIL).min(MAX_VALUE)
    }
}

/// Appends `text` as it stands between the quotes of a JSON string.
pub(crate) fn escape(out: &mut Vec<u8>, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain.as_bytes());
        let Some((special, after)) = special.split_at_checked(1) else { break };
        match special {
            "\"" => out.extend_from_slice(b"\\\""),
            "\\" => out.extend_from_slice(b"\\\\"),
            "\n" => out.extend_from_slice(b"\\n"),
            "\r" => out.extend_from_slice(b"\\r"),
            "\t" => out.extend_from_slice(b"\\t"),
            control => {
                let mut code = String::new();
                let _ = write!(code, "\\u{:04x}", control.bytes().next().unwrap_or_default());
                out.extend_from_slice(code.as_bytes());
            }
        }
        rest = after;
    }
    out.extend_from_slice(rest.as_bytes());
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
            '"' | '\\' | '\n' | '\r' | '\t' => 2,
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

    fn line(fields: &[(String, String)]) -> Vec<u8> {
        let mut out = b"{\"first\":1".to_vec();
        let mut line = Json::open(&mut out);
        for (key, value) in fields {
            line.text(key, value);
        }
        line.end();
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_values_give_one_valid_line_of_bounded_length(
            fields in prop::collection::vec(("[a-z.]{1,12}", prop_oneof![any::<String>(), ".{0,40000}", "[\u{0}-\u{1f}]{0,9000}"]), 0..8),
        ) {
            let out = line(&fields);
            prop_assert!(out.len() <= MAX_LINE, "{} bytes", out.len());
            prop_assert_eq!(out.split(|byte| *byte == b'\n').count(), 2);
            serde_json::from_slice::<Value>(&out).unwrap();
        }

        #[test]
        fn what_is_escaped_reads_back_as_it_was(text in any::<String>()) {
            let read: Value = serde_json::from_slice(&line(&[("text".into(), text.clone())])).unwrap();
            prop_assert_eq!(read["text"].as_str().unwrap(), text);
        }
    }

    #[test]
    fn bytes_and_surrogates_that_are_no_text_are_written_as_text() {
        use std::os::unix::ffi::OsStrExt as _;
        // A lone surrogate, as some file systems and JavaScript programs have it.
        let bytes = b"a\xed\xa0\x80\xff";
        let path = std::path::Path::new(std::ffi::OsStr::from_bytes(bytes));
        for text in [format!("{path:?}"), path.display().to_string(), String::from_utf8_lossy(bytes).into_owned()] {
            let read: Value = serde_json::from_slice(&line(&[("text".into(), text.clone())])).unwrap();
            assert_eq!(read["text"].as_str(), Some(text.as_str()));
        }
    }

    #[test]
    fn a_long_value_is_cut_and_marked() {
        let out = line(&[("long".into(), "ü".repeat(1_000_000))]);
        let value: Value = serde_json::from_slice(&out).unwrap();
        assert!(value["long"].as_str().unwrap().ends_with("ü…[cut]"));
    }
}
