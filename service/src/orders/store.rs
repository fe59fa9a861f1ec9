//! Orders in Postgres. Each query is checked against the schema when the service is built.

use observability::db;
use sqlx::{PgConnection, query_as};
use uuid::Uuid;

use super::{NewOrder, Order, Status};

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

/// Cancels an open order; `None` when there is none with this id, or it is not open.
pub(super) async fn cancel(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Order>> {
    let query = query_as!(
        Order,
        r#"update orders set status = 'cancelled', updated_at = now()
           where id = $1 and status = 'open'
           returning id, item, quantity, amount, currency, status as "status: Status",
                     created_at, updated_at"#,
        id,
    );
    db::observe("UPDATE", "orders", query.fetch_optional(connection)).await
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
