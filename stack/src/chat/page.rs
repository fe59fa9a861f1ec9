//! The page a person opens to read what chat received. Everything in it is escaped.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{Log, Message, message};

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --muted: #777; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.2rem; } .muted { color: var(--muted); font-size: .85rem; }
article { border: 1px solid var(--line); border-left: .35rem solid var(--bar, var(--line));
  border-radius: .4rem; padding: .6rem .8rem; margin: .8rem 0; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .3rem 0; font: inherit; }
a { overflow-wrap: anywhere; }
";

pub(super) fn render(log: &Log) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="refresh" content="3";
                title { "Chat (" (log.messages.len()) ")" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Chat, played locally" }
                p.muted { (log.messages.len()) " accepted, " (log.refused) " refused; newest first." }
                @if log.messages.is_empty() { p { "No message yet." } }
                @for message in log.messages.iter().rev() { (article(message)) }
                @for (title, messages) in [("Around the relay", &log.escalations), ("Rollback hook", &log.rollbacks)] {
                    @if !messages.is_empty() {
                        h1 { (title) }
                        @for message in messages.iter().rev() { (article(message)) }
                    }
                }
            }
        }
    }
    .into_string()
}

fn article(message: &Message) -> Markup {
    let bar = colour(message).map(|colour| format!("--bar: {colour}"));
    html! {
        article style=[bar] {
            p.muted { (message.received_at.format("%Y-%m-%d %H:%M:%S%.3f UTC")) }
            pre {
                @for (text, link) in with_links(&message.text()) {
                    (text)
                    @if let Some(link) = link { a href=(link) rel="noreferrer" { (link) } }
                }
            }
        }
    }
}

/// The text in pieces, each with the link that follows it.
fn with_links(text: &str) -> Vec<(&str, Option<&str>)> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(link) = message::first_link(rest)
        && let Some((before, after)) = rest.split_once(link)
    {
        pieces.push((before, Some(link)));
        rest = after;
    }
    pieces.push((rest, None));
    pieces
}

/// The attachment's colour, when it is one; anything else could carry style of its own.
fn colour(message: &Message) -> Option<&str> {
    let colour = message.body.get("attachments")?.get(0)?.get("color")?.as_str()?;
    let digits = colour.strip_prefix('#')?;
    (digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(colour)
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use serde_json::json;

    use super::*;

    #[test]
    fn links_in_the_text_can_be_followed() {
        let body = json!({ "text": "see http://127.0.0.1:1/a?b=1&c=2, then wait" });
        let message = Message { at_ms: 0, received_at: Utc::now(), body };
        let page = render(&Log { messages: vec![message], ..Log::default() });
        assert!(page.contains("see <a href=\"http://127.0.0.1:1/a?b=1&amp;c=2\" rel=\"noreferrer\">"), "{page}");
        assert!(page.contains("</a>, then wait"));
    }

    #[test]
    fn markup_in_a_message_cannot_break_the_page() {
        let body = json!({
            "text": "<script>alert(1)</script>",
            "attachments": [{"color": "red;background:url(http://evil)", "title_link": "http://a/\"onclick=x"}]
        });
        let message = Message { at_ms: 0, received_at: Utc::now(), body };
        let page = render(&Log { messages: vec![message], ..Log::default() });
        assert!(!page.contains("<script>"));
        assert!(page.contains("&lt;script&gt;"));
        assert!(!page.contains("style=\"--bar"));
        assert!(!page.contains("\"onclick"));
    }
}
