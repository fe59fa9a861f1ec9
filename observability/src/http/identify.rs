//! Who asks: the ids a request arrives with or is given, and the headers that say them back.

use std::sync::Arc;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::context::Request;
use crate::layer::Core;
use crate::propagation::{accept_request_id, accept_tracestate, accepts_baggage, parse_traceparent};
use crate::traces::new_trace_id;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACE_STATE: HeaderName = HeaderName::from_static("tracestate");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
const TRACE_RESPONSE: HeaderName = HeaderName::from_static("traceresponse");

/// Reads the ids, and decides on sampling before anything expensive happens.
// Not inlined, so that a profile can name it.
#[inline(never)]
pub(super) fn identify(headers: &HeaderMap, core: Option<&Core>) -> Arc<Request> {
    let parent = only(headers, &TRACE_PARENT).and_then(parse_traceparent);
    let trace_id = parent.map_or_else(new_trace_id, |parent| parent.trace_id);
    let sampled = core.is_some_and(|core| {
        core.spans.wanted() && parent.map_or_else(|| core.sampling.decide(), |parent| parent.sampled)
    });
    let request_id = only(headers, &REQUEST_ID).and_then(accept_request_id);
    let mut request = Request::new(trace_id, parent, request_id, sampled);
    if parent.is_some() {
        request.tracestate = joined(headers, &TRACE_STATE).and_then(|state| accept_tracestate(&state));
    }
    request.baggage = joined(headers, &BAGGAGE).filter(|baggage| accepts_baggage(baggage));
    Arc::new(request)
}

/// A header that may stand only once: twice is malformed, so it counts as absent.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name);
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

/// A list header, whose lines are joined in their order. One that is no text spoils all.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?;
    let values: Result<Vec<_>, _> = headers.get_all(name).map(HeaderValue::to_str).collect();
    Some(values.ok()?.join(","))
}

/// Says the ids back to the caller. `traceresponse` only where there is a trace to open.
pub(super) fn mark(headers: &mut HeaderMap, request: &Request) {
    if let Ok(value) = HeaderValue::from_bytes(request.request_id()) {
        headers.insert(REQUEST_ID, value);
    }
    if request.sampled
        && let Ok(value) =
            HeaderValue::from_str(&format!("00-{}-{}-01", request.trace_hex.as_str(), request.span_hex.as_str()))
    {
        headers.insert(TRACE_RESPONSE, value);
    }
}
