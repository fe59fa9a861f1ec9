//! Hours of faults on a simulated clock.
use chrono::DateTime;
use serde_json::json;

use super::{Act, Acted, Circumstances, Store};
use crate::alertmanager::Notification;
use crate::incident::Subject::{self, Firing, Flapping, Resolved, Summary};
use crate::policy::{Level, Policy, Route};
use crate::sight::View;

const MINUTE: i64 = 60_000;
const START: i64 = 1_795_183_331_000;

struct World {
    store: Store,
    policy: Policy,
    now: i64,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let level = |minutes: i64, channel| Level { after: minutes * MINUTE, channels: vec![channel] };
        let levels = vec![level(0, "chat"), level(5, "second"), level(15, "third")];
        let route = Route { levels, repeat: 30 * MINUTE, repeats: 6, ..Route::default() };
        let policy = Policy { routes: vec![route], ..Policy::everybody(vec!["chat"]) };
        Self { store: Store::open(folder.path()).await.unwrap(), policy, now: START, _folder: folder }
    }

    /// Alertmanager says that the fault is there, or, with its beginning, that it is over.
    async fn say(&self, began: i64, over: bool, blind: bool) {
        let stamp = |millis| DateTime::from_timestamp_millis(millis).unwrap().to_rfc3339();
        let status = if over { "resolved" } else { "firing" };
        let labels =
            json!({ "alertname": "DatabaseDown", "service": "orders", "env": "local", "severity": "critical" });
        let alert = json!({ "status": status, "labels": labels, "startsAt": stamp(began), "endsAt": stamp(self.now), "fingerprint": "f" });
        let body = json!({ "version": "4", "status": status, "alerts": [alert] }).to_string();
        let notification = Notification::parse(body.as_bytes()).unwrap();
        let view = if blind { View::blind() } else { View::default() };
        self.store
            .record(&notification, Circumstances { policy: &self.policy, now: self.now, view: &view })
            .await
            .unwrap();
    }

    async fn pass(&mut self, millis: i64) {
        let end = self.now + millis;
        while self.now < end {
            self.now += 1000.min(end - self.now);
            self.store.keep(&self.policy, self.now).await.unwrap();
        }
    }

    /// Every message so far: when (in minutes), to whom, about what.
    async fn told(&self, channel: &str) -> Vec<(i64, Subject)> {
        sqlx::query_as("SELECT (created_at - ?) / 60000, transition FROM deliveries WHERE channel = ? ORDER BY id")
            .bind(START)
            .bind(channel)
            .fetch_all(&self.store.reader)
            .await
            .unwrap()
    }

    async fn code(&self) -> String {
        sqlx::query_scalar("SELECT code FROM incidents").fetch_one(&self.store.reader).await.unwrap()
    }
}

#[tokio::test]
async fn a_flapping_fault_is_one_incident_and_at_most_fourteen_messages() {
    let mut world = World::new().await;
    for _ in 0..60 {
        let began = world.now;
        world.say(began, false, false).await;
        world.pass(30_000).await;
        world.say(began, true, false).await;
        world.pass(60_000).await;
    }
    world.pass(20 * MINUTE).await;
    let told: Vec<Subject> = world.told("chat").await.into_iter().map(|(_, subject)| subject).collect();
    assert!(told.len() <= 14, "{}: {told:?}", told.len());
    assert_eq!(told[..5], [Firing, Resolved, Firing, Resolved, Flapping]);
    assert!(told[5..told.len() - 1].iter().all(|subject| *subject == Summary), "{told:?}");
    assert_eq!(told.last(), Some(&Resolved));
    world.code().await; // there is exactly one
}

#[tokio::test]
async fn without_an_acknowledgement_the_next_levels_hear_of_it_and_then_again_up_to_a_cap() {
    let mut world = World::new().await;
    world.say(START, false, false).await;
    world.pass(300 * MINUTE).await;
    assert_eq!(world.told("second").await, [(5, Subject::Escalated)]);
    let third = world.told("third").await.into_iter().map(|(minute, _)| minute).collect::<Vec<_>>();
    assert_eq!(third, [15, 45, 75, 105, 135, 165, 195]);
    assert_eq!(world.store.missed_steps(&world.policy).await.unwrap(), 0);
}

#[tokio::test]
async fn steps_left_over_from_a_pause_are_made_once() {
    let mut world = World::new().await;
    world.say(START, false, false).await;
    world.now += 100 * MINUTE;
    world.store.keep(&world.policy, world.now).await.unwrap();
    assert_eq!(world.told("third").await, [(100, Subject::Escalated)]);
    assert_eq!(world.told("second").await, [(100, Subject::Escalated)]);
}

#[tokio::test]
async fn an_acknowledgement_stops_the_chain_for_an_hour_and_is_no_silence() {
    let mut world = World::new().await;
    world.say(START, false, false).await;
    world.pass(2 * MINUTE).await;
    let code = world.code().await;
    let act =
        async |world: &World, nonce: &str| world.store.act(&code, "Ann", &Act::Take, nonce, world.now).await.unwrap();
    assert_eq!(act(&world, "n1").await, Acted::FirstTaken(2 * MINUTE));
    assert_eq!(act(&world, "n1").await, Acted::Spent);
    world.pass(59 * MINUTE).await;
    assert!(world.told("second").await.is_empty());
    world.pass(10 * MINUTE).await;
    assert_eq!(world.told("second").await, [(67, Subject::Escalated)]);
    assert_eq!(act(&world, "n2").await, Acted::Done);
    world.pass(MINUTE).await;
    world.say(START, true, false).await;
    let chat: Vec<Subject> = world.told("chat").await.into_iter().map(|(_, subject)| subject).collect();
    assert_eq!(chat, [Firing, Subject::Acknowledged, Subject::Escalated, Subject::Acknowledged, Resolved]);
    assert_eq!(act(&world, "n3").await, Acted::TooLate);
}

#[tokio::test]
async fn an_end_that_a_blind_monitoring_reports_is_none() {
    let mut world = World::new().await;
    world.say(START, false, false).await;
    world.pass(MINUTE).await;
    world.say(START, true, true).await;
    let told = world.told("chat").await;
    assert_eq!(told, [(0, Firing), (1, Subject::LostSight)]);
    world.pass(MINUTE).await;
    world.say(START, false, false).await;
    world.say(START, true, false).await;
    assert_eq!(world.told("chat").await.last(), Some(&(2, Resolved)));
}
