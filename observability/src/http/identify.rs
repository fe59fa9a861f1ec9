//! Who asks: the ids a request arrives with or is given, and the headers that say them back.

use std::sync::Arc;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::context::Request;
use crate::layer;
use crate::propagation::{accept_request_id, accept_state, parse_traceparent};
use crate::traces::{new_span_id, new_trace_id};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACE_RESPONSE: HeaderName = HeaderName::from_static("traceresponse");

/// Reads the ids, and decides on sampling before anything expensive happens.
pub(super) fn identify(headers: &HeaderMap) -> Arc<Request> {
    let parent = only(headers, "traceparent").and_then(parse_traceparent);
    let trace_id = parent.map_or_else(new_trace_id, |parent| parent.trace_id);
    let sampled = layer::current(|core| {
        core.spans.wanted() && parent.map_or_else(|| core.sampling.decide(), |parent| parent.sampled)
    });
    let request_id =
        only(headers, "x-request-id").and_then(accept_request_id).map_or_else(|| trace_id.to_string(), str::to_owned);
    let mut request = Request::new(request_id, trace_id, new_span_id(), parent, sampled.unwrap_or_default());
    if parent.is_some() {
        request.tracestate = joined(headers, "tracestate");
    }
    request.baggage = joined(headers, "baggage");
    Arc::new(request)
}

/// A header that may stand only once: twice is malformed, so it counts as absent.
fn only<'a>(headers: &'a HeaderMap, name: &'static str) -> Option<&'a str> {
    let mut values = headers.get_all(name);
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

/// A list header, whose lines are joined in their order.
fn joined(headers: &HeaderMap, name: &'static str) -> Option<String> {
    let values: Vec<_> = headers.get_all(name).filter_map(|value| value.to_str().ok()).collect();
    accept_state(&values.join(",")).map(str::to_owned)
}

/// Says the ids back to the caller. `traceresponse` only where there is a trace to open.
pub(super) fn mark(headers: &mut HeaderMap, request: &Request) {
    if let Ok(value) = HeaderValue::from_str(&request.request_id) {
        headers.insert(REQUEST_ID, value);
    }
    if request.sampled
        && let Ok(value) = HeaderValue::from_str(&format!("00-{}-{}-01", request.trace_id, request.span_id))
    {
        headers.insert(TRACE_RESPONSE, value);
    }
}
