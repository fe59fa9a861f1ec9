//! Logs, metrics and traces of one process, set up in one call.
//!
//! * **Logs**: one JSON object a line on stdout, and in hourly files under `LOG_DIR`. What a request
//!   knows about itself stands flat at the root of each of its lines: the span is the MDC.
//! * **Metrics**: constants, declared once, served as Prometheus text.
//! * **Traces**: every request is a span; sampled ones go out over OTLP/HTTP when an endpoint is set.
//!
//! The three share one vocabulary: `http.route` in a line or a span is `http_route` in a metric.
//!
//! A program calls [`init`] once, keeps the [`Telemetry`] it gets until the end of `main`, and wraps its
//! actix application in [`http::observe`]:
//!
//! ```no_run
//! use actix_web::{App, HttpServer, web};
//! use observability::{Service, Settings};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let service = Service { name: "hello", version: env!("CARGO_PKG_VERSION"), revision: "unknown" };
//!     let _telemetry = observability::init(service, &Settings::default(), &[])?;
//!     actix_web::rt::System::new().block_on(async {
//!         HttpServer::new(|| {
//!             App::new()
//!                 .wrap(observability::http::observe())
//!                 .route("/", web::get().to(async || "hello"))
//!         })
//!         .bind(("127.0.0.1", 8080))?
//!         .run()
//!         .await
//!     })?;
//!     Ok(())
//! }
//! ```
//!
//! `examples/hello.rs` adds a metric, a context field and an outgoing call. `line.schema.json` is the
//! schema of a line.
//!
//! **On a bad day** no request waits for telemetry, and memory stays bounded: 4,096 spans that have just
//! ended, 8 MiB of encoded ones, whose texts are cut at 8 KiB each like those of lines; 8 MiB of lines in
//! buffers, 12 MiB on their way to standard output; the observations of 5 s, of 16 bytes each. Spans wait for
//! a collector that restarts for 35 s, and 25 s for an answer of one that is slow; a log file that was deleted
//! is opened anew. What is lost is counted in
//! `telemetry_dropped_total{signal,reason}`, and told in a line (`telemetry was lost`), at most once a
//! minute and as the last of all. Ending takes 3 s for spans and 2 s for lines, at most.
//!
//! Lines of one thread keep their order; those of two may be up to 50 ms apart from it.
//!
//! What it is not for: business rules, SQL schemas, chat. It does not know which service it is in.

pub mod client;
pub mod context;
pub mod db;
pub mod http;
pub mod logs;
pub mod metrics;
pub mod testing;
pub mod traces;
pub mod volumes;

mod hex;
mod init;
mod job;
mod json;
mod lag;
mod layer;
mod line;
mod losses;
mod panics;
mod problem;
mod propagation;
mod report;
mod settings;
mod subscriber;
mod task;
mod text;
mod writer;

pub use init::{InitError, Service, Telemetry, init};
pub use job::job;
pub use settings::{LogFormat, Settings};
pub use task::{spawn, spawn_blocking, spawn_local};
