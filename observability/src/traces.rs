//! Spans on their way out: ids, sampling, the bounded queue, OTLP. Every span that is lost is counted.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, IdGenerator, Sampler, SdkTracerProvider, Span, SpanData, SpanProcessor,
};

use crate::context::Request;
use crate::init::{InitError, Service};
use crate::layer;
use crate::logs::once_a_minute;
use crate::metrics::DROPPED;

/// Spans that may wait for the exporter. At about 1 KiB a span this bounds memory to a few MiB.
const QUEUE: usize = 4096;
/// How long ending the process may wait for spans to leave.
const SHUTDOWN: Duration = Duration::from_secs(3);

/// The share of new traces that is sent, 0 to 1. 0 when telemetry is not set up.
#[must_use]
pub fn ratio() -> f64 {
    layer::current(|core| core.sampling.ratio()).unwrap_or_default()
}

/// Changes the share of new traces that is sent, from the next request on.
///
/// # Errors
/// When the ratio is not within 0 to 1, or telemetry is not set up.
pub fn set_ratio(ratio: f64) -> Result<(), String> {
    if !(0.0..=1.0).contains(&ratio) {
        return Err(format!("a sampling ratio is a number from 0 to 1, not {ratio}"));
    }
    layer::current(|core| core.sampling.set(ratio)).ok_or("telemetry is not set up")?;
    tracing::info!(ratio, "sampling changed");
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

static SCOPE: LazyLock<InstrumentationScope> = LazyLock::new(|| InstrumentationScope::builder("observability").build());

/// The span of a request or a job that ends now, with the fields it was given.
pub(crate) fn root(
    request: &Request,
    span_kind: SpanKind,
    name: Cow<'static, str>,
    start_time: SystemTime,
) -> SpanData {
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
        start_time,
        end_time: SystemTime::now(),
        attributes: request.with_fields(fields),
        dropped_attributes_count: 0,
        events: opentelemetry_sdk::trace::SpanEvents::default(),
        links: opentelemetry_sdk::trace::SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: SCOPE.clone(),
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
pub(crate) struct Spans {
    processor: Option<Arc<dyn SpanProcessor>>,
    waiting: Arc<AtomicUsize>,
}

impl Spans {
    /// Nothing is sent; ids exist all the same.
    pub(crate) fn nowhere() -> Self {
        Self { processor: None, waiting: Arc::default() }
    }

    pub(crate) fn to(processor: Arc<dyn SpanProcessor>) -> Self {
        Self { processor: Some(processor), waiting: Arc::default() }
    }

    /// A batch processor that sends OTLP over HTTP to `<endpoint>/v1/traces`.
    pub(crate) fn over_otlp(endpoint: &str, service: &Service, environment: &str) -> Result<Self, InitError> {
        let waiting = Arc::new(AtomicUsize::new(0));
        let exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .with_timeout(Duration::from_secs(5))
            .with_retry_policy(RetryPolicy::disabled())
            .build()
            .map_err(|error| InitError::Exporter(error.to_string()))?;
        let mut exporter = Counting { exporter, waiting: Arc::clone(&waiting) };
        opentelemetry_sdk::trace::SpanExporter::set_resource(&mut exporter, &resource(service, environment));
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(256)
            .with_scheduled_delay(Duration::from_millis(500))
            .build();
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        Ok(Self { processor: Some(Arc::new(processor)), waiting })
    }

    /// Whether anything is sent at all. If not, no request is sampled.
    pub(crate) fn wanted(&self) -> bool {
        self.processor.is_some()
    }

    /// Hands an ended span over, or counts it as dropped when too many wait.
    pub(crate) fn end(&self, span: SpanData) {
        let Some(processor) = &self.processor else { return };
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= QUEUE {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            DROPPED.increment(["spans", "queue_full"]);
            return;
        }
        processor.on_end(span);
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
        let Some(processor) = &self.processor else { return };
        if let Err(error) = processor.shutdown_with_timeout(SHUTDOWN) {
            tracing::warn!(failure_type = "telemetry", %error, "spans may be lost at shutdown");
        }
    }
}

impl SpanProcessor for Spans {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.processor.as_ref().map_or(Ok(()), |processor| processor.force_flush())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        // The guard shuts the shared processor down, once, in its order.
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

/// Counts what the exporter could not deliver.
#[derive(Debug)]
struct Counting<E> {
    exporter: E,
    waiting: Arc<AtomicUsize>,
}

impl<E: opentelemetry_sdk::trace::SpanExporter> opentelemetry_sdk::trace::SpanExporter for Counting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.exporter.export(batch).await;
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        if let Err(error) = &result {
            DROPPED.add(["spans", "export"], u64::try_from(spans).unwrap_or(u64::MAX));
            if once_a_minute() {
                tracing::warn!(failure_type = "telemetry", spans, %error, "spans could not be sent: is the collector up?");
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
