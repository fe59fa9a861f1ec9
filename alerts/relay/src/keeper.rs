//! Looks at the clock: once a second it does what time alone makes due.
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;

use crate::metrics::DEAD_LETTERS;
use crate::server::Relay;
use crate::{heartbeat, time};

const LOOKS: Duration = Duration::from_secs(1);
const OUTBOUND: Duration = Duration::from_mins(1);

/// Until the bell says stop.
pub(crate) async fn keep(relay: Arc<Relay>) {
    let mut bell = relay.bell.listen();
    let mut beat: Option<Instant> = None;
    while !relay.bell.stopping() {
        if beat.is_none_or(|beat| beat.elapsed() >= OUTBOUND) {
            beat = Some(Instant::now());
            observability::spawn(say_alive(Arc::clone(&relay)));
        }
        if let Err(error) = look(&relay).await {
            tracing::error!(failure_type = "alert_pipeline", error.cause = %error, "what is due cannot be done");
        }
        tokio::select! {
            _ = bell.wait_for(|signal| signal.stopping) => return,
            () = tokio::time::sleep(LOOKS) => {}
        }
    }
}

async fn look(relay: &Relay) -> sqlx::Result<()> {
    heartbeat::watch(relay).await?;
    if relay.store.keep(&relay.policy, time::now()).await? {
        relay.bell.ring();
    }
    for (channel, letters) in relay.store.bury(time::now()).await? {
        let known = relay.channels.iter().find(|known| known.name == channel);
        DEAD_LETTERS.add([known.map_or("other", |known| known.name)], letters);
        tracing::error!(failure_type = "alert_pipeline", channel, letters, "messages were given up after a day");
        relay.bell.ring();
    }
    Ok(())
}

/// To a service elsewhere that misses it: a dead machine cannot tell of itself.
async fn say_alive(relay: Arc<Relay>) {
    let Some(url) = &relay.outbound else { return };
    if relay.store.check().await.is_ok() {
        let asked = observability::client::send("heartbeat", relay.sight.client.get(url.expose_secret())).await;
        let accepted = asked.is_ok_and(|answer| answer.status().is_success());
        if !accepted {
            tracing::warn!("the outbound heartbeat was not accepted");
        }
    }
}
