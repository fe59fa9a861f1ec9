//! The one tracing layer. It writes lines, remembers which request a span belongs to, and passes only
//! the child spans of sampled requests on to OpenTelemetry: others are not created at all.
//!
//! The root span of a request has no OpenTelemetry twin; the middleware sends that when the request
//! ends. So a request that is not sampled pays for none of it.

use std::cell::Cell;
use std::sync::Arc;

use opentelemetry::Context as OtelContext;
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceFlags, TraceState, TracerProvider as _};
use opentelemetry_sdk::trace::SdkTracer;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata};
use tracing_log::NormalizeEvent as _;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{Registry, SpanRef};

use crate::context::{ChildId, Request, at_work};
use crate::line::{self, Identity};
use crate::logs::Filter;
use crate::subscriber::NEXT_REQUEST;
use crate::traces::{SCOPE, Sampling, Spans, new_span_id, with_next_span_id};
use crate::writer::Output;

/// What lines, spans and the middleware share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) identity: Identity,
    pub(crate) filter: Filter,
    pub(crate) output: Output,
    pub(crate) sampling: Sampling,
    pub(crate) spans: Spans,
}

thread_local! {
    static GENERATION: Cell<u32> = const { Cell::new(0) };
}

/// Changes when this thread's telemetry does, which only tests do: what was made for the old one is stale.
pub(crate) fn generation() -> u32 {
    GENERATION.get()
}

/// Says that this thread's telemetry has changed.
pub(crate) fn renew() {
    GENERATION.set(GENERATION.get().wrapping_add(1));
}

pub(crate) struct TelemetryLayer {
    core: Arc<Core>,
    otel: OpenTelemetryLayer<Registry, SdkTracer>,
}

impl TelemetryLayer {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        let otel = OpenTelemetryLayer::new(core.spans.provider().tracer(SCOPE))
            .with_context_activation(false)
            .with_tracked_inactivity(false)
            .with_location(false)
            .with_threads(false)
            .with_target(false);
        Self { core, otel }
    }
}

impl Layer<Registry> for TelemetryLayer {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.is_event() {
            if self.core.filter.allows(metadata.target(), *metadata.level()) {
                Interest::always()
            } else {
                Interest::never()
            }
        } else if *metadata.level() <= Level::INFO {
            // The answer depends on the request, so it must not be cached.
            Interest::sometimes()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, ctx: Context<'_, Registry>) -> bool {
        if metadata.is_event() {
            return self.core.filter.allows(metadata.target(), *metadata.level());
        }
        ctx.lookup_current().and_then(|span| request_of(&span)).or_else(at_work).is_some_and(|request| request.sampled)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // Without a hint every `trace!` of every crate would look at its callsite.
        self.core.filter.most().max(Some(LevelFilter::INFO))
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, Registry>) {
        match adopt(attributes, id, &ctx) {
            Some((_, Some(ChildId(parent)))) => {
                with_next_span_id(Some(parent), || self.otel.on_new_span(attributes, id, ctx));
            }
            Some((request, None)) => {
                let (trace_id, span_id) = (request.trace_id, request.span_id);
                let root = SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, false, TraceState::default());
                let _parent = OtelContext::new().with_remote_span_context(root).attach();
                // A root that is named as the parent has no OpenTelemetry twin to be found by: it is the context, too.
                let contextual = Attributes::new(attributes.metadata(), attributes.values());
                self.otel.on_new_span(&contextual, id, ctx);
            }
            None => {}
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, Registry>) {
        if child_id(id, &ctx).is_some() {
            self.otel.on_record(id, values, ctx);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, Registry>) {
        let request = ctx.event_span(event).and_then(|span| request_of(&span)).or_else(at_work);
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        line::write(&self.core, metadata, event, request.as_deref());
    }

    fn on_close(&self, id: Id, ctx: Context<'_, Registry>) {
        if let Some(ChildId(own)) = child_id(&id, &ctx) {
            with_next_span_id(Some(own), || self.otel.on_close(id, ctx));
        }
    }
}

/// Ties a new span to its request. For a span below the root, says which request and which parent.
fn adopt(attributes: &Attributes<'_>, id: &Id, ctx: &Context<'_, Registry>) -> Option<(Arc<Request>, Option<ChildId>)> {
    let span = ctx.span(id)?;
    if let Some(request) = NEXT_REQUEST.take() {
        span.extensions_mut().insert(request);
        return None;
    }
    let parent = span.parent().and_then(|above| above.extensions().get::<ChildId>().copied());
    let request = match span.parent() {
        Some(above) => request_of(&above)?,
        None if attributes.is_contextual() => at_work()?,
        None => return None,
    };
    let mut extensions = span.extensions_mut();
    extensions.insert(Arc::clone(&request));
    extensions.insert(ChildId(new_span_id()));
    Some((request, parent))
}

fn request_of(span: &SpanRef<'_, Registry>) -> Option<Arc<Request>> {
    span.extensions().get().map(Arc::clone)
}

fn child_id(id: &Id, ctx: &Context<'_, Registry>) -> Option<ChildId> {
    ctx.span(id)?.extensions().get().copied()
}
