//! One accepted message, and what a person reads in it.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

static LINK: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"https?://[^\s|<>"]+"#).ok());

/// A request body that was accepted, and when.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message {
    /// Milliseconds since the player started.
    pub at_ms: u64,
    /// The same moment on the wall clock.
    pub received_at: DateTime<Utc>,
    /// What was sent.
    pub body: Value,
}

impl Message {
    /// The readable parts, one a line, in the order in which a chat shows them.
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        push(&mut lines, self.body.get("text"));
        for attachment in children(&self.body, "attachments") {
            for key in ["pretext", "title", "text"] {
                push(&mut lines, attachment.get(key));
            }
            for field in children(attachment, "fields") {
                let part = |key: &str| plain(field.get(key).and_then(Value::as_str).unwrap_or_default());
                lines.push(format!("{}: {}", part("title"), part("value")));
            }
            push(&mut lines, attachment.get("footer"));
        }
        if lines.is_empty() {
            lines.push(self.body.to_string());
        }
        lines.join("\n")
    }

    /// Every link in it, each once.
    #[must_use]
    pub fn links(&self) -> Vec<String> {
        let mut found = Vec::new();
        collect_links(&self.body, &mut found);
        found
    }
}

fn children<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn push(lines: &mut Vec<String>, value: Option<&Value>) {
    if let Some(text) = value.and_then(Value::as_str).filter(|text| !text.is_empty()) {
        lines.push(plain(text));
    }
}

/// Slack's three escapes, undone.
fn plain(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// The first link in a text, without the punctuation that ends a sentence.
pub(super) fn first_link(text: &str) -> Option<&str> {
    let found = LINK.as_ref()?.find(text)?;
    Some(found.as_str().trim_end_matches(['.', ',', ')']))
}

fn collect_links(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            // What stands between backticks is a command to paste, and no link.
            let prose = text.split('`').step_by(2);
            for link in prose.flat_map(|prose| LINK.iter().flat_map(|pattern| pattern.find_iter(prose))) {
                let link = link.as_str().trim_end_matches(['.', ',', ')']).replace("&amp;", "&");
                if !found.contains(&link) {
                    found.push(link);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_links(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| collect_links(field, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(body: Value) -> Message {
        Message { at_ms: 0, received_at: Utc::now(), body }
    }

    #[test]
    fn a_message_reads_from_top_to_bottom() {
        let message = message(json!({
            "text": "down &amp; out",
            "attachments": [{
                "title": "orders", "text": "impact",
                "fields": [{"title": "First", "value": "look"}], "footer": "a1"
            }]
        }));
        assert_eq!(message.text(), "down & out\norders\nimpact\nFirst: look\na1");
    }

    #[test]
    fn links_are_found_in_markup_and_in_fields_of_their_own() {
        let message = message(json!({
            "text": "see <http://127.0.0.1:1/a?x=1&amp;y=2|here>, or http://127.0.0.1:1/b. Run `curl http://127.0.0.1:1/c`.",
            "attachments": [{"title_link": "http://127.0.0.1:1/a?x=1&y=2"}]
        }));
        assert_eq!(message.links(), ["http://127.0.0.1:1/a?x=1&y=2", "http://127.0.0.1:1/b"]);
    }
}
