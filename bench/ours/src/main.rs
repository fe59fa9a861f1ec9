//! The same with `observability`: line, span, histogram and ids for each request.

use actix_web::{App, HttpResponse, HttpServer, web};
use clap::Parser;
use observability::{Service, Settings, db, http};
use sqlx::PgPool;

#[derive(Parser)]
struct Config {
    #[command(flatten)]
    telemetry: Settings,
    #[arg(long, env = "DATABASE_URL", default_value = "postgres://127.0.0.1/none")]
    database_url: String,
}

async fn ping(id: web::Path<u64>) -> String {
    format!("pong {id}")
}

/// As `ping`, with one span below the request's.
async fn child(id: web::Path<u64>) -> String {
    tracing::info_span!("step", step.name = "child", step.kind = "bench", step.id = *id)
        .in_scope(|| format!("pong {id}"))
}

async fn order(id: web::Path<i64>, pool: web::Data<PgPool>) -> HttpResponse {
    let query = sqlx::query_scalar::<_, String>("SELECT item FROM bench_orders WHERE id = $1").bind(*id);
    match db::observe("SELECT", "bench_orders", query.fetch_one(&**pool)).await {
        Ok(item) => HttpResponse::Ok().body(item),
        Err(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}

fn main() -> std::io::Result<()> {
    let config = Config::parse();
    let service = Service { name: "bench", version: "0.0.0", revision: "bench" };
    let telemetry = observability::init(service, &config.telemetry, &[]).expect("settings are right");
    let report = telemetry.report();
    actix_web::rt::System::new().block_on(async move {
        let options = sqlx::postgres::PgPoolOptions::new().max_connections(10).test_before_acquire(false);
        let pool = options.connect_lazy(&config.database_url).expect("DATABASE_URL is a URL");
        let server = HttpServer::new(move || {
            let report = report.clone();
            App::new()
                .app_data(web::Data::new(pool.clone()))
                .service(web::resource("/v1/ping/{id}").route(web::get().to(ping)))
                .service(web::resource("/v1/child/{id}").route(web::get().to(child)))
                .service(web::resource("/v1/orders/{id}").route(web::get().to(order)))
                .route("/metrics", web::get().to(move || std::future::ready(report.render())))
                .wrap(http::observe())
        })
        .workers(1)
        .bind(("127.0.0.1", 0))?;
        eprintln!("{}", server.addrs()[0]);
        server.run().await
    })
}
