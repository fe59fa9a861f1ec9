//! The body of every error answer: RFC 9457, with the ids that lead to its lines and its trace.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::context;

/// An error as the client sees it.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Last part of its `type`, `/problems/<kind>`: the failure type, or what the client did wrong.
    pub kind: &'static str,
    /// The status of the answer, also in the body.
    pub status: StatusCode,
    /// What is wrong, the same for every occurrence.
    pub title: &'static str,
    /// What is wrong this time. No causes, no internals.
    pub detail: String,
}

impl Problem {
    /// The `application/problem+json` answer.
    #[must_use]
    pub fn response(&self) -> HttpResponse {
        self.response_with(Map::new())
    }

    /// The same with further members, for example `errors` per field.
    #[must_use]
    pub fn response_with(&self, members: Map<String, Value>) -> HttpResponse {
        let mut body = Map::new();
        body.insert("type".into(), json!(format!("/problems/{}", self.kind)));
        body.insert("title".into(), json!(self.title));
        body.insert("status".into(), json!(self.status.as_u16()));
        body.insert("detail".into(), json!(self.detail));
        body.insert("request_id".into(), json!(context::request_id()));
        body.insert("trace_id".into(), json!(context::trace_id()));
        body.extend(members);
        HttpResponse::build(self.status).content_type("application/problem+json").body(Value::Object(body).to_string())
    }
}
