//! What answers mean on every platform: the statuses. What a body means is the platform's own business.
use std::time::Duration;

use serde_json::Value;

use super::{Answer, Verdict};
use crate::message::cut;

const QUOTED: usize = 120;
/// The pause for who throttles without saying for how long.
pub(super) const MOMENT: Duration = Duration::from_secs(1);

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

/// What a platform's own error codes mean, where it answers 200 whatever happens.
pub(super) struct Codes {
    /// The field that is 0 when all is well.
    pub(super) field: &'static str,
    pub(super) throttled: &'static [i64],
    /// How long a throttled sender has to be silent.
    pub(super) silence: Duration,
    pub(super) broken: &'static [i64],
    pub(super) refused: &'static [i64],
}

/// The verdict by status and code.
pub(super) fn by_code(answer: &Answer, codes: &Codes) -> Verdict {
    let why = format!("answered {}{}", answer.status, quote(&answer.body));
    match json(answer).and_then(|body| body.get(codes.field)?.as_i64()) {
        Some(0) if answer.status < 300 => Verdict::Accepted,
        Some(code) if codes.throttled.contains(&code) => {
            Verdict::Later { asked: Some(codes.silence.max(answer.retry_after.unwrap_or_default())), why }
        }
        Some(code) if codes.broken.contains(&code) => Verdict::ChannelBroken { why },
        Some(code) if codes.refused.contains(&code) => Verdict::MessageRefused { why },
        _ => by_status(answer).unwrap_or_else(|| no_success(answer)),
    }
}

pub(super) fn json(answer: &Answer) -> Option<Value> {
    serde_json::from_str(&answer.body).ok()
}

pub(super) fn quote(body: &str) -> String {
    let body = crate::message::clean(body);
    if body.is_empty() { String::new() } else { format!(": {}", cut(&body, QUOTED)) }
}

/// Discord and Telegram say in the body how long to wait.
pub(super) fn asked_in_body(body: &str) -> Option<Duration> {
    let body = serde_json::from_str::<Value>(body).ok()?;
    let asked = body.get("retry_after").or_else(|| body.get("parameters")?.get("retry_after"));
    let seconds = asked?.as_f64()?;
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
