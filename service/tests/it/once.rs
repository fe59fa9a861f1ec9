//! The same order sent again: one order, and one answer.

use std::time::Duration;

use actix_web::http::StatusCode;
use serde_json::json;
use service::{database::Database, orders::finish_pending};
use sqlx::PgPool;

use crate::support::{
    api::{LIMITS, an_order, no_payments, start},
    eventually,
};

#[sqlx::test]
async fn the_same_key_and_body_get_the_same_answer_for_a_day(pool: PgPool) {
    let api = start(Database::fixed(pool.clone()), LIMITS).await;
    let first = api.create_once("k-1", &an_order()).await;
    assert_eq!(first.status, StatusCode::CREATED);
    let id = first.body["id"].as_str().unwrap();
    assert_eq!(api.cancel(id).await.status, StatusCode::OK);

    // Another process, and an order that has moved on.
    let api = start(Database::fixed(pool.clone()), LIMITS).await;
    let again = api.create_once("k-1", &an_order()).await;
    assert_eq!((again.status, &again.body), (StatusCode::CREATED, &first.body));
    assert_eq!(again.header("location"), first.header("location"));
    assert_ne!(api.create_once("k-2", &an_order()).await.body["id"], first.body["id"]);

    sqlx::query("update idempotency_keys set created_at = now() - interval '25 hours'").execute(&pool).await.unwrap();
    assert_ne!(api.create_once("k-1", &an_order()).await.body["id"], first.body["id"]);
}

#[sqlx::test]
async fn the_same_key_with_another_body_is_refused(pool: PgPool) {
    let api = start(Database::fixed(pool), LIMITS).await;
    assert_eq!(api.create_once("k-1", &an_order()).await.status, StatusCode::CREATED);
    let mut other = an_order();
    other["quantity"] = json!(3);
    let answer = api.create_once("k-1", &other).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.body["type"], "/problems/idempotency_key_reused");
}

#[sqlx::test]
async fn a_key_used_by_many_at_a_time_makes_one_order(pool: PgPool) {
    let api = start(Database::fixed(pool.clone()), LIMITS).await;
    let order = an_order();
    let answers = futures_util::future::join_all((0..20).map(|_| api.create_once("k-1", &order))).await;
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (StatusCode::CREATED, &answers[0].body));
    }
    let orders: i64 = sqlx::query_scalar("select count(*) from orders").fetch_one(&pool).await.unwrap();
    assert_eq!(orders, 1);
}

#[sqlx::test]
async fn keys_of_yesterday_are_forgotten_a_part_at_a_time(pool: PgPool) {
    let keys = "insert into idempotency_keys (owner, key, request, order_id, created_at)
                select '', number::text, '{}', gen_random_uuid(), now() - number * interval '1 minute'
                from generate_series(1380, 2940) as number";
    sqlx::query(keys).execute(&pool).await.unwrap();
    let count = async || sqlx::query_scalar::<_, i64>("select count(*) from idempotency_keys").fetch_one(&pool).await;
    observability::spawn(finish_pending(Database::fixed(pool.clone()), no_payments()));
    let mut seen = vec![1561];
    eventually("only those of today are left", Duration::from_secs(20), async || {
        let now = count().await.unwrap();
        if !seen.contains(&now) {
            seen.push(now);
        }
        now == 60
    })
    .await;
    assert_eq!(seen, [1561, 561, 60], "so many a time");
}
