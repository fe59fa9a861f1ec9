//! Start and stop of both listeners.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

use actix_web::{App, HttpServer};
use anyhow::Context as _;
use observability::metrics::Report;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    admin,
    app::{Parts, app},
    config::Config,
    database::{
        Database, Settings,
        migrations::{self, Roles},
        watcher,
    },
    faults::Faults,
    gate::Limits,
    health::Health,
    metrics, orders, pages,
    payments::Payments,
};

/// How long a client may take to send the head of its first request. actix has no such limit for later ones: a client
/// that sends half of its second head keeps its connection, up to `CONNECTION_LIMIT` of them, and a stop waits for it
/// until `SHUTDOWN_TIMEOUT`. To end such connections is for the load balancer in front, which has seen whole requests
/// before it sends them on; so is telling clients of a head that cannot be read, or took too long, more than 400, 431
/// or 408 with no body: actix answers those before any middleware, so they are on no line and in no metric.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// One in so many requests that are answered at a time may wait for the payments provider.
const PAYMENTS_SHARE: usize = 4;

/// Serves until SIGTERM or SIGINT; then finishes what is in flight.
pub async fn serve(config: &Config, report: Report) -> anyhow::Result<()> {
    let settings = Settings::new(config)?;
    let roles = Roles::new(config)?;
    let public = bind(config.listen, "LISTEN")?;
    let admin = bind(config.admin_listen, "ADMIN_LISTEN")?;
    let (listen, admin_listen) = (public.local_addr()?, admin.local_addr()?);
    tracing::info!(%listen, %admin_listen, "listening");

    metrics::start_at_zero();
    let database = Database::unknown();
    let places = config.concurrency_limit.get().div_ceil(PAYMENTS_SHARE);
    let payments = Payments::new(&config.payments_url, config.payments_timeout, config.payments_retry, places)?;
    let health = Health::new(database.clone());
    let faults = config.faults.then(|| Faults::none(database.clone()));

    let admin = {
        let (database, health, faults) = (database.clone(), health.clone(), faults.clone());
        HttpServer::new(move || {
            App::new().configure(admin::routes(database.clone(), health.clone(), report.clone(), faults.clone()))
        })
        .workers(1)
        .disable_signals()
        .listen(admin)?
        .run()
    };
    let public = {
        let limits = Limits {
            body: config.body_limit,
            time: config.request_timeout,
            at_once: config.concurrency_limit.get(),
            rate: NonZeroU32::new(config.rate_limit),
        };
        let parts = Parts::new(database.clone(), payments.clone(), limits, config.auth()?, config.cors_origins.clone());
        let parts = parts.with_faults(faults).with_links(pages::links(config));
        // Each worker counts by itself.
        let workers =
            std::thread::available_parallelism().map_or(2, NonZeroUsize::get).min(config.connection_limit.get());
        HttpServer::new(move || app(parts.clone()))
            .workers(workers)
            .max_connections(config.connection_limit.get() / workers)
            // For a client that sends its head slowly; the body has REQUEST_TIMEOUT.
            .client_request_timeout(HEAD_TIMEOUT)
            .shutdown_signal(stop_signal(health.clone(), config.drain_delay)?)
            .shutdown_timeout(whole_seconds(config.shutdown_timeout))
            .listen(public)?
            .run()
    };

    let migrate = config.migrate;
    // Probes and scrapes are answered until the last request is done.
    let admin_handle = admin.handle();
    observability::spawn(admin);
    observability::spawn(watcher::watch(database.clone(), settings));
    observability::spawn_local(async move {
        migrations::prepare(database.clone(), roles, migrate, health).await;
        orders::finish_pending(database, payments).await;
    });
    public.await.context("the public listener failed")?;
    tracing::info!("stopped");
    admin_handle.stop(false).await;
    Ok(())
}

pub(crate) fn bind(address: SocketAddr, variable: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => "stop what listens there, or choose another",
            _ => "choose an address of this machine and a port it may use",
        };
        anyhow::anyhow!("{variable}: cannot listen on {address} ({error}): {advice}")
    })
}

/// actix counts in seconds: nobody gets less time than was configured.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// Ends when the process is asked to stop and load balancers have had time to look elsewhere.
fn stop_signal(health: Health, drain_delay: Duration) -> io::Result<impl Future<Output = ()> + Send> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        health.drain();
        tracing::info!("stopping: no longer ready, requests in flight finish");
        tokio::time::sleep(drain_delay).await;
    })
}
