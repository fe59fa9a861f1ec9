//! One fault, one bad day, told twice: by the relay, and by Alertmanager alone. Prints the table of the README.
use std::time::Duration;

use super::chat::{DOWN, OK, Reply};
use super::kill::Kill;
use super::world::World;
use super::{Kind, Settings};

#[derive(Clone, Copy)]
enum Scenario {
    GoodDay,
    ChatDown,
    ErrorIn200,
    Throttled,
    KilledMeanwhile,
    KilledAfterwards,
    PrometheusDies,
}

const ALL: [(Scenario, &str); 7] = [
    (Scenario::GoodDay, "nothing else happens"),
    (Scenario::ChatDown, "the chat answers 503 from before the fault until 20 s after it"),
    (Scenario::ErrorIn200, "the chat answers 200 with an error in its body, for 10 s"),
    (Scenario::Throttled, "the chat answers 429, for 10 s"),
    (Scenario::KilledMeanwhile, "whoever tells is killed, and the fault comes and goes before it is back"),
    (Scenario::KilledAfterwards, "whoever tells is killed just after the chat accepted"),
    (Scenario::PrometheusDies, "Prometheus dies for 15 s while the fault is there"),
];

pub(crate) async fn table(settings: &Settings) -> bool {
    println!("| a fault of some seconds, and | Alertmanager 0.34 alone | with the relay |\n| --- | --- | --- |");
    let mut fine = true;
    for (scenario, words) in
        ALL.into_iter().filter(|(_, words)| settings.table == "1" || words.contains(&settings.table))
    {
        let (alone, relayed) =
            futures_util::future::join(run(settings, Kind::Alone, scenario), run(settings, Kind::Honest, scenario))
                .await;
        fine &= relayed.starts_with("told");
        println!("| {words} | {alone} | {relayed} |");
    }
    fine
}

async fn run(settings: &Settings, kind: Kind, scenario: Scenario) -> String {
    let mut world = World::start(settings, kind).await;
    match scenario {
        Scenario::GoodDay => world.fault(8).await,
        Scenario::ChatDown => {
            world.chat.reply(DOWN);
            world.fault(8).await;
            world.pass(20).await;
        }
        Scenario::ErrorIn200 => bad_start(&mut world, Reply::Say(200, "", r#"{"errcode":130101}"#)).await,
        Scenario::Throttled => bad_start(&mut world, Reply::Say(429, "retry-after: 2\r\n", "slow down")).await,
        Scenario::KilledMeanwhile => {
            world.kill(Kill::Anywhere, Duration::from_secs(8)).await;
            world.fault(4).await;
            world.pass(6).await;
        }
        Scenario::KilledAfterwards => {
            world.kill(Kill::Accepted, Duration::from_secs(1)).await;
            world.pass(6).await;
        }
        Scenario::PrometheusDies => {
            world.begin();
            world.pass(4).await;
            world.stop_prometheus(15_000);
            world.pass(20).await;
        }
    }
    world.chat.reply(OK);
    world.calm(settings).await;
    let history = world.history().await;
    let (messages, violations) = (history.posts.iter().filter(|post| post.accepted).count(), history.judge());
    match violations.as_slice() {
        _ if history.episodes.is_empty() => "Prometheus has seen no fault".to_owned(),
        [] => format!("told, in {messages} message{}", if messages == 1 { "" } else { "s" }),
        all => all.join("; ").replace("E0 was told as []", "not told").replace("E0", "it"),
    }
}

/// The fault begins on a bad day of the chat that is over before it is.
async fn bad_start(world: &mut World, reply: Reply) {
    world.chat.reply(reply);
    world.begin();
    world.pass(10).await;
    world.chat.reply(OK);
    world.pass(20).await;
}
