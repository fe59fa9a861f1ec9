//! What a request has left in Loki, in Jaeger and among Prometheus' exemplars, asked as Grafana would ask.

use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::Endpoints;

/// The most that Loki answers at once.
const MOST: &str = "5000";

/// A question to each of them.
#[derive(Clone, Debug)]
pub struct Signals {
    client: reqwest::Client,
    at: Endpoints,
}

impl Signals {
    /// Of the stack that listens at `at`.
    pub fn of(at: &Endpoints) -> anyhow::Result<Self> {
        Ok(Self { client: crate::http::client(Duration::from_secs(5))?, at: at.clone() })
    }

    /// The lines that a `LogQL` query finds between two moments, each as its labels and its fields. `loki_time` is where Loki
    /// has it, in nanoseconds.
    pub async fn lines(&self, query: &str, from: DateTime<Utc>, to: DateTime<Utc>) -> anyhow::Result<Vec<Value>> {
        let (from, to) = (nanoseconds(from), nanoseconds(to));
        let parameters = [("query", query), ("start", &from), ("end", &to), ("limit", MOST)];
        let answer = self.get(&format!("{}/loki/api/v1/query_range", self.at.loki), &parameters).await?;
        let line = |stream: &Value, value: &Value| {
            let fields = stream.get("stream").and_then(Value::as_object).cloned().unwrap_or_default();
            let time = ("loki_time".to_owned(), value.get(0).cloned().unwrap_or_default());
            Value::Object(fields.into_iter().chain([time]).collect())
        };
        let streams = array(&answer, "/data/result").iter();
        Ok(streams.flat_map(|stream| array(stream, "/values").iter().map(move |value| line(stream, value))).collect())
    }

    /// The spans of a trace; none while Jaeger does not know it.
    pub async fn spans(&self, trace_id: &str) -> anyhow::Result<Vec<Value>> {
        let answer = self.get(&format!("{}/api/traces/{trace_id}", self.at.jaeger), &[]).await?;
        Ok(array(&answer, "/data/0/spans").to_vec())
    }

    /// The traces of exemplars that Prometheus has kept since `from` for the series of `query`.
    pub async fn exemplars(&self, query: &str, from: DateTime<Utc>) -> anyhow::Result<Vec<String>> {
        let (from, to) = (from.to_rfc3339(), Utc::now().to_rfc3339());
        let parameters = [("query", query), ("start", &from), ("end", &to)];
        let answer = self.get(&format!("{}/api/v1/query_exemplars", self.at.prometheus), &parameters).await?;
        let exemplars = array(&answer, "/data").iter().flat_map(|series| array(series, "/exemplars"));
        let trace_id = |exemplar: &Value| Some(exemplar.pointer("/labels/trace_id")?.as_str()?.to_owned());
        Ok(exemplars.filter_map(trace_id).collect())
    }

    async fn get(&self, url: &str, parameters: &[(&str, &str)]) -> anyhow::Result<Value> {
        let url = reqwest::Url::parse_with_params(url, parameters)?;
        let answer = self.client.get(url.clone()).send().await?.json().await;
        answer.with_context(|| format!("{url} answers no JSON"))
    }
}

fn array<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn nanoseconds(moment: DateTime<Utc>) -> String {
    format!("{}000", moment.timestamp_micros())
}
