//! Ended spans on their way out of the process: a short queue that requests fill, and one thread that
//! encodes them and sends what [`Outbox`] holds.

use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::outbox::{Outbox, Sender};
use super::template::Template;
use crate::losses::{SPANS_QUEUE, SPANS_SHUTDOWN};

/// Ended spans that may wait to be encoded, which takes the thread milliseconds.
const MAX_ENDED: usize = 4096;
/// So many are encoded at once.
const BATCH: usize = 256;
/// The longest a span waits for others.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long ending the process may wait for spans to leave.
const SHUTDOWN: Duration = Duration::from_secs(3);

/// The queue, and the end of its thread.
#[derive(Debug)]
pub(crate) struct Exporter {
    ended: Arc<Ended>,
    outbox: Arc<Outbox>,
    done: Mutex<Receiver<()>>,
}

#[derive(Debug, Default)]
struct Ended {
    queue: Mutex<Queue>,
    /// A batch is full, or the process ends.
    wake: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    spans: Vec<SpanData>,
    stopping: bool,
    /// Nobody takes spans from here any more.
    stopped: bool,
}

impl Exporter {
    /// Starts the thread that sends to this URL.
    pub(super) fn start(url: &str, resource: &Resource) -> Result<Self, String> {
        url.parse::<reqwest::Url>().map_err(|error| format!("`{url}` is no URL: {error}"))?;
        let template = Template::new(url, resource)?;
        let outbox = Arc::new(Outbox::default());
        let sender = Sender::new(Arc::clone(&outbox)).map_err(|error| error.to_string())?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        let (finished, done) = mpsc::channel();
        let ended = Arc::new(Ended::default());
        let (ended_too, outbox_too) = (Arc::clone(&ended), Arc::clone(&outbox));
        let run = move || {
            runtime.block_on(async { tokio::join!(ended_too.encode(&template, &outbox_too), sender.run()) });
            let _ = finished.send(());
            // A name that is still being looked up must not hold the thread.
            runtime.shutdown_background();
        };
        std::thread::Builder::new().name("span-exporter".into()).spawn(run).map_err(|error| error.to_string())?;
        Ok(Self { ended, outbox, done: Mutex::new(done) })
    }

    /// Takes an ended span, or counts it as lost when too many wait.
    pub(super) fn take(&self, span: SpanData) {
        let mut queue = self.ended.lock();
        if queue.stopped || queue.spans.len() >= MAX_ENDED {
            if queue.stopped { &SPANS_SHUTDOWN } else { &SPANS_QUEUE }.count(1);
            return;
        }
        queue.spans.push(span);
        let full = queue.spans.len() == BATCH;
        drop(queue);
        if full {
            self.ended.wake.notify_one();
        }
    }

    /// Sends what waits, and stops. What cannot be sent within three seconds is counted as lost.
    pub(super) fn shut_down(&self) {
        self.ended.lock().stopping = true;
        self.outbox.hurry();
        self.ended.wake.notify_one();
        let _ = self.done.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(SHUTDOWN);
        let left = {
            let mut queue = self.ended.lock();
            queue.stopped = true;
            std::mem::take(&mut queue.spans).len()
        };
        let left = left + self.outbox.give_up();
        if left > 0 {
            SPANS_SHUTDOWN.count(left);
        }
    }
}

impl Ended {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Encodes spans into the outbox, until the process ends.
    async fn encode(&self, template: &Template, outbox: &Outbox) {
        let mut spans = Vec::new();
        loop {
            let _ = timeout(INTERVAL, self.wake.notified()).await;
            let stopping = {
                let mut queue = self.lock();
                // Their memory goes round.
                std::mem::swap(&mut queue.spans, &mut spans);
                queue.stopping
            };
            for piece in spans.chunks(BATCH) {
                outbox.put(template.fill(piece), piece.len());
            }
            spans.clear();
            spans.shrink_to(2 * BATCH);
            if stopping {
                outbox.close();
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::SpanKind;

    use super::super::{new_trace_id, root};
    use super::*;
    use crate::context::Request;
    use crate::testing::Capture;

    fn span() -> SpanData {
        root(&Request::new(new_trace_id(), None, None, true), SpanKind::Internal, "late".into(), Duration::ZERO)
    }

    #[test]
    fn a_span_that_ends_after_the_end_is_counted() {
        let capture = Capture::start();
        let exporter = Exporter::start("http://127.0.0.1:1/v1/traces", &Resource::builder_empty().build()).unwrap();
        exporter.shut_down();
        exporter.take(span());
        let report = capture.report();
        assert!(report.contains("telemetry_dropped_total{signal=\"spans\",reason=\"shutdown\"} 1\n"), "{report}");
    }

    #[test]
    fn many_spans_that_ended_at_once_are_sent_in_pieces() {
        let template = Template::new("http://collector:4318/v1/traces", &Resource::builder_empty().build()).unwrap();
        let (ended, outbox) = (Ended::default(), Outbox::default());
        *ended.lock() = Queue { spans: vec![span(); 600], stopping: true, stopped: false };
        ended.wake.notify_one();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(ended.encode(&template, &outbox));
        let pieces: Vec<_> = std::iter::from_fn(|| runtime.block_on(outbox.next())).map(|batch| batch.spans).collect();
        assert_eq!(pieces, [256, 256, 88]);
    }
}
