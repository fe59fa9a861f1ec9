//! Background work as a trace of its own: its lines have ids, its queries and calls are children of
//! its span, and a link leads from it to the request that caused it.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use opentelemetry::trace::{Link, SpanContext, SpanKind, TraceFlags, TraceState};
use tracing::Instrument as _;

use crate::context::Request;
use crate::propagation::parse_traceparent;
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
    let started = Instant::now();
    let outcome = work.instrument(subscriber::root_span(Arc::clone(&request))).await;
    if request.sampled {
        let mut span = traces::root(&request, SpanKind::Internal, name.into(), started.elapsed());
        span.links.links = cause.iter().map(|cause| link(cause.trace_id, cause.span_id)).collect();
        subscriber::current(|core| core.spans.end(span));
    }
    outcome
}

fn link(trace_id: opentelemetry::TraceId, span_id: opentelemetry::SpanId) -> Link {
    let context = SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, true, TraceState::default());
    Link::with_context(context)
}
