//! The one tracing layer. It writes lines, remembers which request a span belongs to, and passes only
//! the child spans of sampled requests on to OpenTelemetry: others are not created at all.
//!
//! The root span of a request is an ordinary tracing span without an OpenTelemetry twin; the middleware
//! sends that when the request ends. So a request that is not sampled pays for none of it.

use std::cell::Cell;
use std::sync::{Arc, PoisonError, RwLock};

use opentelemetry::Context as OtelContext;
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceFlags, TraceState, TracerProvider as _};
use opentelemetry_sdk::trace::SdkTracer;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Span, Subscriber, dispatcher};
use tracing_log::NormalizeEvent as _;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::Registry;

use crate::context::{ChildId, Request};
use crate::line::{self, Identity};
use crate::traces::{Sampling, Spans, new_span_id, with_next_span_id};
use crate::writer::Output;

/// Target of root spans, which no log filter may remove: they carry the context.
const ROOT: &str = "observability::request";

/// What lines, spans and the middleware share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) identity: Identity,
    pub(crate) filter: RwLock<Targets>,
    pub(crate) output: Output,
    pub(crate) sampling: Sampling,
    pub(crate) spans: Spans,
}

/// Reads the telemetry of this thread: the process's, or a test's own.
pub(crate) fn current<R>(read: impl FnOnce(&Arc<Core>) -> R) -> Option<R> {
    dispatcher::get_default(|dispatch| dispatch.downcast_ref::<TelemetryLayer>().map(|layer| Arc::clone(&layer.core)))
        .map(|core| read(&core))
}

/// Builds the subscriber. Installing it, for the process or for a thread, is up to the caller.
pub(crate) fn subscriber(core: Arc<Core>) -> impl Subscriber + Send + Sync {
    let tracer = core.spans.provider().tracer("observability");
    let otel = OpenTelemetryLayer::new(tracer)
        .with_context_activation(false)
        .with_tracked_inactivity(false)
        .with_location(false)
        .with_threads(false)
        .with_target(false);
    Registry::default().with(TelemetryLayer { core, otel })
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

thread_local! {
    static NEXT_REQUEST: Cell<Option<Arc<Request>>> = const { Cell::new(None) };
}

/// Opens the root span of a request.
pub(crate) fn root_span(request: Arc<Request>) -> Span {
    NEXT_REQUEST.set(Some(request));
    let span = tracing::error_span!(target: ROOT, parent: None, "request");
    NEXT_REQUEST.set(None);
    span
}

struct TelemetryLayer {
    core: Arc<Core>,
    otel: OpenTelemetryLayer<Registry, SdkTracer>,
}

impl TelemetryLayer {
    fn wants_event(&self, metadata: &Metadata<'_>) -> bool {
        let filter = self.core.filter.read().unwrap_or_else(PoisonError::into_inner);
        filter.would_enable(metadata.target(), metadata.level())
    }
}

impl Layer<Registry> for TelemetryLayer {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let sampled_spans_only = *metadata.level() <= Level::INFO;
        if metadata.is_event() {
            if self.wants_event(metadata) { Interest::always() } else { Interest::never() }
        } else if metadata.target() == ROOT {
            Interest::always()
        } else if sampled_spans_only {
            // The answer depends on the request, so it must not be cached.
            Interest::sometimes()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, ctx: Context<'_, Registry>) -> bool {
        if metadata.is_event() {
            return self.wants_event(metadata);
        }
        metadata.target() == ROOT
            || ctx
                .lookup_current()
                .is_some_and(|span| span.extensions().get::<Arc<Request>>().is_some_and(|request| request.sampled))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // Without a hint every `trace!` of every crate would look at its callsite.
        let filter = self.core.filter.read().unwrap_or_else(PoisonError::into_inner);
        let lines = filter.iter().map(|(_, level)| level).chain(filter.default_level()).max();
        lines.max(Some(LevelFilter::INFO))
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
                self.otel.on_new_span(attributes, id, ctx);
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
        let request = ctx.event_span(event).and_then(|span| span.extensions().get::<Arc<Request>>().map(Arc::clone));
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
    if attributes.metadata().target() == ROOT {
        span.extensions_mut().insert(NEXT_REQUEST.take()?);
        return None;
    }
    let above = span.parent()?;
    let extensions = above.extensions();
    let request = extensions.get::<Arc<Request>>().map(Arc::clone)?;
    let parent = extensions.get::<ChildId>().copied();
    let mut extensions = span.extensions_mut();
    extensions.insert(Arc::clone(&request));
    extensions.insert(ChildId(new_span_id()));
    Some((request, parent))
}

fn child_id(id: &Id, ctx: &Context<'_, Registry>) -> Option<ChildId> {
    ctx.span(id)?.extensions().get::<ChildId>().copied()
}
