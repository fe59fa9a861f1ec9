//! actix-web and sqlx with nothing around them, and one query of the service: what the service is
//! measured against by `load/nightly.sh`. Arguments: the database, then the address to listen on.

use actix_web::{App, HttpResponse, HttpServer, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgPool, postgres::PgPoolOptions};
use uuid::Uuid;

#[derive(FromRow, Serialize)]
struct Order {
    id: Uuid,
    item: String,
    quantity: i32,
    amount: i64,
    currency: String,
    status: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

async fn order(id: web::Path<Uuid>, pool: web::Data<PgPool>) -> HttpResponse {
    let query = sqlx::query_as::<_, Order>(
        "select id, item, quantity, amount, currency, status, created_at, updated_at from orders where id = $1",
    );
    match query.bind(*id).fetch_one(&**pool).await {
        Ok(order) => HttpResponse::Ok().json(order),
        Err(_) => HttpResponse::NotFound().finish(),
    }
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().collect();
    let [_, database, address] = arguments.as_slice() else { anyhow::bail!("give a database URL and an address") };
    let pool = PgPoolOptions::new().max_connections(10).test_before_acquire(false).connect_lazy(database)?;
    let app = move || App::new().app_data(web::Data::new(pool.clone())).route("/v1/orders/{id}", web::get().to(order));
    Ok(HttpServer::new(app).bind(address)?.run().await?)
}
