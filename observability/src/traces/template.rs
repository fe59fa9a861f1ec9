//! The request that carries spans, as OpenTelemetry's exporter makes it: where to, with which headers
//! (`OTEL_EXPORTER_OTLP_HEADERS` among them), and whose spans. It is asked once, for no spans at all; the
//! spans are added by [`encode`].

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};

use super::{SCOPE, encode};

#[derive(Debug)]
pub(super) struct Template(Request<Bytes>);

impl Template {
    pub(super) fn new(url: &str, resource: &Resource) -> Result<Self, String> {
        let caught = Caught::default();
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(caught.clone())
            .with_endpoint(url)
            .with_retry_policy(RetryPolicy::disabled())
            .build()
            .map_err(|error| error.to_string())?;
        exporter.set_resource(resource);
        // Nothing is waited for: the client only keeps the request.
        if let Some(Err(error)) = exporter.export(Vec::new()).now_or_never() {
            return Err(error.to_string());
        }
        let request = caught.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let request = request.ok_or("OpenTelemetry's exporter makes no request")?;
        let (head, body) = request.into_parts();
        let resource = only_field(&body).ok_or("OpenTelemetry's exporter names no resource")?;
        let resource = Bytes::copy_from_slice(resource);
        Ok(Self(Request::from_parts(head, resource)))
    }

    /// The request with these spans.
    pub(super) fn fill(&self, spans: &[SpanData]) -> Request<Bytes> {
        let (head, resource) = self.0.clone().into_parts();
        Request::from_parts(head, encode::request(&resource, SCOPE, spans).into())
    }
}

/// An HTTP client that keeps what it is given, and always succeeds.
#[derive(Clone, Debug, Default)]
struct Caught(Arc<Mutex<Option<Request<Bytes>>>>);

#[async_trait]
impl HttpClient for Caught {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(request);
        Ok(Response::default())
    }
}

