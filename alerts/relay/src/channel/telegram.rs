//! Telegram through a bot: plain text, so that nothing in it can be markup. Success is `"ok": true`.
use serde_json::{Value, json};

use super::{Answer, Platform, Post, Target, Verdict, judge};
use crate::message::{Message, cut_by, neutral};

/// Counted as Telegram does, in UTF-16.
const TEXT: usize = 4096;

#[derive(Debug)]
pub(crate) struct Telegram;

impl Platform for Telegram {
    fn name(&self) -> &'static str {
        "telegram"
    }

    fn home(&self) -> Option<&'static str> {
        Some("https://api.telegram.org")
    }

    fn per_minute(&self) -> u32 {
        20
    }

    fn lacks(&self, target: &Target) -> Option<&'static str> {
        let complete = target.secret.is_some() && !target.to.is_empty();
        (!complete).then_some("needs secret_file with the bot's token, and to with the chat's id")
    }

    fn post(&self, target: &Target, message: &Message, _plain: bool) -> Post {
        call(target, "sendMessage", message, &json!({}))
    }

    fn update(&self, target: &Target, handle: &str, message: &Message) -> Option<Post> {
        let message_id: i64 = handle.parse().ok()?;
        Some(call(target, "editMessageText", message, &json!({ "message_id": message_id })))
    }

    fn handle(&self, answer: &Answer) -> Option<String> {
        Some(judge::json(answer)?.get("result")?.get("message_id")?.as_i64()?.to_string())
    }

    fn judge(&self, answer: &Answer) -> Verdict {
        let body = judge::json(answer).unwrap_or_default();
        if body.get("ok") == Some(&json!(true)) && answer.status < 300 {
            return Verdict::Accepted;
        }
        let said = body.get("description").and_then(Value::as_str).unwrap_or_default();
        if said.contains("message is not modified") {
            return Verdict::Accepted;
        }
        let code = body.get("error_code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
        let answer = Answer {
            status: code.unwrap_or(answer.status),
            retry_after: answer.retry_after,
            body: answer.body.clone(),
        };
        if said.contains("chat not found") {
            return Verdict::ChannelBroken { why: said.to_owned() };
        }
        judge::by_status(&answer).unwrap_or_else(|| judge::no_success(&answer))
    }
}

fn call(target: &Target, method: &str, message: &Message, more: &Value) -> Post {
    let text = format!("{}{}", target.wake(message), message.plain(neutral));
    let mut body = json!({
        "chat_id": target.to,
        "text": cut_by(&text, TEXT, char::len_utf16),
        "link_preview_options": { "is_disabled": true },
    });
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    Post::json(target.at(&[&format!("bot{}", target.secret()), method]), &body)
}
