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
    spans: Mutex<(Vec<SpanData>, Stopping)>,
    /// A batch is full, or the process ends.
    wake: Notify,
}

type Stopping = bool;

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
        let mut ended = self.ended.lock();
        if ended.0.len() >= MAX_ENDED {
            SPANS_QUEUE.count(1);
            return;
        }
        ended.0.push(span);
        let full = ended.0.len() == BATCH;
        drop(ended);
        if full {
            self.ended.wake.notify_one();
        }
    }

    /// Sends what waits, and stops. What cannot be sent within three seconds is counted as lost.
    pub(super) fn shut_down(&self) {
        self.ended.lock().1 = true;
        self.outbox.hurry();
        self.ended.wake.notify_one();
        let _ = self.done.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(SHUTDOWN);
        let left = std::mem::take(&mut self.ended.lock().0).len() + self.outbox.give_up();
        if left > 0 {
            SPANS_SHUTDOWN.count(left);
        }
    }
}

impl Ended {
    fn lock(&self) -> MutexGuard<'_, (Vec<SpanData>, Stopping)> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Encodes spans into the outbox, until the process ends.
    async fn encode(&self, template: &Template, outbox: &Outbox) {
        loop {
            let _ = timeout(INTERVAL, self.wake.notified()).await;
            let (spans, stopping) = {
                let mut ended = self.lock();
                (std::mem::take(&mut ended.0), ended.1)
            };
            if !spans.is_empty() {
                outbox.put(template.fill(&spans), spans.len());
            }
            if stopping {
                outbox.close();
                return;
            }
        }
    }
}
