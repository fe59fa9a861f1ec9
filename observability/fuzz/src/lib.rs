//! One request through the middleware, with headers from a fuzzer: what is said back, and what would be sent on.

use std::collections::HashMap;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::rt::System;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, web};
use observability::{context, http};

/// What came of a request.
pub struct Seen {
    /// `x-request-id` of the answer.
    pub request_id: String,
    /// Headers for the next service.
    pub sent_on: HashMap<String, String>,
}

type Ask = &'static dyn Fn(TestRequest) -> Seen;

/// Asks with `input` as the value of `header`, one value a line. None where HTTP itself forbids it.
pub fn ask(header: &'static str, more: &[(&'static str, &'static str)], input: &[u8]) -> Option<Seen> {
    thread_local!(static ASK: Ask = service());
    let mut request = TestRequest::get();
    for pair in more {
        request = request.append_header(*pair);
    }
    for line in input.split(|byte| *byte == b'\n') {
        request = request.append_header((HeaderName::from_static(header), HeaderValue::from_bytes(line).ok()?));
    }
    Some(ASK.with(|ask| ask(request)))
}

fn service() -> Ask {
    let system = System::new();
    let handler = web::to(async || web::Json(context::propagation_headers()));
    let app = system.block_on(init_service(App::new().wrap(http::observe()).default_service(handler)));
    // Leaked: at the end of the process, what it holds is gone already.
    Box::leak(Box::new(move |request: TestRequest| {
        system.block_on(async {
            let response = call_service(&app, request.to_request()).await;
            let request_id = response.headers().get("x-request-id").expect("an id").to_str().expect("text").to_owned();
            let sent_on: Vec<(String, String)> = serde_json::from_slice(&read_body(response).await).expect("pairs");
            Seen { request_id, sent_on: sent_on.into_iter().collect() }
        })
    }))
}

/// Whether `text` is so many lower-case hexadecimal digits, and not all 0.
pub fn is_id(text: &str, length: usize) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    text.len() == length && digits && text.bytes().any(|byte| byte != b'0')
}
