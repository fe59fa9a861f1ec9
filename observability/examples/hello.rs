//! The smallest program that can be seen: a metric of its own, a context field, an outgoing call.
//! It listens on a free port, which its first line names.

use std::net::SocketAddr;

use actix_web::error::ErrorBadGateway;
use actix_web::{App, HttpRequest, HttpServer, Result, web};
use clap::Parser;
use observability::metrics::{Counter, Metric};
use observability::{Service, Settings, client, context, http};

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

/// Greets through another service, which here is the same one. The trace goes along.
async fn ask(request: HttpRequest, name: web::Path<String>, calls: web::Data<reqwest::Client>) -> Result<String> {
    let url = format!("http://{}/hello/{name}", request.app_config().local_addr());
    let answer = client::send("hello", calls.get(url)).await.map_err(ErrorBadGateway)?;
    answer.text().await.map_err(ErrorBadGateway)
}

fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let service = Service { name: "hello", version: env!("CARGO_PKG_VERSION"), revision: "unknown" };
    let telemetry = observability::init(service, &config.telemetry, METRICS)?;
    let (report, calls) = (telemetry.report(), web::Data::new(client::builder().build()?));
    actix_web::rt::System::new().block_on(async {
        let server = HttpServer::new(move || {
            let report = report.clone();
            App::new()
                .wrap(http::observe())
                .app_data(calls.clone())
                .route("/hello/{name}", web::get().to(hello))
                .route("/ask/{name}", web::get().to(ask))
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
