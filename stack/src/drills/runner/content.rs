//! Whether a message tells a person what they need: what, what it means, what to do first, and links that open.

use chrono::{DateTime, Utc};

use super::{
    first_look::squeezed,
    links,
    observer::{Alert, Observer},
};
use crate::chat::Message;

/// What a message announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is broken.
    Firing,
    /// Somebody has it.
    Taken,
    /// What was announced is over.
    Resolved,
    /// It was broken and is over, told in one.
    WasDown,
    /// None of these.
    Unknown,
}

pub(super) fn kind(message: &Message) -> Kind {
    let headline = headline(message);
    if headline.contains("TAKEN #") {
        Kind::Taken
    } else if headline.contains("FIRING") {
        Kind::Firing
    } else if !headline.contains("RESOLVED") {
        Kind::Unknown
    } else if headline.contains("was down") {
        Kind::WasDown
    } else {
        Kind::Resolved
    }
}

/// The line that a locked phone shows.
pub(super) fn headline(message: &Message) -> String {
    message.text().lines().next().unwrap_or_default().to_owned()
}

/// The line that says where it belongs: severity, failure type, service, environment.
pub(super) fn footer(message: &Message) -> String {
    message.text().lines().next_back().unwrap_or_default().to_owned()
}

/// Whether a message says how long it lasted, such as `12 s` or `4 min 2 s`.
pub(super) fn tells_duration(message: &Message) -> bool {
    let headline = headline(message);
    let words: Vec<&str> = headline.split([' ', '(', ')', ',']).collect();
    words.windows(2).any(|pair| match pair {
        [number, unit] => number.parse::<u32>().is_ok() && matches!(*unit, "s" | "min" | "h"),
        _ => false,
    })
}

/// What there is to say about a message.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    pub(super) wrong: Vec<String>,
    pub(super) remarks: Vec<String>,
}

/// Judges a FIRING message about what happened at `fault`, and about `alert` unless the relay noticed by itself.
pub(super) async fn judge(
    observer: &Observer,
    message: &Message,
    failure_type: &str,
    step: &str,
    alert: Option<&Alert>,
    fault: DateTime<Utc>,
) -> Judgement {
    let mut judgement = Judgement::default();
    let text = squeezed(&message.text());
    let annotations = alert
        .map(|alert| [("what is broken", alert.annotation("summary")), ("what it means", alert.annotation("impact"))]);
    // Where no query leads to its lines, the description ends in the command that does.
    let command = alert.filter(|alert| alert.annotation("query").is_empty());
    let command = command.and_then(|alert| alert.annotation("description").split_once("Its own words: "));
    let command = command.map(|(_, command)| ("how to see its own words", command));
    let expected = annotations.into_iter().flatten().chain([("what to do first", step)]).chain(command);
    for (what, expected) in expected {
        if expected.is_empty() || !text.contains(&squeezed(expected)) {
            judgement.wrong.push(format!("the message does not say {what}: {expected:?}"));
        }
    }
    links::judge(observer, message, failure_type, alert, fault, &mut judgement).await;
    judgement
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message { at_ms: 0, received_at: Utc::now(), body: serde_json::json!({ "text": text }) }
    }

    #[test]
    fn the_headline_says_what_is_announced_and_how_long_it_lasted() {
        let over = message("✅ RESOLVED #K7QF: gone — over after 12 s, 10:00 to 10:01\nFIRING");
        assert_eq!((kind(&over), tells_duration(&over)), (Kind::Resolved, true));
        let told = message("✅ RESOLVED #K7QF: gone — was down 10:00 to 10:01 (1 min 2 s); told afterwards");
        assert_eq!((kind(&told), tells_duration(&told)), (Kind::WasDown, true));
        let firing = message("🔴 FIRING #K7QF: gone — since 10:00");
        assert_eq!((kind(&firing), tells_duration(&firing)), (Kind::Firing, false));
        assert_eq!(kind(&message("🙋 TAKEN #K7QF: gone — since 10:00\nstill FIRING")), Kind::Taken);
    }
}
