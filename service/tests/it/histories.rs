//! Random histories of many requests at a time, held against a model: whatever was answered, there has
//! to be an order of their steps, one after the other, in which the model would have answered the same.
//! Paying is two steps, and the provider's verdict may also be written down by the background.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures_util::future::{Either, join_all, select};
use serde_json::Value;
use service::{database::Database, orders::finish_due};
use sqlx::PgPool;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use crate::support::api::{Answer, LIMITS, an_order, parts, provider, start_with};

const ORDERS: usize = 3;
const AT_ONCE: usize = 4;
const BATCHES: usize = 4;

#[derive(Clone, Copy, Debug)]
enum Request {
    /// With one of two keys, and one of two bodies.
    Create(u8, u8),
    Cancel(usize),
    Pay(usize),
    Get(usize),
}

/// What comes one after the other: a request as a whole, or the end of a payment that it began.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Request(usize),
    End(usize),
}

/// A pending order is settled by the request that gets the verdict, or, with `None`, by the background.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Open,
    Pending(Option<usize>),
    Paid,
    Cancelled,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Pending(_) => "payment_pending",
            Self::Paid => "paid",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What there should be: the state of each order, and what each key was used for.
#[derive(Clone, Debug, PartialEq)]
struct Model {
    states: [State; ORDERS],
    keys: BTreeMap<u8, (u8, String)>,
}

impl Model {
    fn with(&self, order: usize, state: State) -> Self {
        let mut next = self.clone();
        next.states[order] = state;
        next
    }

    /// The model after this part, if it would have answered like that.
    fn after(&self, part: Part, (request, answer): &(Request, Answer)) -> Option<Self> {
        let status = answer.status.as_u16();
        let is_open = |order: usize| self.states[order] == State::Open;
        match (part, *request) {
            (Part::End(number), Request::Pay(order)) => {
                let verdict = if status == 200 { State::Paid } else { State::Open };
                (self.states[order] == State::Pending(Some(number))).then(|| self.with(order, verdict))
            }
            (_, Request::Get(order)) => {
                (status == 200 && answer.body["status"] == self.states[order].name()).then(|| self.clone())
            }
            (_, Request::Cancel(order) | Request::Pay(order)) if status == 409 => {
                (!is_open(order)).then(|| self.clone())
            }
            (_, Request::Cancel(order)) => {
                (status == 200 && is_open(order)).then(|| self.with(order, State::Cancelled))
            }
            (Part::Request(number), Request::Pay(order)) => {
                let pending = if status == 202 { None } else { Some(number) };
                let fits = matches!(status, 200 | 202 | 402) && is_open(order);
                fits.then(|| self.with(order, State::Pending(pending)))
            }
            (_, Request::Create(key, body)) => match self.keys.get(&key) {
                Some((before, _)) if *before != body => (status == 422).then(|| self.clone()),
                Some((_, id)) => (status == 201 && answer.body["id"] == *id).then(|| self.clone()),
                None => {
                    let mut next = self.clone();
                    next.keys.insert(key, (body, answer.body["id"].as_str().unwrap_or_default().to_owned()));
                    (status == 201 && answer.body["quantity"] == body).then_some(next)
                }
            },
        }
    }

    /// What the background may have made of it.
    fn settled(&self) -> impl Iterator<Item = Self> {
        let pending = (0..ORDERS).filter(|order| self.states[*order] == State::Pending(None));
        pending.flat_map(|order| [self.with(order, State::Paid), self.with(order, State::Open)])
    }
}

/// Every state that some order of these parts leads to.
fn explain(model: &Model, done: &[(Request, Answer)], left: &[Part], found: &mut Vec<Model>) {
    if left.is_empty() && !found.contains(model) {
        found.push(model.clone());
    }
    for next in model.settled() {
        explain(&next, done, left, found);
    }
    for first in left {
        let (Part::Request(number) | Part::End(number)) = *first;
        if let Some(next) = model.after(*first, &done[number]) {
            let mut rest: Vec<_> = left.iter().copied().filter(|other| other != first).collect();
            if let (Part::Request(_), (Request::Pay(_), answer)) = (*first, &done[number])
                && matches!(answer.status.as_u16(), 200 | 402)
            {
                rest.push(Part::End(number));
            }
            explain(&next, done, &rest, found);
        }
    }
}