/// What is in the first field of a message that has no other.
fn only_field(message: &[u8]) -> Option<&[u8]> {
    const FIRST: u8 = 1 << 3 | 2;
    let rest = message.strip_prefix(&[FIRST])?;
    let length = rest.iter().position(|byte| byte & 0x80 == 0)? + 1;
    rest.get(length..)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use opentelemetry::trace::{Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
    use opentelemetry::{Array, InstrumentationScope, KeyValue, Value};
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::json::{CUT, MAX_VALUE};

    fn resource() -> Resource {
        Resource::builder_empty().with_attributes([KeyValue::new("service.name", "orders")]).build()
    }

    fn value() -> impl Strategy<Value = Value> {
        let text = || ".{0,300}";
        prop_oneof![
            text().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9..1e9).prop_map(Value::from),
            prop::collection::vec(any::<bool>(), 0..3).prop_map(|all| Value::Array(Array::Bool(all))),
            prop::collection::vec(any::<i64>(), 0..3).prop_map(|all| Value::Array(Array::I64(all))),
            prop::collection::vec(-1e9..1e9, 0..3).prop_map(|all| Value::Array(Array::F64(all))),
            prop::collection::vec(text(), 0..3)
                .prop_map(|all| Value::Array(Array::String(all.into_iter().map(Into::into).collect()))),
        ]
    }

    fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
        let one = ("[a-z.]{0,200}", value()).prop_map(|(key, value)| KeyValue::new(key, value));
        prop::collection::vec(one, 0..4)
    }

    fn context() -> impl Strategy<Value = SpanContext> {
        let state = prop::option::of("[a-z]{1,9}");
        (any::<u128>(), any::<u64>(), any::<bool>(), any::<bool>(), state).prop_map(
            |(trace, span, sampled, remote, state)| {
                let state = state.map_or_else(TraceState::default, |value| {
                    TraceState::from_key_value([("vendor", value)]).expect("a sound value")
                });
                let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
                SpanContext::new(TraceId::from(trace), SpanId::from(span), flags, remote, state)
            },
        )
    }

    fn time() -> impl Strategy<Value = SystemTime> {
        (0..u64::MAX / 2).prop_map(|after| SystemTime::UNIX_EPOCH + Duration::from_nanos(after))
    }

    fn status() -> impl Strategy<Value = Status> {
        prop_oneof![Just(Status::Unset), Just(Status::Ok), ".{0,99}".prop_map(Status::error)]
    }

    fn kind() -> impl Strategy<Value = SpanKind> {
        use SpanKind::{Client, Consumer, Internal, Producer, Server};
        prop::sample::select(vec![Client, Consumer, Internal, Producer, Server])
    }

    prop_compose! {
        fn events()(all in prop::collection::vec(("[a-z]{0,9}", time(), attributes(), any::<u32>()), 0..3), dropped in any::<u32>())
            -> SpanEvents
        {
            let mut events = SpanEvents::default();
            events.events = all.into_iter().map(|(name, at, with, lost)| Event::new(name, at, with, lost)).collect();
            events.dropped_count = dropped;
            events
        }
    }

    prop_compose! {
        fn links()(all in prop::collection::vec((context(), attributes(), any::<u32>()), 0..3), dropped in any::<u32>())
            -> SpanLinks
        {
            let mut links = SpanLinks::default();
            links.links = all.into_iter().map(|(context, with, lost)| Link::new(context, with, lost)).collect();
            links.dropped_count = dropped;
            links
        }
    }

    prop_compose! {
        fn span()(
            span_context in context(), parent in any::<u64>(), parent_span_is_remote in any::<bool>(), span_kind in kind(),
            name in ".{0,99}", start_time in time(), end_time in time(), attributes in attributes(),
            dropped_attributes_count in any::<u32>(), events in events(), links in links(), status in status(),
        ) -> SpanData {
            SpanData {
                span_context, parent_span_id: SpanId::from(parent), parent_span_is_remote, span_kind, name: name.into(),
                start_time, end_time, attributes, dropped_attributes_count, events, links, status,
                instrumentation_scope: InstrumentationScope::builder(SCOPE).build(),
            }
        }
    }

    /// What OpenTelemetry's own exporter would send.
    fn theirs(spans: Vec<SpanData>) -> Bytes {
        let caught = Caught::default();
        let mut exporter =
            SpanExporter::builder().with_http().with_http_client(caught.clone()).build().expect("an exporter");
        exporter.set_resource(&resource());
        exporter.export(spans).now_or_never().expect("no wait").expect("no failure");
        caught.0.lock().unwrap().take().expect("a request").into_body()
    }

    /// The same message: a status that says nothing may be there or not.
    fn read(body: &Bytes) -> ExportTraceServiceRequest {
        let mut request = ExportTraceServiceRequest::decode(body.clone()).expect("OTLP");
        let scopes = request.resource_spans.iter_mut().flat_map(|resource| &mut resource.scope_spans);
        for span in scopes.flat_map(|scope| &mut scope.spans) {
            span.status = Some(span.status.take().unwrap_or_default());
        }
        request
    }

    proptest! {
        #[test]
        fn what_is_sent_says_what_opentelemetrys_own_exporter_would(spans in prop::collection::vec(span(), 1..4)) {
            let template = Template::new("http://127.0.0.1:4318/v1/traces", &resource()).expect("a template");
            let ours = template.fill(&spans);
            prop_assert_eq!(read(ours.body()), read(&theirs(spans)));
        }
    }

    #[test]
    fn a_value_is_cut_where_a_line_would_cut_it() {
        let value = |text: String| {
            let mut out = Vec::new();
            encode::any_value(&mut out, &text.into());
            let held = AnyValue::decode(out.as_slice()).unwrap().value;
            let Some(any_value::Value::StringValue(text)) = held else { panic!("{held:?}") };
            text
        };
        assert_eq!(value("ü".repeat(MAX_VALUE / 2)), "ü".repeat(MAX_VALUE / 2));
        let cut = value("ü".repeat(MAX_VALUE));
        assert!((MAX_VALUE - 1..=MAX_VALUE).contains(&cut.len()), "{}", cut.len());
        assert_eq!(cut.trim_start_matches('ü'), CUT);
    }

    #[test]
    fn what_is_sent_goes_where_it_was_told_as_protobuf() {
        let request = Template::new("http://collector:4318/v1/traces", &resource()).unwrap().fill(&[]);
        assert_eq!(request.method().as_str(), "POST");
        assert_eq!(request.uri().to_string(), "http://collector:4318/v1/traces");
        assert_eq!(request.headers()["content-type"], "application/x-protobuf");
    }
}
