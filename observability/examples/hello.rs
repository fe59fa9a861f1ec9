//! The smallest program that can be seen: one route, a metric of its own, a context field.
//! It listens on a free port, which its first line names.

use std::net::SocketAddr;

use actix_web::{App, HttpServer, web};
use clap::Parser;
use observability::metrics::{Counter, Metric};
use observability::{Service, Settings, context, http};

/// Greetings given.
static GREETINGS: Counter<0> = Counter::new("greetings_total", "Greetings given.", []);
static METRICS: &[&dyn Metric] = &[&GREETINGS];

#[derive(Parser)]
struct Config {
    #[command(flatten)]
    telemetry: Settings,
}

async fn hello(name: web::Path<String>) -> String {
    GREETINGS.increment([]);
    context::put("name_length", name.len());
    tracing::info!("greeting");
    format!("Hello, {name}!")
}

fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let service = Service { name: "hello", version: env!("CARGO_PKG_VERSION"), revision: "unknown" };
    let telemetry = observability::init(service, &config.telemetry, METRICS)?;
    let report = telemetry.report();
    actix_web::rt::System::new().block_on(async {
        let server = HttpServer::new(move || {
            let report = report.clone();
            App::new()
                .wrap(http::observe())
                .route("/hello/{name}", web::get().to(hello))
                .route("/metrics", web::get().to(move || std::future::ready(report.render())))
        })
        .workers(1)
        .bind(("127.0.0.1", 0))?;
        tracing::info!(port = server.addrs().first().map(SocketAddr::port), "listening");
        server.run().await
    })?;
    tracing::info!("stopped");
    Ok(())
}
