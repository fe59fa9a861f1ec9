//! Background work as a trace of its own: its lines have ids, its queries and calls are children of
//! its span, and a link leads from it to the request that caused it.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use opentelemetry::KeyValue;
use opentelemetry::trace::{Link, SpanContext, SpanKind, Status, TraceFlags, TraceState};
use tracing::Instrument as _;

use crate::context::Request;
use crate::propagation::{Parent, parse_traceparent};
use crate::subscriber;
use crate::traces::{self, new_trace_id};

/// Runs `work` as one piece of background work called `name`.
///
/// `cause` is the `traceparent` of the request that left the work behind, see
/// [`context::traceparent`](crate::context::traceparent). The job is sampled if that was, it links to
/// it, and its lines name it in `linked_trace_id`. Without a cause the job is sampled like a request.
pub async fn job<T>(name: &'static str, cause: Option<&str>, work: impl Future<Output = T>) -> T {
    let cause = cause.and_then(parse_traceparent);
    let sampled = subscriber::current(|core| {
        core.spans.wanted() && cause.map_or_else(|| core.sampling.decide(), |cause| cause.sampled)
    });
    let trace_id = new_trace_id();
    let request = Arc::new(Request::new(trace_id, None, None, sampled.unwrap_or_default()));
    if let Some(cause) = cause {
        request.put("linked_trace_id", cause.trace_id.to_string().into());
    }
    let mut ending = Ending { request: Arc::clone(&request), name, cause, started: Instant::now(), finished: false };
    let outcome = work.instrument(subscriber::root_span(request)).await;
    ending.finished = true;
    outcome
}

/// Ends a job once: when it is finished, or when it is dropped or panics before.
struct Ending {
    request: Arc<Request>,
    name: &'static str,
    cause: Option<Parent>,
    started: Instant,
    finished: bool,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if !self.request.sampled {
            return;
        }
        let mut span = traces::root(&self.request, SpanKind::Internal, self.name.into(), self.started.elapsed());
        span.links.links = self.cause.iter().map(|cause| link(cause.trace_id, cause.span_id)).collect();
        if !self.finished {
            let error_type = if std::thread::panicking() { "panic" } else { "cancelled" };
            span.attributes.push(KeyValue::new("error.type", error_type));
            span.status = Status::error(format!("the job did not end: {error_type}"));
        }
        subscriber::current(|core| core.spans.end(span));
    }
}

fn link(trace_id: opentelemetry::TraceId, span_id: opentelemetry::SpanId) -> Link {
    let context = SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, true, TraceState::default());
    Link::with_context(context)
}
