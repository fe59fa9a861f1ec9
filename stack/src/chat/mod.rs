//! Plays chat: Slack's incoming webhook as Slack answers it, the receiver of escalations that bypass the relay, and the
//! program that would roll a deployment back.
//!
//! Nothing here knows what an alert is. It keeps what it accepted, and can be told to fail in the ways chats fail.

mod message;
mod page;
mod routes;

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use actix_web::{App, HttpServer, dev::ServerHandle, web};
use anyhow::Context;
use chrono::Utc;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use message::Message;

/// More than any drill sends; keeps a player that runs for weeks small.
const KEPT: usize = 2_000;
const BODY_LIMIT: usize = 1024 * 1024;

/// How the player answers Slack's webhook from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Behaviour {
    /// 200 `ok`: accepted.
    #[default]
    Ok,
    /// 503: down.
    Unavailable,
    /// 429 with `Retry-After`.
    TooMany {
        /// Seconds that the caller is asked to wait.
        retry_after_s: u32,
    },
    /// 200, but the body says that it failed.
    Error,
    /// Takes the request and never answers.
    Hang,
    /// Breaks the connection off in the middle of the answer.
    Cut,
    /// 404 `no_service`: the webhook was removed.
    NoService,
}

/// What the player has seen, as `GET /messages` tells it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Log {
    /// Milliseconds since the player started, on a clock that never jumps; messages carry the same.
    pub now_ms: u64,
    /// How it answers at present.
    pub behaviour: Behaviour,
    /// Requests to Slack's webhook that were not accepted.
    pub refused: u64,
    /// What Slack accepted, oldest first.
    pub messages: Vec<Message>,
    /// What the second chat accepted, which is never down, oldest first.
    pub second: Vec<Message>,
    /// What came around the relay, oldest first.
    pub escalations: Vec<Message>,
    /// Calls of the rollback hook, oldest first.
    pub rollbacks: Vec<Message>,
}

#[derive(Debug)]
struct State {
    started: Instant,
    log: Mutex<Log>,
}

impl State {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshot(&self) -> Log {
        let mut log = self.log().clone();
        log.now_ms = self.elapsed();
        log
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn message(&self, body: Value) -> Message {
        Message { at_ms: self.elapsed(), received_at: Utc::now(), body }
    }
}

fn keep(messages: &mut Vec<Message>, message: Message) {
    if messages.len() == KEPT {
        messages.remove(0);
    }
    messages.push(message);
}

/// A running player. It stops when dropped.
#[derive(Debug)]
pub struct Chat {
    address: SocketAddr,
    state: Arc<State>,
    server: ServerHandle,
}

impl Chat {
    /// Where it listens, without a trailing slash. The webhook is `<url>/slack/<any token>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What Slack accepted so far.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.state.log().messages.clone()
    }

    /// Everything seen so far.
    #[must_use]
    pub fn log(&self) -> Log {
        self.state.snapshot()
    }

    /// Answers like this from the next request on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.state.log().behaviour = behaviour;
    }

    /// Closes the listener and every connection.
    pub async fn stop(self) {
        self.server.stop(false).await;
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        // The order is given at once; the future would only wait for its end.
        drop(self.server.stop(false));
    }
}

/// Starts a player; port 0 takes a free one.
pub async fn start(address: SocketAddr) -> anyhow::Result<Chat> {
    let listener = TcpListener::bind(address)
        .with_context(|| format!("the chat player cannot listen on {address}: stop what listens there, or move one"))?;
    let address = listener.local_addr()?;
    let state = Arc::new(State { started: Instant::now(), log: Mutex::default() });
    let shared = web::Data::from(Arc::clone(&state));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::clone(&shared))
            .app_data(web::PayloadConfig::new(BODY_LIMIT))
            .configure(routes::configure)
    })
    .workers(1)
    .disable_signals()
    .shutdown_timeout(1)
    .listen(listener)?
    .run();
    let handle = server.handle();
    #[expect(clippy::disallowed_methods, reason = "the player has no request context that a task could lose")]
    drop(tokio::spawn(server));
    wait_until_ready(address).await?;
    Ok(Chat { address, state, server: handle })
}

async fn wait_until_ready(address: SocketAddr) -> anyhow::Result<()> {
    let client = crate::http::client(Duration::from_secs(5))?;
    client.get(format!("http://{address}/messages")).send().await.context("the chat player does not answer")?;
    Ok(())
}
