//! What answers mean on every platform: the statuses. What a body means is the platform's own business.
use std::time::Duration;

use serde_json::Value;

use super::{Answer, Verdict};
use crate::message::cut;

const QUOTED: usize = 120;

/// The verdict, unless the status is a success: then the body decides.
pub(super) fn by_status(answer: &Answer) -> Option<Verdict> {
    let why = format!("answered {}{}", answer.status, quote(&answer.body));
    match answer.status {
        200..=299 => None,
        300..=399 => {
            Some(Verdict::ChannelBroken { why: format!("answered {}: redirects are not followed", answer.status) })
        }
        401 | 403 | 404 | 410 => Some(Verdict::ChannelBroken { why }),
        408 | 425 | 429 => {
            Some(Verdict::Later { asked: answer.retry_after.or_else(|| asked_in_body(&answer.body)), why })
        }
        400..=499 => Some(Verdict::MessageRefused { why }),
        _ => Some(Verdict::Later { asked: answer.retry_after, why }),
    }
}

/// The verdict on a 2xx answer whose body is not what success looks like.
pub(super) fn no_success(answer: &Answer) -> Verdict {
    Verdict::later(format!("answered {} without success{}", answer.status, quote(&answer.body)))
}

pub(super) fn json(answer: &Answer) -> Option<Value> {
    serde_json::from_str(&answer.body).ok()
}

fn quote(body: &str) -> String {
    let body = crate::message::clean(body);
    if body.is_empty() { String::new() } else { format!(": {}", cut(&body, QUOTED)) }
}

/// Discord says in the body how long to wait, more exactly than in the header.
fn asked_in_body(body: &str) -> Option<Duration> {
    let seconds = serde_json::from_str::<Value>(body).ok()?.get("retry_after")?.as_f64()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, retry_after: None, body: body.into() }
    }

    #[test]
    fn statuses_are_told_apart() {
        assert_eq!(by_status(&answer(200, "anything")), None);
        for status in [301, 302, 401, 403, 404, 410] {
            assert!(matches!(by_status(&answer(status, "")), Some(Verdict::ChannelBroken { .. })), "{status}");
        }
        for status in [408, 429, 500, 502, 503, 504] {
            assert!(matches!(by_status(&answer(status, "")), Some(Verdict::Later { .. })), "{status}");
        }
        for status in [400, 413, 422] {
            assert!(matches!(by_status(&answer(status, "")), Some(Verdict::MessageRefused { .. })), "{status}");
        }
    }

    #[test]
    fn the_pause_is_read_from_header_or_body() {
        let throttled = Answer { retry_after: Some(Duration::from_secs(7)), ..answer(429, "") };
        assert!(
            matches!(by_status(&throttled), Some(Verdict::Later { asked: Some(asked), .. }) if asked.as_secs() == 7)
        );
        let throttled = answer(429, r#"{"retry_after":0.65,"global":false}"#);
        assert!(
            matches!(by_status(&throttled), Some(Verdict::Later { asked: Some(asked), .. }) if asked.as_millis() == 650)
        );
    }
}
