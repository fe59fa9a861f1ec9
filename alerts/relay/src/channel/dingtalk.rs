//! `DingTalk`'s group robot: HTTP 200 whatever happens, so only `errcode` counts. Signed when it has a secret.
use std::time::Duration;

use serde_json::{Value, json};

use super::{Answer, Platform, Post, Target, Verdict, judge, sign};
use crate::message::{Message, cut_by, neutral};
use crate::time;

/// A body holds 20,000 bytes.
const TEXT: usize = 6000;
const CODES: judge::Codes = judge::Codes {
    field: "errcode",
    throttled: &[130_101, 410_100],
    // Who goes on is shut out for ten minutes.
    silence: Duration::from_mins(1),
    // Sign, keyword or address do not fit; no such token.
    broken: &[310_000, 300_001, 300_005, 400_101, 400_102],
    refused: &[400_105, 460_101, 40035],
};

#[derive(Debug)]
pub(crate) struct DingTalk;

impl Platform for DingTalk {
    fn name(&self) -> &'static str {
        "dingtalk"
    }

    fn per_minute(&self) -> u32 {
        20
    }

    fn post(&self, target: &Target, message: &Message, plain: bool) -> Post {
        let mut url = target.url.clone();
        if target.secret.is_some() {
            let now = time::now();
            url.query_pairs_mut()
                .append_pair("timestamp", &now.to_string())
                .append_pair("sign", &sign::dingtalk(target.secret(), now));
        }
        Post::json(url, &payload(target, message, plain))
    }

    fn judge(&self, answer: &Answer) -> Verdict {
        judge::by_code(answer, &CODES)
    }
}

/// `mention = "all"` wakes everybody; anything else is a list of phone numbers.
fn payload(target: &Target, message: &Message, plain: bool) -> Value {
    let wake = target.wake(message);
    if plain || !wake.is_empty() || message.links.is_empty() {
        let numbers: Vec<&str> =
            wake.trim().split(',').filter(|number| !number.is_empty() && *number != "all").collect();
        let text = cut_by(&message.plain(neutral), TEXT, char::len_utf8);
        let at = json!({ "isAtAll": wake.trim() == "all", "atMobiles": numbers });
        return json!({ "msgtype": "text", "text": { "content": text }, "at": at });
    }
    let headline = message.headline(&neutral(&message.what));
    let text = format!("### {headline}\n\n{}", message.said(neutral).replace('\n', "\n\n"));
    let buttons: Vec<Value> =
        message.links.iter().map(|link| json!({ "title": link.label(), "actionURL": link.url.as_str() })).collect();
    json!({ "msgtype": "actionCard", "actionCard": {
        "title": cut_by(&headline, 200, char::len_utf8), "text": cut_by(&text, TEXT, char::len_utf8),
        "btnOrientation": "0", "btns": buttons,
    } })
}
