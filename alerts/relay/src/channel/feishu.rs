//! Feishu's and Lark's group robot: a card. Only `code` counts; throttling comes as 200 and as 400.
use std::time::Duration;

use serde_json::{Value, json};

use super::{Answer, Platform, Post, Target, Verdict, judge, sign};
use crate::message::{Message, cut_by, neutral};
use crate::time;

/// A body holds 20 KB.
const TEXT: usize = 6000;
const CODES: judge::Codes = judge::Codes {
    field: "code",
    throttled: &[11232, 9499],
    silence: Duration::from_secs(5),
    // Sign, address or keyword do not fit.
    broken: &[19001, 19002, 19021, 19022, 19024],
    refused: &[11246, 19036],
};
const HALF_HOUR: i64 = 30 * 60_000;
const RUSH: i64 = 15_000;
const LEGACY: judge::Codes = judge::Codes { field: "StatusCode", ..CODES };

#[derive(Debug)]
pub(crate) struct Feishu;

impl Platform for Feishu {
    fn name(&self) -> &'static str {
        "feishu"
    }

    /// Feishu asks robots to keep away from every full and half hour.
    fn rush(&self, now: i64) -> Duration {
        Duration::from_millis(u64::try_from(RUSH - now % HALF_HOUR).unwrap_or(0))
    }

    fn post(&self, target: &Target, message: &Message, plain: bool) -> Post {
        let mut body = payload(target, message, plain);
        if let (Some(fields), Some(_)) = (body.as_object_mut(), &target.secret) {
            let now = time::now() / 1000;
            fields.insert("timestamp".into(), now.to_string().into());
            fields.insert("sign".into(), sign::feishu(target.secret(), now).into());
        }
        Post::json(target.url.clone(), &body)
    }

    fn judge(&self, answer: &Answer) -> Verdict {
        let modern = judge::json(answer).is_some_and(|body| body.get("code").is_some());
        judge::by_code(answer, if modern { &CODES } else { &LEGACY })
    }
}

fn payload(target: &Target, message: &Message, plain: bool) -> Value {
    let wake = target.wake(message);
    if plain {
        let text = format!("{wake}{}", message.plain(neutral));
        return json!({ "msg_type": "text", "content": { "text": cut_by(&text, TEXT, char::len_utf8) } });
    }
    let headline = message.headline(&neutral(&message.what));
    let text = cut_by(&format!("{wake}{}", message.said(neutral)), TEXT, char::len_utf8);
    let button = |label: String, url: &str| json!({ "tag": "button", "text": { "tag": "plain_text", "content": label }, "type": "default", "url": url });
    let buttons: Vec<Value> = message.links.iter().map(|link| button(link.label(), link.url.as_str())).collect();
    let mut elements = vec![json!({ "tag": "div", "text": { "tag": "lark_md", "content": text } })];
    if !buttons.is_empty() {
        elements.push(json!({ "tag": "action", "actions": buttons }));
    }
    let template = if message.is_over() { "green" } else { "red" };
    json!({ "msg_type": "interactive", "card": {
        "header": { "template": template, "title": { "tag": "plain_text", "content": cut_by(&headline, 1000, char::len_utf8) } },
        "elements": elements,
    } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_wait_keeps_away_from_the_half_hour() {
        assert_eq!(Feishu.rush(4 * HALF_HOUR), Duration::from_secs(15));
        assert_eq!(Feishu.rush(HALF_HOUR + 14_000), Duration::from_secs(1));
        assert_eq!(Feishu.rush(HALF_HOUR + 15_000), Duration::ZERO);
        assert_eq!(Feishu.rush(HALF_HOUR - 1), Duration::ZERO);
    }
}
