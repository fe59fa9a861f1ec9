//! Kills whoever tells the chat, at a chosen moment.
use std::time::{Duration, Instant};

use sqlx::{Connection as _, Executor as _, SqliteConnection};

use super::Kind;
use super::chat::{Post, Reply};
use super::world::{World, wait};

/// Where the relay is when it is killed.
pub(crate) enum Kill {
    Anywhere,
    /// A notification has come in and is not stored.
    Storing,
    /// It has just been stored.
    Stored,
    /// The chat has the request and has not answered.
    Sending,
    /// The chat has accepted, and that is not written down.
    Accepted,
}

impl Kill {
    pub(crate) fn random(dice: &mut fastrand::Rng) -> Self {
        match dice.u32(0..6) {
            0 | 1 => Self::Anywhere,
            2 => Self::Storing,
            3 => Self::Stored,
            4 => Self::Sending,
            _ => Self::Accepted,
        }
    }
}

impl World {
    /// SIGKILL, at a chosen moment, to whoever tells the chat.
    pub(crate) async fn kill(&mut self, when: Kill, back_after: Duration) {
        if self.kind == Kind::Alone {
            if matches!(when, Kill::Accepted) {
                self.begin();
                wait(async || self.chat.posts().iter().any(|post| post.accepted)).await;
            }
            self.alertmanager.kill(back_after);
            self.kills.push(Instant::now());
        }
        if self.relay.is_none() {
            return;
        }
        let mut lock = None;
        match when {
            Kill::Anywhere => {}
            Kill::Storing => {
                lock = self.lock().await;
                self.stir();
                wait(async || self.proxy.under_way() > 0).await;
            }
            Kill::Stored => {
                let before = self.deliveries().await;
                self.stir();
                wait(async || self.deliveries().await > before).await;
            }
            Kill::Sending => {
                let before = self.chat.posts().len();
                self.chat.reply(Reply::Hang);
                self.stir();
                wait(async || self.chat.posts().len() > before).await;
            }
            Kill::Accepted => {
                let before = self.chat.posts().len();
                self.chat.reply(Reply::Slow(Duration::from_millis(300), "ok"));
                self.stir();
                wait(async || self.chat.posts().len() > before).await;
                lock = self.lock().await;
                let accepted = |posts: Vec<Post>| posts[before..].iter().any(|post| post.accepted);
                wait(async || accepted(self.chat.posts())).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        self.relay = None;
        self.kills.push(Instant::now());
        drop(lock);
        self.relay_back_at = Some(Instant::now() + back_after);
    }

    /// While this lives, nobody can write to the store.
    async fn lock(&self) -> Option<SqliteConnection> {
        let mut store = SqliteConnection::connect(&self.setup.store()).await.ok()?;
        store.execute("BEGIN IMMEDIATE").await.ok()?;
        Some(store)
    }
}
