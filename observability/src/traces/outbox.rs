//! Encoded spans that wait for the collector, bounded in bytes. While it is away they stay; when it is
//! back, all of them are sent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry_http::{Bytes, Request};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use reqwest::header::RETRY_AFTER;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::client;
use crate::losses::{SPANS_EXPORT, SPANS_QUEUE};

/// Bytes of spans that may wait, of about 300 each: 30 s at 900 spans a second.
const MAX_WAITING: usize = 8 * 1024 * 1024;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one attempt may take: what is broken off, a slow collector may have taken, and gets twice.
const ATTEMPT: Duration = Duration::from_secs(25);
/// What is read of an answer.
const MAX_ANSWER: usize = 16 * 1024;
/// How long a batch is tried again: more than the 30 s that a restart may take.
const PATIENCE: Duration = Duration::from_secs(35);
/// The first pause before another attempt. Each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    /// There is a batch, or there will be none any more.
    changed: Notify,
    /// The process ends.
    hurry: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    batches: VecDeque<Batch>,
    /// Of all batches, that which is being sent included.
    bytes: usize,
    spans: usize,
    hurried: bool,
    closed: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Batch {
    request: Request<Bytes>,
    pub(super) spans: usize,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a request with so many spans, or counts them as lost when too much waits.
    pub(super) fn put(&self, request: Request<Bytes>, spans: usize) {
        let mut waiting = self.lock();
        let bytes = request.body().len();
        if waiting.bytes + bytes > MAX_WAITING {
            SPANS_QUEUE.count(spans);
            return;
        }
        waiting.spans += spans;
        waiting.bytes += bytes;
        waiting.batches.push_back(Batch { request, spans });
        self.changed.notify_one();
    }

    /// From now on, one failed attempt is enough.
    pub(super) fn hurry(&self) {
        self.lock().hurried = true;
        self.hurry.notify_one();
    }

    /// No batch comes any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// How many spans are still here. They are nobody's from now on.
    pub(super) fn give_up(&self) -> usize {
        std::mem::take(&mut self.lock().spans)
    }

    /// The next batch, or none when there will be none.
    pub(super) async fn next(&self) -> Option<Batch> {
        loop {
            {
                let mut waiting = self.lock();
                let batch = waiting.batches.pop_front();
                if batch.is_some() || waiting.closed {
                    return batch;
                }
            }
            self.changed.notified().await;
        }
    }

    /// Forgets a batch that was sent or given up. False when the end of the process has counted it already.
    fn settle(&self, batch: &Batch) -> bool {
        let mut waiting = self.lock();
        waiting.bytes -= batch.request.body().len();
        let left = waiting.spans.checked_sub(batch.spans);
        waiting.spans = left.unwrap_or_default();
        left.is_some()
    }
}

/// Empties the outbox.
pub(super) struct Sender {
    outbox: Arc<Outbox>,
    client: Client,
}

/// Why an attempt failed and for how many spans, whether for good, and how long the collector wants to be left
/// alone.
struct Refusal {
    cause: String,
    spans: usize,
    for_good: bool,
    pause: Duration,
}

impl Sender {
    pub(super) fn new(outbox: Arc<Outbox>) -> reqwest::Result<Self> {
        let client = client::builder().connect_timeout(CONNECT).timeout(ATTEMPT).redirect(Policy::none());
        Ok(Self { outbox, client: client.build()? })
    }

    pub(super) async fn run(&self) {
        while let Some(batch) = self.outbox.next().await {
            let result = self.deliver(&batch).await;
            if let (true, Err(refusal)) = (self.outbox.settle(&batch), result) {
                SPANS_EXPORT.count_with(refusal.spans, &refusal.cause);
            }
        }
    }

    /// Tries until the collector has the batch, refuses it for good, or was away for too long.
    async fn deliver(&self, batch: &Batch) -> Result<(), Refusal> {
        let (started, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            let Err(refusal) = self.attempt(batch).await else { return Ok(()) };
            if refusal.for_good || self.outbox.lock().hurried || started.elapsed() >= PATIENCE {
                return Err(refusal);
            }
            // Many processes wait for the same collector: they must not come back in the same moment.
            let pause_now = pause.mul_f64(0.5 + fastrand::f64() / 2.0).max(refusal.pause);
            let _ = timeout(pause_now, self.outbox.hurry.notified()).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn attempt(&self, batch: &Batch) -> Result<(), Refusal> {
        let failed = |error: reqwest::Error| Refusal {
            cause: chain(&error.without_url()),
            spans: batch.spans,
            for_good: false,
            pause: Duration::ZERO,
        };
        let request = batch.request.clone().try_into().map_err(failed)?;
        let answer = self.client.execute(request).await.map_err(failed)?;
        let status = answer.status();
        if status.is_success() {
            return rejected(answer).await.map_or(Ok(()), |(spans, message)| {
                let cause = format!("the collector rejected spans: {message}");
                Err(Refusal { cause, spans: spans.min(batch.spans), for_good: true, pause: Duration::ZERO })
            });
        }
        let again = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::BAD_GATEWAY,
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::GATEWAY_TIMEOUT,
        ];
        let asked = answer.headers().get(RETRY_AFTER).and_then(|seconds| seconds.to_str().ok()?.parse().ok());
        Err(Refusal {
            cause: format!("the collector answered {status}"),
            spans: batch.spans,
            for_good: !again.contains(&status),
            pause: Duration::from_secs(asked.unwrap_or_default()).min(PATIENCE),
        })
    }
}

/// How many of the spans a collector did not take of a batch that it took, and what it says about them.
async fn rejected(mut answer: Response) -> Option<(usize, String)> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            return None;
        }
    }
    let partial = ExportTraceServiceResponse::decode(body.as_slice()).ok()?.partial_success?;
    let spans = usize::try_from(partial.rejected_spans).ok().filter(|spans| *spans > 0)?;
    Some((spans, partial.error_message))
}

/// An error with all its causes: reqwest's own words do not say what the system said.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |chain, cause| format!("{chain}: {cause}"))
}
