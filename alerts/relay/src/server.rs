//! Starts the parts in order and stops them in order.
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, middleware, web};
use anyhow::Context as _;
use futures_util::future;
use observability::metrics::Report;
use reqwest::Url;
use secrecy::SecretString;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use crate::actions::Actions;
use crate::bell::Bell;
use crate::channel::{Channel, Sender};
use crate::config::Config;
use crate::health::Health;
use crate::heartbeat::Heartbeat;
use crate::inbox::Door;
use crate::message::Links;
use crate::metrics::Handled;
use crate::policy::Policy;
use crate::sight::Sight;
use crate::store::Store;
use crate::{admin, inbox, intake, keeper, operate, outbox, reconcile};

/// Longer than one attempt at a chat may take.
const LAST_ATTEMPT: Duration = Duration::from_secs(6);
const LAST_REQUESTS: u64 = 3;
const WORKERS: usize = 2;
const CLEANING: Duration = Duration::from_hours(1);

/// What the parts share.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) store: Store,
    pub(crate) channels: Vec<Channel>,
    pub(crate) policy: Policy,
    pub(crate) health: Health,
    pub(crate) actions: Actions,
    pub(crate) door: Door,
    pub(crate) loki: Option<Url>,
    pub(crate) sight: Sight,
    /// A notification could not be stored since the last comparison.
    pub(crate) refused: AtomicBool,
    pub(crate) environment: String,
    /// Asked now and then, so that somebody else notices when nobody asks any more.
    pub(crate) outbound: Option<SecretString>,
    pub(crate) links: Links,
    pub(crate) token: SecretString,
    pub(crate) warnings: Vec<String>,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) handled: Handled,
    pub(crate) bell: Bell,
}

/// A relay at work.
#[derive(Debug)]
pub struct Running {
    /// Where intake, inbox and runbooks are.
    pub public: SocketAddr,
    /// Where metrics and health are.
    pub admin: SocketAddr,
    relay: Arc<Relay>,
    servers: [ServerHandle; 2],
    workers: Vec<JoinHandle<()>>,
}

/// Serves until SIGTERM or Ctrl-C.
pub async fn run(config: Config, report: Report) -> anyhow::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    let running = start(config, report).await?;
    tokio::select! {
        _ = terminated.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    running.stop().await;
    Ok(())
}

/// Opens the store, then starts to listen and to deliver. Port 0 picks a free one.
pub async fn start(config: Config, report: Report) -> anyhow::Result<Running> {
    let public = bind("RELAY_LISTEN", config.listen)?;
    let admin = bind("RELAY_ADMIN_LISTEN", config.admin_listen)?;
    let (public_address, admin_address) = (public.local_addr()?, admin.local_addr()?);
    let (sender, no_certificates) = Sender::new()?;
    let warnings = operate::warnings(&config).into_iter().chain(no_certificates.map(str::to_owned)).collect();
    let store = Store::open(&config.data_dir).await?;
    let relay = Arc::new(Relay {
        actions: Actions::new(store.key().await?),
        store,
        policy: config.policy,
        health: Health::default(),
        door: match (config.local, config.sign_in) {
            (true, _) => Door::Open,
            (false, Some(token)) => Door::Token(token),
            (false, None) => Door::Shut,
        },
        loki: config.loki,
        sight: Sight { prometheus: config.prometheus, alertmanager: config.alertmanager, client: client()? },
        refused: AtomicBool::default(),
        environment: config.telemetry.environment,
        outbound: config.heartbeat,
        channels: config.channels,
        links: config.links,
        token: config.token,
        warnings,
        heartbeat: Heartbeat::start(config.heartbeat_patience),
        handled: Handled::default(),
        bell: Bell::default(),
    });
    intake::declare();
    let mut workers = outbox::start(&relay, &sender);
    workers.push(observability::spawn(clean(Arc::clone(&relay))));
    workers.push(observability::spawn(keeper::keep(Arc::clone(&relay))));
    workers.push(observability::spawn(reconcile::reconcile(Arc::clone(&relay))));
    let key = relay.store.key().await?;
    let servers = [serve_public(&relay, key, public)?, serve_admin(&relay, report, admin)?];
    for warning in &relay.warnings {
        tracing::warn!("{warning}");
    }
    tracing::info!(public = %public_address, admin = %admin_address, "relay is ready");
    Ok(Running { public: public_address, admin: admin_address, relay, servers, workers })
}

impl Running {
    /// Takes no more, lets the attempts that are under way end, and closes the store. What is pending stays there.
    pub async fn stop(self) {
        self.relay.bell.stop();
        future::join_all(self.servers.iter().map(|server| server.stop(true))).await;
        if tokio::time::timeout(LAST_ATTEMPT, future::join_all(self.workers)).await.is_err() {
            tracing::warn!("an attempt did not end in time; it will be made again");
        }
        self.relay.store.close().await;
        tracing::info!("relay stopped");
    }
}

/// Also without the system's certificates: what it asks is usually near and plain.
fn client() -> reqwest::Result<reqwest::Client> {
    let builder = || {
        let builder = observability::client::builder().redirect(reqwest::redirect::Policy::none());
        builder.connect_timeout(Duration::from_secs(1)).timeout(Duration::from_secs(2)).no_proxy()
    };
    builder().build().or_else(|_| builder().tls_certs_only([]).build())
}

fn bind(variable: &'static str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).with_context(|| {
        format!("{variable}: cannot listen on {address}; stop what uses it, or name another address")
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn serve_public(relay: &Arc<Relay>, key: Vec<u8>, listener: TcpListener) -> anyhow::Result<ServerHandle> {
    let secure = relay.links.relay.as_ref().is_some_and(|url| url.scheme() == "https");
    let relay = web::Data::from(Arc::clone(relay));
    let app = move || {
        App::new()
            .app_data(relay.clone())
            .configure(intake::routes)
            .configure(inbox::routes)
            .default_service(web::to(inbox::nothing_here))
            .wrap(middleware::from_fn(inbox::guard))
            .wrap(inbox::sessions(&key, secure))
            .wrap(inbox::headers())
            .wrap(observability::http::observe())
    };
    let server =
        HttpServer::new(app).workers(WORKERS).disable_signals().shutdown_timeout(LAST_REQUESTS).listen(listener)?.run();
    let handle = server.handle();
    observability::spawn(server);
    Ok(handle)
}

fn serve_admin(relay: &Arc<Relay>, report: Report, listener: TcpListener) -> anyhow::Result<ServerHandle> {
    let (relay, report) = (web::Data::from(Arc::clone(relay)), web::Data::new(report));
    let app = move || App::new().app_data(relay.clone()).app_data(report.clone()).configure(admin::routes);
    let server =
        HttpServer::new(app).workers(1).disable_signals().shutdown_timeout(LAST_REQUESTS).listen(listener)?.run();
    let handle = server.handle();
    observability::spawn(server);
    Ok(handle)
}

async fn clean(relay: Arc<Relay>) {
    let mut bell = relay.bell.listen();
    loop {
        match relay.store.forget().await {
            Ok(0) => {}
            Ok(incidents) => tracing::info!(incidents, "old incidents forgotten"),
            Err(error) => tracing::warn!(error.cause = %error, "old incidents cannot be forgotten"),
        }
        tokio::select! {
            _ = bell.wait_for(|signal| signal.stopping) => return,
            () = tokio::time::sleep(CLEANING) => {}
        }
    }
}