fn random(dice: &mut fastrand::Rng) -> Request {
    match dice.u8(0..5) {
        0 => Request::Create(dice.u8(1..3), dice.u8(1..3)),
        1 => Request::Cancel(dice.usize(0..ORDERS)),
        2 | 3 => Request::Pay(dice.usize(0..ORDERS)),
        _ => Request::Get(dice.usize(0..ORDERS)),
    }
}

/// Which orders were charged, with the attempt that did.
type Charges = Arc<Mutex<BTreeMap<String, Vec<String>>>>;

/// A provider that breaks off now and then, and else decides by the attempt: the same one, the same verdict.
async fn a_provider(charges: &Charges) -> MockServer {
    let server = MockServer::start().await;
    let charges = Arc::clone(charges);
    let decide = move |request: &wiremock::Request| {
        if fastrand::u8(0..4) == 0 {
            return ResponseTemplate::new(500);
        }
        let attempt = request.headers["idempotency-key"].to_str().unwrap().to_owned();
        if attempt.ends_with(|last: char| last.is_ascii_digit()) {
            return ResponseTemplate::new(402);
        }
        let charge: Value = request.body_json().unwrap();
        let mut charges = charges.lock().unwrap();
        let attempts = charges.entry(charge["order_id"].as_str().unwrap().to_owned()).or_default();
        if !attempts.contains(&attempt) {
            attempts.push(attempt);
        }
        // Charged, and nobody hears of it.
        ResponseTemplate::new(if fastrand::u8(0..8) == 0 { 500 } else { 201 })
    };
    Mock::given(any()).respond_with(decide).mount(&server).await;
    server
}

#[sqlx::test]
async fn requests_at_a_time_act_as_if_one_came_after_the_other(pool: PgPool) {
    let charges = Charges::default();
    let server = a_provider(&charges).await;
    let (database, payments) = (Database::fixed(pool.clone()), provider(&server.uri()));
    let api = start_with(parts(database.clone(), payments.clone(), LIMITS)).await;
    let background = pin!(async {
        loop {
            finish_due(&database, &payments).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let mut dice = fastrand::Rng::new();
    let histories = pin!(async {
        let began = Instant::now();
        let mut histories = 0;
        while histories < 10 || began.elapsed() < Duration::from_secs(5) {
            histories += 1;
            let mut orders = Vec::new();
            for _ in 0..ORDERS {
                orders.push(api.an_order().await);
            }
            let send = async |request: Request| match request {
                Request::Create(key, quantity) => {
                    let mut order = an_order();
                    order["quantity"] = quantity.into();
                    api.create_once(&format!("{histories}-{key}"), &order).await
                }
                Request::Cancel(order) => api.cancel(&orders[order]).await,
                Request::Pay(order) => api.pay(&orders[order]).await,
                Request::Get(order) => api.get(&format!("/v1/orders/{}", orders[order])).await,
            };
            let mut models = vec![Model { states: [State::Open; ORDERS], keys: BTreeMap::new() }];
            for batch in 0..=BATCHES {
                // The last one looks at how everything has ended.
                let requests: Vec<_> = if batch == BATCHES {
                    crate::support::eventually("nothing is pending", Duration::from_secs(30), async || {
                        let pending = "select count(*) from pending_payments";
                        sqlx::query_scalar::<_, i64>(pending).fetch_one(&pool).await.unwrap() == 0
                    })
                    .await;
                    (0..ORDERS).map(Request::Get).collect()
                } else {
                    (0..AT_ONCE).map(|_| random(&mut dice)).collect()
                };
                let answers = join_all(requests.iter().map(|request| send(*request))).await;
                let done: Vec<_> = requests.into_iter().zip(answers).collect();
                let mut found = Vec::new();
                let parts: Vec<_> = (0..done.len()).map(Part::Request).collect();
                for model in &models {
                    explain(model, &done, &parts, &mut found);
                }
                assert!(!found.is_empty(), "no order of {done:#?} explains the answers, from {models:?}");
                if batch == BATCHES {
                    for (_, order) in done {
                        let id = order.body["id"].as_str().unwrap();
                        let charged = charges.lock().unwrap().get(id).map_or(0, Vec::len);
                        let due = usize::from(order.body["status"] == "paid");
                        assert_eq!(charged, due, "charges of {:?}", order.body);
                    }
                }
                models = found;
            }
        }
    });
    match select(histories, background).await {
        Either::Left(_) => {}
        Either::Right(_) => unreachable!("the background never ends"),
    }
}
