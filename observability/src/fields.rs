//! What an event says: its message, and its fields one by one as JSON values.

use std::fmt::{self, Write as _};

use serde_json::Value;
use tracing::Event;
use tracing::field::{Field, Visit};

/// The message of an event.
pub(crate) fn message(event: &Event<'_>) -> String {
    let mut message = String::new();
    event.record(&mut Message(&mut message));
    message
}

/// Takes the message of an event.
struct Message<'a>(&'a mut String);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.0.push_str(value);
        }
    }
}

/// What the `log` bridge adds to an event.
const BRIDGE: [&str; 4] = ["log.target", "log.module_path", "log.file", "log.line"];

/// Calls back with every field of an event but its message, and but what the `log` bridge adds.
pub(crate) struct Fields<F>(pub(crate) F);

impl<F: FnMut(&'static str, &Value)> Fields<F> {
    fn call(&mut self, field: &Field, value: impl Into<Value>) {
        if field.name() != "message" && !BRIDGE.contains(&field.name()) {
            (self.0)(field.name(), &value.into());
        }
    }
}

impl<F: FnMut(&'static str, &Value)> Visit for Fields<F> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() != "message" {
            self.call(field, format!("{value:?}"));
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.call(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.call(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.call(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.call(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.call(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut chain = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            let _ = write!(chain, ": {cause}");
            source = cause.source();
        }
        self.call(field, chain);
    }
}
