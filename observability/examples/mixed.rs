//! A program that does to its telemetry whatever a program may do. The tests run it, and check that
//! every line, span and number it leaves behind is true.

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::error::ErrorBadGateway;
use actix_web::http::StatusCode;
use actix_web::{App, HttpResponse, HttpServer, web};
use clap::Parser;
use observability::http::{Failure, Problem, Severity};
use observability::metrics::{Histogram, Metric};
use observability::{Service, Settings, context, db, http};
use tracing::{Instrument as _, info, info_span};

static STEP_DURATION: Histogram<0> = Histogram::new("step_duration_seconds", "What a step takes.", [], &[0.1, 1.0]);
static METRICS: &[&dyn Metric] = &[&STEP_DURATION];

#[derive(Parser)]
struct Config {
    #[command(flatten)]
    telemetry: Settings,
}

/// Number of a client's request: lines of one client keep their order.
async fn ok(number: web::Path<(u32, u32)>) -> HttpResponse {
    let (client, number) = number.into_inner();
    context::put("client", client);
    context::put("number", number);
    for reserved in ["timestamp", "level", "service", "trace_id", "span_id", "request_id", "http.route", "duration_ms"]
    {
        context::put(reserved, "forged");
    }
    info!(level = "forged", trace_id = "forged", text = "\"\\\n\r\t\u{0}\u{1b}[31m\u{7f}\u{2028}é", "asked");
    HttpResponse::Ok().body("ok")
}

async fn busy() -> HttpResponse {
    let step = async { log::warn!(target: "third::party", "an old {} says \"so\"", "library") };
    step.instrument(info_span!("step")).await;
    let query = async { sqlx::Result::<()>::Err(sqlx::Error::PoolTimedOut) };
    let _ = observability::spawn(db::observe("SELECT", "orders", query)).await;
    let _ = observability::spawn_blocking(|| info!(target: "sqlx::query", rows_affected = 1_u64, "slow")).await;
    let long = "ü".repeat(600_000);
    info!(long, "cut");
    HttpResponse::Accepted().finish()
}

async fn failed() -> HttpResponse {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let problem = Problem { kind: "db_down", status, title: "Away", detail: "Try again.".into() };
    Failure { failure_type: "db_down", severity: Severity::Error, cause: "refused".into() }.attach(problem.response())
}

#[expect(clippy::panic, reason = "that is what it is for")]
async fn panics() -> HttpResponse {
    panic!("a \"quoted\"\npanic")
}

async fn slow() -> HttpResponse {
    tokio::time::sleep(Duration::from_millis(20)).await;
    HttpResponse::Ok()
        .streaming(futures_util::stream::iter(["a", "b"].map(|text| Ok::<_, actix_web::Error>(text.into()))))
}

/// An error that nobody named.
async fn bad() -> actix_web::Result<&'static str> {
    Err(ErrorBadGateway("upstream says no"))
}

/// An answer that breaks off.
async fn broken() -> HttpResponse {
    let chunks = [Ok("a".into()), Err(ErrorBadGateway("the store went away"))];
    HttpResponse::Ok().streaming(futures_util::stream::iter(chunks))
}

/// An answer that goes on until the client leaves.
async fn endless() -> HttpResponse {
    let chunks = futures_util::stream::unfold((), async |()| {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Some((Ok::<_, actix_web::Error>("more".into()), ()))
    });
    HttpResponse::Ok().streaming(chunks)
}

/// Observes a million times.
async fn million() -> &'static str {
    (0..1_000_000).for_each(|_| STEP_DURATION.record([], 0.2));
    "done"
}

fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let service = Service { name: "mixed", version: env!("CARGO_PKG_VERSION"), revision: "unknown" };
    let telemetry = observability::init(service, &config.telemetry, METRICS)?;
    let report = telemetry.report();
    actix_web::rt::System::new().block_on(async {
        let server = HttpServer::new(move || {
            let report = report.clone();
            App::new()
                .wrap(http::observe())
                .route("/ok/{client}/{number}", web::get().to(ok))
                .route("/busy", web::post().to(busy))
                .route("/failed", web::get().to(failed))
                .route("/panic", web::get().to(panics))
                .route("/slow", web::get().to(slow))
                .route("/bad", web::get().to(bad))
                .route("/broken", web::get().to(broken))
                .route("/endless", web::get().to(endless))
                .route("/million", web::get().to(million))
                .route("/metrics", web::get().to(move || std::future::ready(report.render())))
        })
        .workers(1)
        .bind(("127.0.0.1", 0))?;
        info!(port = server.addrs().first().map(SocketAddr::port), "listening");
        server.run().await
    })?;
    info!("stopped");
    Ok(())
}
