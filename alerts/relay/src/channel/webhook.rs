//! A generic webhook: the incident as one JSON object, for gateways and programs of one's own.
use serde_json::{Value, json};

use super::{Answer, Platform, Verdict, judge};
use crate::message::Message;
use crate::time;

#[derive(Debug)]
pub(crate) struct Webhook;

impl Platform for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn payload(&self, message: &Message, plain: bool) -> Value {
        let text = message.plain(str::to_owned);
        if plain {
            return json!({ "text": text });
        }
        let links: serde_json::Map<String, Value> =
            message.links.iter().map(|link| (link.name.to_lowercase(), link.url.as_str().into())).collect();
        json!({
            "version": 1,
            "event": message.subject.name(),
            "code": message.code,
            "alertname": message.alertname,
            "failure_type": message.failure_type,
            "service": message.service,
            "env": message.env,
            "severity": message.severity,
            "summary": message.what,
            "impact": message.impact,
            "first_step": message.first_step,
            "started_at": time::rfc3339(message.started_at),
            "resolved_at": message.resolved_at.map(time::rfc3339),
            "links": links,
            "text": text,
        })
    }

    /// Any 2xx, unless the body says in one of the usual ways that it failed all the same.
    fn judge(&self, answer: &Answer) -> Verdict {
        judge::by_status(answer).unwrap_or_else(|| {
            let body = judge::json(answer).unwrap_or_default();
            let is_false = |name| body.get(name).and_then(Value::as_bool) == Some(false);
            let is_error = |name| body.get(name).and_then(Value::as_i64).is_some_and(|code| code != 0);
            if is_false("ok") || is_false("success") || is_error("errcode") {
                judge::no_success(answer)
            } else {
                Verdict::Accepted
            }
        })
    }
}
