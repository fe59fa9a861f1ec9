//! Steady requests: create, get and list orders, at a rate that does not depend on the answers.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{Client, RequestBuilder, Response, header};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::MissedTickBehavior};

/// Far above every limit of the service: whoever waits this long, hangs.
pub const HANGS: Duration = Duration::from_secs(10);

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// With an answer.
    Status {
        /// Its status.
        code: u16,
        /// Whether it says when to come again.
        retry_after: bool,
    },
    /// Without one.
    Failed(String),
}

/// One request.
#[derive(Clone, Debug)]
pub struct Sample {
    /// When it was sent.
    pub sent: Instant,
    /// How long it took.
    pub took: Duration,
    /// Which request it was.
    pub what: &'static str,
    /// How it ended.
    pub answer: Answer,
    /// Its trace, when the answer names one.
    pub trace: Option<String>,
}

impl Sample {
    /// Whether it did what it was meant to do.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        matches!(self.answer, Answer::Status { code: 200..=299, .. })
    }
}

/// Whether requests flow.
#[derive(Clone, Debug, Default)]
pub struct Valve(Arc<AtomicBool>);

impl Valve {
    /// None are sent from now on.
    pub fn pause(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// They are sent again.
    pub fn resume(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn is_closed(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Requests that go on until [`Load::finish`], or until dropped.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    sender: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    service: String,
    client: Client,
    stopped: AtomicBool,
    valve: Valve,
    order: Mutex<Option<String>>,
    samples: Mutex<Vec<Sample>>,
}

impl Load {
    /// Sends `per_second` requests a second to the service at `service` (base URL, no trailing slash), while `valve` is
    /// open.
    pub fn start(service: &str, per_second: u32, valve: &Valve) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            service: service.to_owned(),
            client: crate::http::client(HANGS)?,
            stopped: AtomicBool::new(false),
            valve: valve.clone(),
            order: Mutex::default(),
            samples: Mutex::default(),
        });
        let mut sender = JoinSet::new();
        sender.spawn(send_all(Arc::clone(&shared), Duration::from_secs(1) / per_second.max(1)));
        Ok(Self { shared, sender })
    }

    /// The requests that have ended, in the order of their ends.
    #[must_use]
    pub fn samples(&self) -> Vec<Sample> {
        self.shared.samples.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends no more, waits for those under way, and returns all.
    pub async fn finish(&mut self) -> Vec<Sample> {
        self.shared.stopped.store(true, Ordering::Relaxed);
        while self.sender.join_next().await.is_some() {}
        self.samples()
    }
}

async fn send_all(shared: Arc<Shared>, every: Duration) {
    let mut requests = JoinSet::new();
    let mut clock = tokio::time::interval(every);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number: u64 = 0;
    while !shared.stopped.load(Ordering::Relaxed) {
        clock.tick().await;
        while requests.try_join_next().is_some() {}
        if shared.valve.is_closed() {
            continue;
        }
        requests.spawn(send(Arc::clone(&shared), number));
        number += 1;
    }
    while requests.join_next().await.is_some() {}
}

async fn send(shared: Arc<Shared>, number: u64) {
    let order = shared.order.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (what, request) = match (number % 4, order) {
        (1 | 3, Some(order)) => ("get", shared.client.get(format!("{}/v1/orders/{order}", shared.service))),
        (2, _) => ("list", shared.client.get(format!("{}/v1/orders?limit=20", shared.service))),
        _ => ("create", create(&shared)),
    };
    let sent = Instant::now();
    let response = request.send().await;
    let trace = response.as_ref().ok().and_then(trace);
    let (answer, body) = match response {
        Ok(response) => read(response).await,
        Err(error) => (Answer::Failed(describe(&error)), None),
    };
    let took = sent.elapsed();
    if what == "create"
        && let Some(id) = body.as_ref().and_then(|body| body.get("id")).and_then(Value::as_str)
    {
        *shared.order.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.to_owned());
    }
    shared.samples.lock().unwrap_or_else(PoisonError::into_inner).push(Sample { sent, took, what, answer, trace });
}

/// The trace that an answer names.
#[must_use]
pub fn trace(answer: &Response) -> Option<String> {
    Some(answer.headers().get("traceresponse")?.to_str().ok()?.split('-').nth(1)?.to_owned())
}

fn create(shared: &Shared) -> RequestBuilder {
    shared
        .client
        .post(format!("{}/v1/orders", shared.service))
        .header("idempotency-key", format!("drill-{:016x}", fastrand::u64(..)))
        .json(&json!({ "item": "tea", "quantity": 1, "amount": 450, "currency": "EUR" }))
}

async fn read(response: Response) -> (Answer, Option<Value>) {
    let code = response.status().as_u16();
    let retry_after = response.headers().contains_key(header::RETRY_AFTER);
    match response.bytes().await {
        Ok(body) => (Answer::Status { code, retry_after }, serde_json::from_slice(&body).ok()),
        Err(error) => (Answer::Failed(describe(&error)), None),
    }
}

fn describe(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        "no answer".to_owned()
    } else if error.is_connect() {
        "no connection".to_owned()
    } else {
        "connection lost".to_owned()
    }
}
