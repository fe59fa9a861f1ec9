//! The request's context. The span is the MDC: what is put here stands on every later line of the
//! request, in nested spans and spawned tasks too.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use opentelemetry::trace::{SpanId, TraceId};
use serde_json::Value;
use tracing::span::Id;

use crate::hex::Hex;
use crate::propagation::Parent;
use crate::subscriber;
use crate::traces::new_span_id;

/// Keys that a line sets itself. They win over context keys of the same name.
pub(crate) const RESERVED: [&str; 10] =
    ["timestamp", "level", "message", "service", "version", "env", "target", "request_id", "trace_id", "span_id"];

/// Keys that a closing line or the request's span sets itself. A context field of the same name would be a second one.
const CLOSING: [&str; 10] = [
    "http.request.method",
    "http.request.method_original",
    "http.route",
    "http.response.status_code",
    "duration_ms",
    "failure_type",
    "cause",
    "error.type",
    "url.path",
    "url.scheme",
];

/// Most fields a request can carry: a loop that puts must not grow a line without bound.
const MAX_FIELDS: usize = 32;

/// One request: its ids, and what handlers have said about it. Shared by all its spans.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) trace_id: TraceId,
    pub(crate) trace_hex: Hex<32>,
    pub(crate) span_id: SpanId,
    pub(crate) span_hex: Hex<16>,
    pub(crate) parent: Option<Parent>,
    pub(crate) sampled: bool,
    pub(crate) tracestate: Option<String>,
    pub(crate) baggage: Option<String>,
    /// The caller's, where it sent one; else the trace id serves.
    own_request_id: Option<Box<str>>,
    fields: Mutex<Vec<(&'static str, Value)>>,
    /// The tracing span, where somebody has asked for it.
    pub(crate) span: OnceLock<Id>,
}

/// The id of a span below the root, known before OpenTelemetry starts it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChildId(pub(crate) SpanId);

impl Request {
    pub(crate) fn new(trace_id: TraceId, parent: Option<Parent>, own_request_id: Option<&str>, sampled: bool) -> Self {
        let span_id = new_span_id();
        Self {
            trace_id,
            trace_hex: Hex::of(&trace_id.to_bytes()),
            span_id,
            span_hex: Hex::of(&span_id.to_bytes()),
            parent,
            sampled,
            tracestate: None,
            baggage: None,
            own_request_id: own_request_id.map(Into::into),
            fields: Mutex::default(),
            span: OnceLock::new(),
        }
    }

    /// The caller's request id, else the trace id.
    pub(crate) fn request_id(&self) -> &[u8] {
        self.own_request_id.as_deref().map_or(self.trace_hex.bytes(), str::as_bytes)
    }

    pub(crate) fn own_request_id(&self) -> Option<&str> {
        self.own_request_id.as_deref()
    }

    pub(crate) fn put(&self, key: &'static str, value: Value) {
        if RESERVED.contains(&key) || CLOSING.contains(&key) {
            return;
        }
        let mut fields = self.fields.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, held)) = fields.iter_mut().find(|(held, _)| *held == key) {
            *held = value;
        } else if fields.len() < MAX_FIELDS {
            fields.push((key, value));
        }
    }

    pub(crate) fn with_fields<R>(&self, read: impl FnOnce(&[(&'static str, Value)]) -> R) -> R {
        read(&self.fields.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Adds a field to every later line of this request, and to its span. Never to a metric.
///
/// Outside a request it does nothing. Reserved keys (`timestamp`, `level`, `message`, ids, …) are
/// left alone, and personal data does not belong here.
pub fn put(key: &'static str, value: impl Into<Value>) {
    if let Some(request) = current() {
        request.put(key, value.into());
    }
}

/// Reads a field that was [`put`] on this request.
#[must_use]
pub fn get(key: &str) -> Option<Value> {
    current()?.with_fields(|fields| fields.iter().find(|(held, _)| *held == key).map(|(_, value)| value.clone()))
}

/// The request's id, as sent by the caller or made here.
#[must_use]
pub fn request_id() -> Option<String> {
    current().map(|request| request.own_request_id().unwrap_or(request.trace_hex.as_str()).to_owned())
}

/// The request's trace id, 32 hexadecimal digits.
#[must_use]
pub fn trace_id() -> Option<String> {
    current().map(|request| request.trace_hex.as_str().to_owned())
}

/// The current position in the request's trace, as a `traceparent` header has it: to be kept beside
/// work that is left for later, and given to [`job`](crate::job) then.
#[must_use]
pub fn traceparent() -> Option<String> {
    let (request, child) = current_with_child()?;
    let span_id = child.map_or(request.span_id, |child| child.0);
    // Where nothing is sent from here, the caller's decision goes on to those who do send.
    let flags = u8::from(request.sampled || request.parent.is_some_and(|parent| parent.sampled));
    Some(format!("00-{}-{span_id}-{flags:02x}", request.trace_id))
}

/// The headers that carry this request on to the service it calls.
#[must_use]
pub fn propagation_headers() -> Vec<(&'static str, String)> {
    let (Some(request), Some(traceparent), Some(request_id)) = (current(), traceparent(), request_id()) else {
        return Vec::new();
    };
    let mut headers = vec![("traceparent", traceparent), ("x-request-id", request_id)];
    let state = request.tracestate.clone().map(|state| ("tracestate", state));
    let baggage = request.baggage.clone().map(|baggage| ("baggage", baggage));
    headers.extend(state.into_iter().chain(baggage));
    headers
}

pub(crate) fn current() -> Option<Arc<Request>> {
    current_with_child().map(|(request, _)| request)
}

/// Of the innermost span; else of the request this thread works on.
fn current_with_child() -> Option<(Arc<Request>, Option<ChildId>)> {
    subscriber::innermost().or_else(|| Some((at_work()?, None)))
}

thread_local! {
    static AT_WORK: RefCell<Option<Arc<Request>>> = const { RefCell::new(None) };
}

/// Makes `request` the one this thread works on, until the guard is dropped. A request that nobody has
/// asked a span of costs no more than this.
pub(crate) fn work_on(request: &Arc<Request>) -> AtWork {
    AtWork(AT_WORK.replace(Some(Arc::clone(request))))
}

/// Holds what this thread worked on before.
pub(crate) struct AtWork(Option<Arc<Request>>);

impl Drop for AtWork {
    fn drop(&mut self) {
        AT_WORK.set(self.0.take());
    }
}

/// The request this thread works on.
pub(crate) fn at_work() -> Option<Arc<Request>> {
    // At the end of a thread there may be lines, but no more requests.
    AT_WORK.try_with(|request| request.borrow().clone()).ok().flatten()
}
