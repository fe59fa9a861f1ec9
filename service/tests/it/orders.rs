//! What each endpoint does.

use std::{
    collections::HashSet,
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
};

use actix_web::http::StatusCode;
use futures_util::future::{Either, join_all, select};
use serde_json::json;
use service::database::Database;
use sqlx::PgPool;

use crate::support::api::{LIMITS, an_order, start};

#[sqlx::test]
async fn an_order_can_be_created_and_read_again(pool: PgPool) {
    let api = start(Database::fixed(pool), LIMITS).await;

    let created = api.create(&an_order()).await;
    assert_eq!(created.status, StatusCode::CREATED);
    assert_eq!(created.body["item"], "coffee");
    assert_eq!(created.body["status"], "open");
    let location = created.header("location").to_owned();
    assert_eq!(location, format!("/v1/orders/{}", created.body["id"].as_str().unwrap()));

    let read = api.get(&location).await;
    assert_eq!(read.status, StatusCode::OK);
    assert_eq!(read.body, created.body);
}

#[sqlx::test]
async fn an_order_can_be_cancelled_once(pool: PgPool) {
    let api = start(Database::fixed(pool), LIMITS).await;
    let id = api.an_order().await;

    let cancelled = api.cancel(&id).await;
    assert_eq!(cancelled.status, StatusCode::OK);
    assert_eq!(cancelled.body["status"], "cancelled");
    assert_ne!(cancelled.body["updated_at"], cancelled.body["created_at"]);

    assert_eq!(api.cancel(&id).await.status, StatusCode::CONFLICT);
}

#[sqlx::test]
async fn pages_neither_skip_nor_repeat_while_orders_arrive(pool: PgPool) {
    let api = start(Database::fixed(pool), LIMITS).await;
    let mut before = HashSet::new();
    for _ in 0..25 {
        before.insert(api.an_order().await);
    }

    let pages = pin!(async {
        let (mut seen, mut path) = (Vec::new(), "/v1/orders?limit=4".to_owned());
        loop {
            let page = api.get(&path).await;
            assert_eq!(page.status, StatusCode::OK, "{page:?}");
            let orders = page.body["orders"].as_array().unwrap();
            seen.extend(orders.iter().map(|order| order["id"].as_str().unwrap().to_owned()));
            let Some(cursor) = page.body["next_cursor"].as_str() else { return seen };
            path = format!("/v1/orders?limit=4&cursor={cursor}");
        }
    });
    let arrived = AtomicUsize::new(0);
    let writers = pin!(join_all((0..4).map(async |_| {
        loop {
            api.an_order().await;
            arrived.fetch_add(1, Ordering::Relaxed);
        }
    })));
    let Either::Left((seen, _)) = select(pages, writers).await else { unreachable!("the writers never end") };
    assert!(arrived.load(Ordering::Relaxed) >= 4);

    let unique: HashSet<_> = seen.iter().cloned().collect();
    assert_eq!(seen.len(), unique.len(), "nothing is shown twice");
    assert!(unique.is_superset(&before), "nothing is skipped");
    assert!(seen.is_sorted_by(|newer, older| newer > older), "newest first");
}

#[sqlx::test]
async fn a_list_can_be_limited_to_one_status(pool: PgPool) {
    let api = start(Database::fixed(pool), LIMITS).await;
    let (open, cancelled) = (api.an_order().await, api.an_order().await);
    api.cancel(&cancelled).await;

    for (status, id) in [("open", open), ("cancelled", cancelled)] {
        let page = api.get(&format!("/v1/orders?status={status}")).await;
        let ids: Vec<_> = page.body["orders"].as_array().unwrap().iter().map(|o| &o["id"]).collect();
        assert_eq!(ids, [&json!(id)]);
        assert!(page.body.get("next_cursor").is_none());
    }
}

#[sqlx::test]
async fn values_that_make_no_sense_are_refused_by_field(pool: PgPool) {
    let api = start(Database::fixed(pool), LIMITS).await;
    for (field, value) in [
        ("item", json!("  ")),
        ("item", json!("x".repeat(101))),
        ("item", json!("tab\there")),
        ("quantity", json!(0)),
        ("quantity", json!(1001)),
        ("amount", json!(-5)),
        ("amount", json!(100_000_001)),
        ("currency", json!("eur")),
        ("currency", json!("EURO")),
        ("currency", json!("€")),
    ] {
        let mut order = an_order();
        order[field] = value;
        let answer = api.create(&order).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{order}");
        let errors = answer.body["errors"].as_object().unwrap();
        assert_eq!(errors.keys().collect::<Vec<_>>(), [field]);
    }
}
