//! Ended spans in OTLP's protobuf form, written in one pass from what the SDK holds: the types that lie
//! between in `opentelemetry-otlp` took most of what a sampled request costs (`bench/README.md`).
//!
//! Field numbers are those of `opentelemetry/proto/trace/v1/trace.proto`.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{Event, Link, SpanId, SpanKind, Status};
use opentelemetry::{Array, KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;

use crate::json::{CUT, MAX_VALUE};

/// What a span takes as a rule, so that the buffer grows once.
const USUAL: usize = 512;
/// Bytes that stand for the length of a message that is not written yet: up to 256 MiB.
const LENGTH: [u8; 4] = [0x80, 0x80, 0x80, 0];

// What a field's number is followed by.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// Completes a request without spans: of its one `ResourceSpans`, `resource` is all there is so far.
pub(super) fn request(resource: &[u8], scope: &str, spans: &[SpanData]) -> Vec<u8> {
    let mut out = Vec::with_capacity(resource.len() + spans.len() * USUAL);
    message(&mut out, 1, |out| {
        out.extend_from_slice(resource);
        message(out, 2, |out| {
            message(out, 1, |out| bytes(out, 1, scope.as_bytes()));
            for data in spans {
                message(out, 2, |out| span(out, data));
            }
        });
    });
    // It may wait for long, and what waits is bounded by its length.
    out.shrink_to_fit();
    out
}

fn span(out: &mut Vec<u8>, span: &SpanData) {
    let context = &span.span_context;
    bytes(out, 1, &context.trace_id().to_bytes());
    bytes(out, 2, &context.span_id().to_bytes());
    text(out, 3, &context.trace_state().header());
    if span.parent_span_id != SpanId::INVALID {
        bytes(out, 4, &span.parent_span_id.to_bytes());
    }
    text(out, 5, &span.name);
    number(out, 6, kind(&span.span_kind));
    fixed64(out, 7, nanoseconds(span.start_time));
    fixed64(out, 8, nanoseconds(span.end_time));
    attributes(out, 9, &span.attributes);
    number(out, 10, span.dropped_attributes_count.into());
    for event in span.events.iter() {
        message(out, 11, |out| self::event(out, event));
    }
    number(out, 12, span.events.dropped_count.into());
    for link in span.links.iter() {
        message(out, 13, |out| self::link(out, link));
    }
    number(out, 14, span.links.dropped_count.into());
    status(out, &span.status);
    flags(out, 16, context.trace_flags().to_u8(), span.parent_span_is_remote);
}

fn event(out: &mut Vec<u8>, event: &Event) {
    fixed64(out, 1, nanoseconds(event.timestamp));
    text(out, 2, &event.name);
    attributes(out, 3, &event.attributes);
    number(out, 4, event.dropped_attributes_count.into());
}

fn link(out: &mut Vec<u8>, link: &Link) {
    let context = &link.span_context;
    bytes(out, 1, &context.trace_id().to_bytes());
    bytes(out, 2, &context.span_id().to_bytes());
    text(out, 3, &context.trace_state().header());
    attributes(out, 4, &link.attributes);
    number(out, 5, link.dropped_attributes_count.into());
    flags(out, 6, context.trace_flags().to_u8(), context.is_remote());
}

fn status(out: &mut Vec<u8>, status: &Status) {
    match status {
        Status::Unset => {}
        Status::Ok => message(out, 15, |out| number(out, 3, 1)),
        Status::Error { description } => message(out, 15, |out| {
            text(out, 2, description);
            number(out, 3, 2);
        }),
    }
}

/// The trace flags, and above them whether it is known that the parent is remote, and whether it is.
fn flags(out: &mut Vec<u8>, field: u64, trace: u8, remote: bool) {
    let flags = u32::from(trace) | 0x100 | if remote { 0x200 } else { 0 };
    varint(out, field << 3 | FIXED32);
    out.extend_from_slice(&flags.to_le_bytes());
}

fn kind(kind: &SpanKind) -> u64 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

fn attributes(out: &mut Vec<u8>, field: u64, attributes: &[KeyValue]) {
    for KeyValue { key, value, .. } in attributes {
        message(out, field, |out| {
            text(out, 1, key.as_str());
            message(out, 2, |out| any_value(out, value));
        });
    }
}

/// One of several: what is there is written though it is 0, or empty.
pub(super) fn any_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::String(value) => bounded(out, 1, value.as_str()),
        Value::Bool(value) => {
            varint(out, 2 << 3 | VARINT);
            varint(out, (*value).into());
        }
        Value::I64(value) => {
            varint(out, 3 << 3 | VARINT);
            varint(out, value.cast_unsigned());
        }
        Value::F64(value) => fixed64(out, 4, value.to_bits()),
        Value::Array(array) => message(out, 5, |out| match array {
            Array::Bool(values) => each(out, values),
            Array::I64(values) => each(out, values),
            Array::F64(values) => each(out, values),
            Array::String(values) => each(out, values),
            // Whatever the SDK may learn to hold.
            other => message(out, 1, |out| bounded(out, 1, &other.to_string())),
        }),
        other => bounded(out, 1, &other.to_string()),
    }
}

fn each<T: Clone + Into<Value>>(out: &mut Vec<u8>, values: &[T]) {
    for value in values {
        message(out, 1, |out| any_value(out, &value.clone().into()));
    }
}

fn nanoseconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos().try_into().unwrap_or(u64::MAX))
}

/// A message, whose length is known once it is written.
fn message(out: &mut Vec<u8>, field: u64, write: impl FnOnce(&mut Vec<u8>)) {
    varint(out, field << 3 | BYTES);
    out.extend_from_slice(&LENGTH);
    let start = out.len();
    write(out);
    let mut length = out.len() - start;
    for byte in out.get_mut(start - LENGTH.len()..start).unwrap_or_default() {
        *byte |= u8::try_from(length & 0x7f).unwrap_or_default();
        length >>= 7;
    }
}

/// Text that is left out when it is empty, as proto3 does.
fn text(out: &mut Vec<u8>, field: u64, text: &str) {
    if !text.is_empty() {
        bounded(out, field, text);
    }
}

/// Text that is cut where a line would cut it.
fn bounded(out: &mut Vec<u8>, field: u64, text: &str) {
    if text.len() <= MAX_VALUE {
        bytes(out, field, text.as_bytes());
    } else {
        let kept = text.get(..text.floor_char_boundary(MAX_VALUE - CUT.len())).unwrap_or_default();
        bytes(out, field, [kept, CUT].concat().as_bytes());
    }
}

fn bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint(out, field << 3 | BYTES);
    varint(out, bytes.len().try_into().unwrap_or_default());
    out.extend_from_slice(bytes);
}

/// A number that is left out when it is 0, as proto3 does.
fn number(out: &mut Vec<u8>, field: u64, number: u64) {
    if number != 0 {
        varint(out, field << 3 | VARINT);
        varint(out, number);
    }
}

fn fixed64(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3 | FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or_default());
}
