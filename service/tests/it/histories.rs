//! Random histories of many requests at a time, held against a model: whatever was answered, there has
//! to be an order of the requests, one after the other, in which the model would have answered the same.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use service::database::Database;
use sqlx::PgPool;

use crate::support::api::{Answer, LIMITS, an_order, start};

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

/// What there should be: the state of each order, and what each key was used for.
#[derive(Clone, Debug, PartialEq)]
struct Model {
    states: [&'static str; ORDERS],
    keys: BTreeMap<u8, (u8, String)>,
}

impl Model {
    /// The model after this request, if it would have answered like that.
    fn after(&self, request: Request, answer: &Answer) -> Option<Self> {
        let mut next = self.clone();
        let status = answer.status.as_u16();
        let step = |next: &mut Self, order: usize, to: &'static str| {
            let open = self.states[order] == "open";
            if open {
                next.states[order] = to;
            }
            open
        };
        let fits = match request {
            Request::Get(order) => status == 200 && answer.body["status"] == self.states[order],
            Request::Cancel(order) => status == if step(&mut next, order, "cancelled") { 200 } else { 409 },
            // Nobody plays the provider, so what has begun stays pending.
            Request::Pay(order) => status == if step(&mut next, order, "payment_pending") { 202 } else { 409 },
            Request::Create(key, body) => match self.keys.get(&key) {
                Some((before, _)) if *before != body => status == 422,
                Some((_, id)) => status == 201 && answer.body["id"] == *id,
                None => {
                    next.keys.insert(key, (body, answer.body["id"].as_str().unwrap_or_default().to_owned()));
                    status == 201 && answer.body["quantity"] == body
                }
            },
        };
        fits.then_some(next)
    }
}

/// Every state that some order of these requests leads to.
fn explain(model: &Model, done: &[(Request, Answer)], left: &[usize], found: &mut Vec<Model>) {
    if left.is_empty() && !found.contains(model) {
        found.push(model.clone());
    }
    for first in left {
        let (request, answer) = &done[*first];
        if let Some(next) = model.after(*request, answer) {
            let rest: Vec<_> = left.iter().copied().filter(|other| other != first).collect();
            explain(&next, done, &rest, found);
        }
    }
}

fn random(dice: &mut fastrand::Rng) -> Request {
    match dice.u8(0..4) {
        0 => Request::Create(dice.u8(1..3), dice.u8(1..3)),
        1 => Request::Cancel(dice.usize(0..ORDERS)),
        2 => Request::Pay(dice.usize(0..ORDERS)),
        _ => Request::Get(dice.usize(0..ORDERS)),
    }
}

#[sqlx::test]
async fn requests_at_a_time_act_as_if_one_came_after_the_other(pool: PgPool) {
    let api = start(Database::fixed(pool), LIMITS).await;
    let seed = fastrand::u64(..);
    let mut dice = fastrand::Rng::with_seed(seed);
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
        let mut models = vec![Model { states: ["open"; ORDERS], keys: BTreeMap::new() }];
        for _ in 0..BATCHES {
            let requests: Vec<_> = (0..AT_ONCE).map(|_| random(&mut dice)).collect();
            let answers = futures_util::future::join_all(requests.iter().map(|request| send(*request))).await;
            let done: Vec<_> = requests.into_iter().zip(answers).collect();
            let mut found = Vec::new();
            for model in &models {
                explain(model, &done, &(0..AT_ONCE).collect::<Vec<_>>(), &mut found);
            }
            assert!(!found.is_empty(), "seed {seed}: no order of {done:#?} explains the answers, from {models:?}");
            models = found;
        }
    }
}
