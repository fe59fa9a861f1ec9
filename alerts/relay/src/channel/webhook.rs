//! A generic webhook: the incident as a JSON object or by a template, signed when there is a secret. For SMS and phone
//! gateways, a rollback hook, and programs of one's own.
use minijinja::Environment;
use serde_json::{Value, json};

use super::{Answer, Platform, Post, Target, Verdict, judge, sign};
use crate::message::Message;
use crate::time;

#[derive(Debug)]
pub(crate) struct Webhook;

impl Platform for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn per_minute(&self) -> u32 {
        600
    }

    fn lacks(&self, target: &Target) -> Option<&'static str> {
        let sample = view(&Message::sample(crate::incident::Subject::Test));
        let rendered = target.body.as_ref().map(|template| render(template, &sample));
        matches!(rendered, Some(Err(_))).then_some("has a body that is no template; {{ text | tojson }} is one")
    }

    fn post(&self, target: &Target, message: &Message, plain: bool) -> Post {
        let view = if plain { json!({ "text": message.plain(str::to_owned) }) } else { view(message) };
        let rendered = target.body.as_ref().and_then(|template| render(template, &self::view(message)).ok());
        let body = rendered.unwrap_or_else(|| view.to_string());
        let mut post = Post::json(target.url.clone(), &Value::Null);
        if target.secret.is_some() {
            let now = time::now() / 1000;
            post.headers.push(("x-relay-timestamp", now.to_string()));
            post.headers.push(("x-relay-signature", sign::v0(target.secret(), now, &body)));
        }
        Post { body, ..post }
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

fn render(template: &str, view: &Value) -> Result<String, minijinja::Error> {
    Environment::new().render_str(template, view)
}

fn view(message: &Message) -> Value {
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
        "headline": message.headline(&message.what),
        "text": message.plain(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::Subject;

    #[test]
    fn a_template_shapes_the_body_and_what_is_sent_is_what_is_signed() {
        let target = Target {
            url: "https://sms.example/send".parse().unwrap(),
            secret: Some("key".into()),
            to: String::new(),
            mention: String::new(),
            body: Some(r#"{"to": "+49", "text": {{ headline | tojson }}}"#.into()),
        };
        assert_eq!(Webhook.lacks(&target), None);
        let post = Webhook.post(&target, &Message::sample(Subject::Firing), false);
        let body: Value = serde_json::from_str(&post.body).unwrap();
        assert!(body["text"].as_str().unwrap().contains("FIRING"));
        let header = |name| post.headers.iter().find(|(known, _)| *known == name).unwrap().1.clone();
        let at: i64 = header("x-relay-timestamp").parse().unwrap();
        assert_eq!(header("x-relay-signature"), sign::v0("key", at, &post.body));
        let broken = Target { body: Some("{{ text".into()), ..target };
        assert!(Webhook.lacks(&broken).is_some());
    }
}
