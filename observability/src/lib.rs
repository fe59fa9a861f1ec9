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
//! # What a program does
//!
//! | to | use |
//! | --- | --- |
//! | put a field on every later line of a request, and on its span | [`context::put`]`("order_id", id)` |
//! | declare a metric, and count | `static CREATED: `[`Counter`](metrics::Counter)`<0> = …`, given to [`init`]; `CREATED.increment([])` |
//! | serve `/metrics` | [`Telemetry::report`], then [`Report::render`](metrics::Report::render) |
//! | call another service, with the trace | [`client::send`] |
//! | query a database | [`db::observe`], [`db::acquire`] |
//! | say why a request failed | [`http::Failure::attach`] on the answer; the client reads a [`http::Problem`] |
//! | spawn | [`spawn`], [`spawn_local`], [`spawn_blocking`]: the bare ones lose the request |
//! | work in the background, as a trace of its own | [`job`](job()) |
//! | change the log filter or the sampling while it runs | [`logs::set_filter`], [`traces::set_ratio`] |
//! | test what is logged, counted and traced | [`testing::Capture`] |
//!
//! [`Settings`] are read from the environment by the program's own clap: `RUST_LOG`, `LOG_FORMAT`,
//! `LOG_DIR`, `LOG_MAX_BYTES`, `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER_ARG`,
//! `DEPLOYMENT_ENVIRONMENT`, `OTEL_RESOURCE_ATTRIBUTES`, `MEMORY_LIMIT`. The exporter also obeys
//! `OTEL_EXPORTER_OTLP_HEADERS`.
//!
//! A request leaves one line when it ends:
//!
//! ```json
//! {"timestamp":"2026-11-20T15:49:44.744123Z","level":"INFO","message":"POST /v1/orders → 201","service":"orders","version":"0.1.0","env":"local","target":"observability::http","request_id":"8060f58b","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","http.request.method":"POST","http.route":"/v1/orders","http.response.status_code":201,"duration_ms":3.214,"order_id":"o-42"}
//! ```
//!
//! # What to know
//!
//! - Fields of spans do not stand in lines; only what was [`context::put`] does, sampled or not.
//! - Spans below a request's own are made for sampled requests only. So `.instrument(info_span!(…))` on
//!   a bare spawn loses the request where it is not sampled; the spawns above do not.
//! - `tracing_opentelemetry`'s `OpenTelemetrySpanExt` does nothing here: the current position in the
//!   trace is [`context::traceparent`], the headers of a call are [`context::propagation_headers`].
//! - A span's explicit `parent:` works on the thread that works on the request.
//!
//! # On a bad day
//!
//! No request waits for telemetry, and memory stays bounded: 4,096 spans that have just
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

mod fields;
mod hex;
mod init;
mod job;
mod json;
mod lag;
mod layer;
mod line;
mod losses;
mod outcome;
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
