//! The crates people usually take, with their documented defaults.

use actix_web::{App, HttpResponse, HttpServer, web};
use actix_web_prom::PrometheusMetricsBuilder;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use sqlx::PgPool;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

async fn ping(id: web::Path<u64>) -> String {
    tracing::info!("request");
    format!("pong {id}")
}

#[tracing::instrument(skip_all)]
async fn select(id: i64, pool: &PgPool) -> sqlx::Result<String> {
    sqlx::query_scalar("SELECT item FROM bench_orders WHERE id = $1").bind(id).fetch_one(pool).await
}

async fn order(id: web::Path<i64>, pool: web::Data<PgPool>) -> HttpResponse {
    tracing::info!("request");
    match select(*id, &pool).await {
        Ok(item) => HttpResponse::Ok().body(item),
        Err(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}

fn init() -> SdkTracerProvider {
    let ratio = std::env::var("OTEL_TRACES_SAMPLER_ARG").ok().and_then(|ratio| ratio.parse().ok()).unwrap_or(1.0);
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_http().build().expect("an exporter");
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
        .with_batch_exporter(exporter)
        .build();
    tracing_subscriber::registry()
        .with(tracing_subscriber::EnvFilter::from_default_env())
        .with(tracing_subscriber::fmt::layer().json())
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("bench")))
        .init();
    provider
}

fn main() -> std::io::Result<()> {
    let provider = init();
    let url = std::env::var("DATABASE_URL").unwrap_or_else(|_| "postgres://127.0.0.1/none".into());
    let metrics = PrometheusMetricsBuilder::new("bench").endpoint("/metrics").build().expect("metrics");
    actix_web::rt::System::new().block_on(async move {
        let options = sqlx::postgres::PgPoolOptions::new().max_connections(10).test_before_acquire(false);
        let pool = options.connect_lazy(&url).expect("DATABASE_URL is a URL");
        let server = HttpServer::new(move || {
            App::new()
                .app_data(web::Data::new(pool.clone()))
                .service(web::resource("/v1/ping/{id}").route(web::get().to(ping)))
                .service(web::resource("/v1/child/{id}").route(web::get().to(ping)))
                .service(web::resource("/v1/orders/{id}").route(web::get().to(order)))
                .wrap(metrics.clone())
                .wrap(tracing_actix_web::TracingLogger::default())
        })
        .workers(1)
        .bind(("127.0.0.1", 0))?;
        eprintln!("{}", server.addrs()[0]);
        server.run().await
    })?;
    let _ = provider.shutdown();
    Ok(())
}
