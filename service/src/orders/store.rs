//! Orders in Postgres. Each query is checked against the schema when the service is built.

use std::time::Duration;

use observability::db;
use sqlx::{PgConnection, query, query_as, query_scalar, types::Json};
use uuid::Uuid;

use super::{NewOrder, Order, Status, Step, payment::Pending};
use crate::database::begin;

pub(super) async fn insert(connection: &mut PgConnection, id: Uuid, new: &NewOrder) -> sqlx::Result<Order> {
    let query = query_as!(
        Order,
        r#"insert into orders (id, item, quantity, amount, currency) values ($1, $2, $3, $4, $5)
           returning id, item, quantity, amount, currency, status as "status: Status",
                     created_at, updated_at"#,
        id,
        new.item.trim(),
        new.quantity,
        new.amount,
        new.currency,
    );
    db::observe("INSERT", "orders", query.fetch_one(connection)).await
}

/// What became of an order that was sent with an `Idempotency-Key`.
#[derive(Debug)]
pub(super) enum Once {
    Created(Order),
    /// The same was asked before; this is the order as it was answered then.
    Repeated(Order),
    /// Something else was asked before.
    Different,
}

/// Inserts an order unless its key is known. Two requests with one key wait for each other.
pub(super) async fn insert_once(
    connection: &mut PgConnection,
    (owner, key): (&str, &str),
    id: Uuid,
    new: &NewOrder,
) -> sqlx::Result<Once> {
    let mut transaction = begin(connection).await?;
    let claim = query!(
        "insert into idempotency_keys as held (owner, key, request, order_id) values ($1, $2, $3, $4)
         on conflict (owner, key) do update
         set request = excluded.request, order_id = excluded.order_id, created_at = now()
         where held.created_at < now() - interval '24 hours'",
        owner,
        key,
        Json(new) as _,
        id,
    );
    let claimed = db::observe("INSERT", "idempotency_keys", claim.execute(&mut *transaction)).await?;
    if claimed.rows_affected() == 1 {
        let order = insert(&mut transaction, id, new).await?;
        transaction.commit().await?;
        return Ok(Once::Created(order));
    }
    let known = query_scalar!(
        "select order_id from idempotency_keys where owner = $1 and key = $2 and request = $3",
        owner,
        key,
        Json(new) as _,
    );
    let known = db::observe("SELECT", "idempotency_keys", known.fetch_optional(&mut *transaction)).await?;
    let Some(id) = known else { return Ok(Once::Different) };
    let order = find(&mut transaction, id).await?.ok_or(sqlx::Error::RowNotFound)?;
    // Nothing else of an order ever changes.
    Ok(Once::Repeated(Order { status: Status::Open, updated_at: order.created_at, ..order }))
}

/// Deletes a part of them: all, after a long outage, might take longer than a statement may. The age is asked for
/// twice, as a key can be claimed anew in between.
pub(super) async fn forget_expired_keys(connection: &mut PgConnection) -> sqlx::Result<()> {
    let query = query!(
        "delete from idempotency_keys
         where created_at < now() - interval '24 hours' and (owner, key) in (
             select owner, key from idempotency_keys
             where created_at < now() - interval '24 hours' order by created_at limit 1000)"
    );
    db::observe("DELETE", "idempotency_keys", query.execute(connection)).await.map(drop)
}

pub(super) async fn find(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Order>> {
    let query = query_as!(
        Order,
        r#"select id, item, quantity, amount, currency, status as "status: Status",
                  created_at, updated_at
           from orders where id = $1"#,
        id,
    );
    db::observe("SELECT", "orders", query.fetch_optional(connection)).await
}

/// Takes a step that needs nothing else; `None` when there is no such order, or it is elsewhere in its life.
pub(super) async fn step(connection: &mut PgConnection, id: Uuid, step: Step) -> sqlx::Result<Option<Order>> {
    let (from, to) = step.ends();
    let query = query_as!(
        Order,
        r#"update orders set status = $3, updated_at = now()
           where id = $1 and status = $2
           returning id, item, quantity, amount, currency, status as "status: Status",
                     created_at, updated_at"#,
        id,
        from.as_str(),
        to.as_str(),
    );
    db::observe("UPDATE", "orders", query.fetch_optional(connection)).await
}

/// Begins a payment; `None` when the order is not open. It is due for the background after `lease`.
pub(super) async fn claim(
    connection: &mut PgConnection,
    id: Uuid,
    attempt: Uuid,
    cause: Option<&str>,
    lease: Duration,
) -> sqlx::Result<Option<Order>> {
    let mut transaction = begin(connection).await?;
    let order = step(&mut transaction, id, Step::Pay).await?;
    if order.is_some() {
        let query = query!(
            "insert into pending_payments (order_id, attempt, cause, due_at)
             values ($1, $2, $3, now() + make_interval(secs => $4))",
            id,
            attempt,
            cause,
            lease.as_secs_f64(),
        );
        db::observe("INSERT", "pending_payments", query.execute(&mut *transaction)).await?;
    }
    transaction.commit().await?;
    Ok(order)
}

/// Ends a payment; `None` when it has ended before.
pub(super) async fn settle(
    connection: &mut PgConnection,
    id: Uuid,
    attempt: Uuid,
    verdict: Step,
) -> sqlx::Result<Option<Order>> {
    let mut transaction = begin(connection).await?;
    let query = query!("delete from pending_payments where order_id = $1 and attempt = $2", id, attempt);
    let deleted = db::observe("DELETE", "pending_payments", query.execute(&mut *transaction)).await?;
    let order = if deleted.rows_affected() == 1 { step(&mut transaction, id, verdict).await? } else { None };
    transaction.commit().await?;
    Ok(order)
}

/// Takes payments that are due. Others skip them, and they are due again after `retry`, which doubles
/// with each try up to five minutes.
pub(super) async fn due(connection: &mut PgConnection, limit: usize, retry: Duration) -> sqlx::Result<Vec<Pending>> {
    let query = query_as!(
        Pending,
        "update pending_payments as pending
         set tries = tries + 1,
             due_at = now() + make_interval(
                 secs => least($2 * 2 ^ least(tries, 16), greatest($2, 300)) * (0.75 + random() / 2))
         from orders
         where orders.id = pending.order_id and pending.order_id in (
             select order_id from pending_payments where due_at <= now()
             order by due_at limit $1 for update skip locked)
         returning pending.order_id, pending.attempt, orders.amount, orders.currency, pending.cause",
        i64::try_from(limit).unwrap_or(i64::MAX),
        retry.as_secs_f64(),
    );
    db::observe("UPDATE", "pending_payments", query.fetch_all(connection)).await
}

/// Orders older than `before`, newest first.
pub(super) async fn page(
    connection: &mut PgConnection,
    status: Option<Status>,
    before: Uuid,
    limit: i64,
) -> sqlx::Result<Vec<Order>> {
    let query = query_as!(
        Order,
        r#"select id, item, quantity, amount, currency, status as "status: Status",
                  created_at, updated_at
           from orders
           where ($1::text is null or status = $1) and id < $2
           order by id desc
           limit $3"#,
        status.map(Status::as_str),
        before,
        limit,
    );
    db::observe("SELECT", "orders", query.fetch_all(connection)).await
}
