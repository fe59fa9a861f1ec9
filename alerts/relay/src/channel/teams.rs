//! Microsoft Teams through a workflow: an adaptive card. It answers 202 before the card is posted, and says no more.
use serde_json::{Value, json};

use super::{Answer, Platform, Post, Target, Verdict, judge};
use crate::message::{Message, cut, neutral};

const TEXT: usize = 4000;
const LINKS: usize = 6;

#[derive(Debug)]
pub(crate) struct Teams;

impl Platform for Teams {
    fn name(&self) -> &'static str {
        "teams"
    }

    fn post(&self, target: &Target, message: &Message, plain: bool) -> Post {
        let block = |text: &str, more: Value| {
            let mut block = json!({ "type": "TextBlock", "wrap": true, "text": cut(text, TEXT) });
            if let (Some(block), Value::Object(more)) = (block.as_object_mut(), more) {
                block.extend(more);
            }
            block
        };
        let headline = message.headline(&neutral(&message.what));
        let blocks = if plain {
            vec![block(&message.plain(neutral), json!({}))]
        } else {
            vec![
                block(&headline, json!({ "weight": "Bolder" })),
                block(&message.said(neutral), json!({})),
                block(&message.footer(neutral), json!({ "isSubtle": true })),
            ]
        };
        let links = message.links.iter().filter(|_| !plain).take(LINKS);
        let actions: Vec<Value> = links
            .map(|link| json!({ "type": "Action.OpenUrl", "title": link.label(), "url": link.url.as_str() }))
            .collect();
        let card = json!({
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard", "version": "1.4", "body": blocks, "actions": actions,
        });
        let kind = "application/vnd.microsoft.card.adaptive";
        let body = json!({ "type": "message", "attachments": [{ "contentType": kind, "content": card }] });
        Post::json(target.url.clone(), &body)
    }

    fn judge(&self, answer: &Answer) -> Verdict {
        match answer.status {
            202 => Verdict::Accepted,
            _ => judge::by_status(answer).unwrap_or_else(|| judge::no_success(answer)),
        }
    }
}
