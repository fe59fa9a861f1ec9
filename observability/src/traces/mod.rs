//! Spans: their ids, whether they are sampled, and where they go when they end.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{IdGenerator, Sampler, SdkTracerProvider, Span, SpanData, SpanProcessor};
use tracing::Level;

mod encode;
mod export;
mod outbox;
mod template;

use crate::context::Request;
use crate::init::{InitError, Service};
use crate::{line, subscriber};
use export::Exporter;

/// The share of new traces that is sent, 0 to 1. 0 when telemetry is not set up.
#[must_use]
pub fn ratio() -> f64 {
    subscriber::current(|core| core.sampling.ratio()).unwrap_or_default()
}

/// Changes the share of new traces that is sent, from the next request on.
///
/// # Errors
/// When the ratio is not within 0 to 1, or telemetry is not set up.
pub fn set_ratio(ratio: f64) -> Result<(), String> {
    if !(0.0..=1.0).contains(&ratio) {
        return Err(format!("a sampling ratio is a number from 0 to 1, not {ratio}"));
    }
    subscriber::current(|core| core.sampling.set(ratio)).ok_or("telemetry is not set up")?;
    subscriber::current(|core| {
        line::tell(core, Level::INFO, module_path!(), "sampling changed", &[("ratio", ratio.into())]);
    });
    Ok(())
}

/// The head sampling decision for traces that begin here.
#[derive(Debug)]
pub(crate) struct Sampling(AtomicU64);

impl Sampling {
    pub(crate) fn new(ratio: f64) -> Self {
        Self(AtomicU64::new(ratio.to_bits()))
    }

    fn ratio(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    fn set(&self, ratio: f64) {
        self.0.store(ratio.to_bits(), Ordering::Relaxed);
    }

    pub(crate) fn decide(&self) -> bool {
        let ratio = self.ratio();
        ratio >= 1.0 || (ratio > 0.0 && fastrand::f64() < ratio)
    }
}

/// A random, valid trace id.
pub(crate) fn new_trace_id() -> TraceId {
    TraceId::from(fastrand::u128(1..))
}

/// A random, valid span id.
pub(crate) fn new_span_id() -> SpanId {
    SpanId::from(fastrand::u64(1..))
}

/// The instrumentation scope of all spans.
pub(crate) const SCOPE: &str = "observability";
static INSTRUMENTATION_SCOPE: LazyLock<InstrumentationScope> =
    LazyLock::new(|| InstrumentationScope::builder(SCOPE).build());

/// The span of a request or a job that ends now and took so long, with the fields it was given.
pub(crate) fn root(request: &Request, span_kind: SpanKind, name: Cow<'static, str>, took: Duration) -> SpanData {
    let end_time = SystemTime::now();
    let context =
        SpanContext::new(request.trace_id, request.span_id, TraceFlags::SAMPLED, false, TraceState::default());
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let fields = |fields: &[(&'static str, serde_json::Value)]| -> Vec<_> {
        fields.iter().map(|(key, value)| KeyValue::new(*key, text(value))).collect()
    };
    SpanData {
        span_context: context,
        parent_span_id: request.parent.map_or(SpanId::INVALID, |parent| parent.span_id),
        parent_span_is_remote: request.parent.is_some(),
        span_kind,
        name,
        // From one timer: the line and the histogram say the same duration.
        start_time: end_time - took,
        end_time,
        attributes: request.with_fields(fields),
        dropped_attributes_count: 0,
        events: opentelemetry_sdk::trace::SpanEvents::default(),
        links: opentelemetry_sdk::trace::SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: INSTRUMENTATION_SCOPE.clone(),
    }
}

thread_local! {
    /// The id of the span that OpenTelemetry is about to start: it starts spans lazily, and by then
    /// outgoing headers may have named it.
    static NEXT_SPAN_ID: Cell<Option<SpanId>> = const { Cell::new(None) };
}

/// Runs `work`, in which OpenTelemetry may start one span; if it does, the span gets this id.
pub(crate) fn with_next_span_id<R>(id: Option<SpanId>, work: impl FnOnce() -> R) -> R {
    NEXT_SPAN_ID.set(id);
    let result = work();
    NEXT_SPAN_ID.set(None);
    result
}

#[derive(Debug)]
struct GivenIds;

impl IdGenerator for GivenIds {
    fn new_trace_id(&self) -> TraceId {
        new_trace_id()
    }

    fn new_span_id(&self) -> SpanId {
        NEXT_SPAN_ID.take().unwrap_or_else(new_span_id)
    }
}

/// Where ended spans go. Cheap to clone; the root spans and the SDK's tracer share one.
#[derive(Clone, Debug)]
pub(crate) enum Spans {
    /// Nothing is sent; ids exist all the same.
    Nowhere,
    /// Over OTLP, to a collector.
    Collector(Arc<Exporter>),
    /// A test's memory.
    Memory(Arc<Mutex<Vec<SpanData>>>),
}

impl Spans {
    /// Sends OTLP over HTTP to `<endpoint>/v1/traces`.
    pub(crate) fn over_otlp(endpoint: &str, service: &Service, environment: &str) -> Result<Self, InitError> {
        let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        let exporter = Exporter::start(&url, &resource(service, environment)).map_err(InitError::Exporter)?;
        Ok(Self::Collector(Arc::new(exporter)))
    }

    /// Whether anything is sent at all. If not, no request is sampled.
    pub(crate) fn wanted(&self) -> bool {
        !matches!(self, Self::Nowhere)
    }

    /// Hands an ended span over. Never waits.
    pub(crate) fn end(&self, span: SpanData) {
        match self {
            Self::Nowhere => {}
            Self::Collector(exporter) => exporter.take(span),
            Self::Memory(spans) => spans.lock().unwrap_or_else(PoisonError::into_inner).push(span),
        }
    }

    /// The tracer for spans below the root. Their sampling was decided with the root.
    pub(crate) fn provider(&self) -> SdkTracerProvider {
        SdkTracerProvider::builder()
            .with_sampler(Sampler::AlwaysOn)
            .with_id_generator(GivenIds)
            .with_span_processor(self.clone())
            .build()
    }

    /// Sends what waits, and stops. Returns after three seconds at the latest.
    pub(crate) fn shut_down(&self) {
        if let Self::Collector(exporter) = self {
            exporter.shut_down();
        }
    }
}

impl SpanProcessor for Spans {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        // The guard ends the exporter, once, in its order.
        Ok(())
    }
}

fn resource(service: &Service, environment: &str) -> Resource {
    Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", service.name),
            KeyValue::new("service.version", service.version),
            KeyValue::new("deployment.environment.name", environment.to_owned()),
        ])
        .build()
}
