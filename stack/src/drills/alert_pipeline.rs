//! A part of the way from Prometheus to chat is away.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{
    injury::Process,
    runner::{self, Fault, Injury, Scene, Surroundings, Teller, Window, Within},
};
use crate::chat::Behaviour;

/// The relay is dead: Alertmanager tells people itself.
pub(super) const RELAY_DOWN: Fault = Fault {
    teller: Teller::Bypass,
    ..Fault::new(
        "relay_down",
        "alert_pipeline",
        "RelayDown",
        &Process::Killed("relay"),
        // RelayDown after 15 s, and EscalateUnresolved after 5 min more.
        Window { range: 5, fill: 5, lasting: 315, keep: 15, steps: 5 + Window::PAGE },
    )
};

/// Chat is dead. What cannot be told there is that it cannot be told there: the second one hears of it.
pub(super) const CHAT_DOWN: Fault = Fault {
    teller: Teller::Second,
    // When it lasts, its messages are late, too.
    along: &["are stuck"],
    // The relay tries ever more seldom, so that a sixth of the time has no six attempts.
    surroundings: Surroundings { shorten: 1, second_chat: true, ..Surroundings::SHORT },
    ..Fault::new(
        "chat_down",
        "alert_pipeline",
        "ChatDeliveryFailing",
        &Chat,
        // A panic is there to be told after 20 s, and six times in vain within half a minute more.
        Window { range: 120, fill: 50, lasting: 15, keep: 0, steps: Window::PAGE },
    )
};

#[derive(Debug)]
struct Chat;

impl Injury for Chat {
    fn inflict<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<String>> {
        Box::pin(async move {
            runner::behave(scene.stack(), Behaviour::Unavailable).await?;
            scene.stack().service_admin(&["fault", "panic", "--rate", "0.02", "--for", "10m"]).await?;
            Ok("chat answers 503, and one request in fifty panics, which it would be told".to_owned())
        })
    }

    fn remedy(&self) -> String {
        "chat answers again, and nothing panics".to_owned()
    }

    fn repair<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(async move {
            runner::behave(scene.stack(), Behaviour::Ok).await?;
            scene.stack().service_admin(&["fault", "panic", "--end"]).await.map(|_| ())
        })
    }
}

/// The relay's patience with its heartbeat, one look, and five seconds.
const MISSED: u64 = 45 + 1 + 5;

/// Alertmanager is dead: the relay misses its heartbeat.
pub(super) const ALERTMANAGER_DOWN: Fault = silent("alertmanager_down", &Process::Killed("alertmanager"), MISSED);

/// Prometheus is dead. Alertmanager keeps what it heard last for four resend delays, the Watchdog too.
pub(super) const PROMETHEUS_DOWN: Fault =
    Fault { drawn: false, ..silent("prometheus_down", &Process::Killed("prometheus"), MISSED + 4 * 15) };

/// Alertmanager is there and says nothing.
pub(super) const HEARTBEAT_LOST: Fault = silent("watchdog", &Process::Frozen("alertmanager"), MISSED);

/// The relay notices by itself, for nothing is left that could tell it.
const fn silent(name: &'static str, injury: &'static Process, seconds: u64) -> Fault {
    Fault {
        teller: Teller::Relay,
        // One of the two does not answer.
        shows: " 000",
        // Of Prometheus, which has told nobody meanwhile.
        along: &["could not hand alerts"],
        within: Within::Promised(Duration::from_secs(seconds), Duration::from_mins(1)),
        ..Fault::new(name, "watchdog", "Watchdog", injury, Window { range: 0, fill: 0, lasting: 0, keep: 0, steps: 0 })
    }
}
