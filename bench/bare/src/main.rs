//! actix-web with nothing around it: what the other two are compared with.

use actix_web::{App, HttpResponse, HttpServer, web};
use sqlx::PgPool;

async fn ping(id: web::Path<u64>) -> String {
    format!("pong {id}")
}

async fn order(id: web::Path<i64>, pool: web::Data<PgPool>) -> HttpResponse {
    let query = sqlx::query_scalar::<_, String>("SELECT item FROM bench_orders WHERE id = $1");
    match query.bind(*id).fetch_one(&**pool).await {
        Ok(item) => HttpResponse::Ok().body(item),
        Err(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let pool = pool();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(pool.clone()))
            .service(web::resource("/v1/ping/{id}").route(web::get().to(ping)))
            .service(web::resource("/v1/child/{id}").route(web::get().to(ping)))
            .service(web::resource("/v1/orders/{id}").route(web::get().to(order)))
    })
    .workers(1)
    .bind(("127.0.0.1", 0))?;
    eprintln!("{}", server.addrs()[0]);
    server.run().await
}

fn pool() -> PgPool {
    let url = std::env::var("DATABASE_URL").unwrap_or_else(|_| "postgres://127.0.0.1/none".into());
    let options = sqlx::postgres::PgPoolOptions::new().max_connections(10).test_before_acquire(false);
    options.connect_lazy(&url).expect("DATABASE_URL is a URL")
}
