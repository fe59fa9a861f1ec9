//! `WeCom`'s group robot: 20 messages a minute, limits in bytes, and HTTP 200 whatever happens.
use std::time::Duration;

use serde_json::json;

use super::{Answer, Platform, Post, Target, Verdict, judge};
use crate::message::{Message, neutral};

const TEXT: usize = 2048;
const MARKDOWN: usize = 4096;
const CODES: judge::Codes = judge::Codes {
    field: "errcode",
    throttled: &[45009, 45033],
    silence: Duration::from_mins(1),
    broken: &[93000, 93008, 40001, 40014],
    refused: &[40058, 44004, 45002],
};

#[derive(Debug)]
pub(crate) struct WeCom;

impl Platform for WeCom {
    fn name(&self) -> &'static str {
        "wecom"
    }

    fn per_minute(&self) -> u32 {
        20
    }

    fn digest(&self) -> usize {
        1600
    }

    fn post(&self, target: &Target, message: &Message, plain: bool) -> Post {
        let wake = target.wake(message);
        let text = |most| message.plain_within(&wake, most, char::len_utf8, neutral);
        let body = if plain {
            json!({ "msgtype": "text", "text": { "content": text(TEXT) } })
        } else {
            json!({ "msgtype": "markdown", "markdown": { "content": text(MARKDOWN) } })
        };
        Post::json(target.url.clone(), &body)
    }

    fn judge(&self, answer: &Answer) -> Verdict {
        judge::by_code(answer, &CODES)
    }
}
