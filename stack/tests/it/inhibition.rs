//! What the relay is told, and what not, when much happens at once. What mutes what is in `inhibit_rules.rs`.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    alerting::{Alert, Notice, Stage, alert, headline, on_each_alertmanager},
    machine,
};

const ENV: &str = "local";
const OUTAGE: [&str; 2] = ["DatabaseDown", "CauseWasFiring"];
const SYMPTOMS: [&str; 4] = ["High5xxRatio", "DbPoolExhausted", "LatencyP99High", "ErrorBudgetBurnFast"];
/// The others are muted by the first: requests that find no connection fail.
const TOLD_SYMPTOMS: [&str; 2] = ["DbPoolExhausted", "LatencyP99High"];
const SERVICES: usize = 100;

fn raise(names: &[&str], services: &[impl AsRef<str>]) -> Vec<Alert> {
    let of = |service: &str| names.iter().map(|name| alert(name, service, ENV)).collect::<Vec<_>>();
    services.iter().flat_map(|service| of(service.as_ref())).collect()
}

fn told(status: &str, names: &[&str], services: &[impl AsRef<str>]) -> Vec<String> {
    raise(names, services).iter().map(|alert| headline(status, alert.name(), alert.service(), ENV)).collect()
}

/// A group of the slow lane that grows each time it was told. It is younger than all that are watched by it: what it is
/// told, they would have been told by then.
struct Clock<'a> {
    stage: &'a Stage,
    ticks: usize,
}

impl Clock<'_> {
    /// 10 s after the first call, and 30 s after each of the others.
    async fn tick(&mut self) -> Instant {
        self.ticks += 1;
        let next = alert("InstanceDown", "clock", ENV).with("instance", &self.ticks.to_string());
        self.stage.fire(vec![next]).await;
        let expected = self.told();
        let is_told = |notice: &&Notice| expected.first() == Some(&notice.headline());
        let heard = self
            .stage
            .heard("the next look of the slow lane", |notices| notices.iter().filter(is_told).count() == self.ticks);
        heard.await.iter().rfind(is_told).unwrap().at
    }

    fn told(&self) -> Vec<String> {
        vec![headline("firing", "InstanceDown", "clock", ENV); self.ticks]
    }
}

#[tokio::test]
async fn a_hundred_outages_at_once_are_told_as_their_causes_and_nothing_follows_their_end() {
    let _machine = machine::shared().await;
    on_each_alertmanager(&[], a_hundred_outages).await;
}

async fn a_hundred_outages(stage: &Stage) {
    let services: Vec<_> = (0..SERVICES).map(|number| format!("orders-{number}")).collect();
    let (first, last) = services.split_at(SERVICES / 2);
    let begun = Instant::now();
    stage.fire(raise(&SYMPTOMS, first)).await;
    stage.fire(raise(&OUTAGE, &services)).await;
    stage.fire(raise(&SYMPTOMS, last)).await;
    let mut expected = told("firing", &["DatabaseDown"], &services);
    expected.extend(beside_them(stage).await);
    let mut clock = Clock { stage, ticks: 0 };
    let waited = clock.tick().await - begun;
    assert!(waited >= Duration::from_secs(10), "a cause may come 10 s later, but this was told after {waited:?}");
    stage.hears_only(&[&expected[..], &clock.told()].concat()).await;
    clock.tick().await;
    stage.hears_only(&[&expected[..], &clock.told()].concat()).await;

    stage.end(&["DatabaseDown"], |_| true).await;
    expected.extend(told("resolved", &["DatabaseDown"], &services));
    expected.extend(told("resolved", &["DatabaseDown"], &["shadowless", "twofold"]));
    stage.end(&["CauseWasFiring"], |alert| alert.service() == "shadowless").await;
    clock.tick().await;
    expected.extend(told("firing", &TOLD_SYMPTOMS, &["shadowless"]));
    stage.hears_only(&[&expected[..], &clock.told()].concat()).await;

    let is_muted = |alert: &Alert| alert.service().starts_with("orders-") || alert.service() == "twofold";
    stage.end(&SYMPTOMS, is_muted).await;
    stage.end(&["CauseWasFiring", "ServiceDown"], |_| true).await;
    expected.extend(told("resolved", &["ServiceDown"], &["twofold"]));
    clock.tick().await;
    stage.hears_only(&[&expected[..], &clock.told()].concat()).await;
}

/// Services with the same symptoms that are told, and one that is not: what all this would prove nothing without.
async fn beside_them(stage: &Stage) -> Vec<String> {
    // Muted by nothing: no cause, a cause that is a warning, and that of another environment.
    stage.fire(raise(&SYMPTOMS, &["causeless", "warned"])).await;
    stage.fire(raise(&["InstanceDown"], &["warned"])).await;
    stage.fire(SYMPTOMS.map(|name| alert(name, "shadowless", "elsewhere")).into()).await;
    // Muted as long as its shadow lasts.
    stage.fire(raise(&OUTAGE, &["shadowless"])).await;
    stage.fire(raise(&SYMPTOMS, &["shadowless", "twofold"])).await;
    // Muted by one cause when the other is over.
    stage.fire(raise(&["DatabaseDown", "ServiceDown"], &["twofold"])).await;
    let mut expected = told("firing", &TOLD_SYMPTOMS, &["causeless", "warned"]);
    expected.extend(TOLD_SYMPTOMS.map(|name| headline("firing", name, "shadowless", "elsewhere")));
    expected.extend(told("firing", &["InstanceDown"], &["warned"]));
    expected.extend(told("firing", &["DatabaseDown"], &["shadowless", "twofold"]));
    expected.extend(told("firing", &["ServiceDown"], &["twofold"]));
    expected
}

#[tokio::test]
async fn fifty_instances_of_a_service_are_told_together_and_another_service_apart() {
    let _machine = machine::shared().await;
    on_each_alertmanager(&[], async |stage| {
        let instance = |number: usize| alert("InstanceDown", "orders", ENV).with("instance", &number.to_string());
        stage.fire((0..25).map(instance).collect()).await;
        stage.fire((25..50).map(instance).collect()).await;
        // Younger, so its end is told after all of the others.
        stage.fire(raise(&["InstanceDown"], &["payments"])).await;
        let mut expected = told("firing", &["InstanceDown"], &["orders", "payments"]);
        stage.hears_only(&expected).await;

        stage.end(&["InstanceDown"], |_| true).await;

        expected.extend(told("resolved", &["InstanceDown"], &["orders", "payments"]));
        stage.hears_only(&expected).await;
        let notices = stage.heard("both", |notices| notices.len() == 4).await;
        let mut sizes: Vec<_> = notices.iter().map(Notice::size).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [1, 1, 50, 50]);
    })
    .await;
}

/// Repeating takes ten minutes, which are made twenty seconds: the rest of the lane is as it is.
#[tokio::test]
async fn what_lasts_is_told_again_and_the_heart_beats_all_the_time() {
    let _machine = machine::shared().await;
    on_each_alertmanager(&[("repeat_interval: 10m", "repeat_interval: 20s")], async |stage| {
        stage.fire(raise(&["Watchdog"], &["prometheus"])).await;
        stage.fire(raise(&["DatabaseDown", "InstanceDown"], &["orders"])).await;
        let is_beat = |notice: &&Notice| notice.path == "/v1/heartbeat";
        let is_told = |notice: &&Notice| notice.headline() == headline("firing", "DatabaseDown", "orders", ENV);

        let notices = stage.heard("four heartbeats", |notices| notices.iter().filter(is_beat).count() == 4).await;

        let times =
            |of: &dyn Fn(&&Notice) -> bool| notices.iter().filter(of).map(|notice| notice.at).collect::<Vec<_>>();
        let beats = times(&is_beat);
        assert!(beats[3] - beats[0] < Duration::from_mins(1), "{beats:?}");
        // At 0, 20 and 40 s; what waits for the slow lane is repeated after hours.
        stage
            .hears_only(&told("firing", &["DatabaseDown", "DatabaseDown", "DatabaseDown", "InstanceDown"], &["orders"]))
            .await;
        let told = times(&is_told);
        let apart = told.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap();
        assert!(apart >= Duration::from_secs(19), "{told:?}");
    })
    .await;
}

#[tokio::test]
async fn only_a_dead_relay_is_told_around_it_and_once() {
    let _machine = machine::shared().await;
    on_each_alertmanager(&[], a_dead_relay).await;
}

async fn a_dead_relay(stage: &Stage) {
    let escalated = |cause: &str, service: &str| alert("EscalateUnresolved", service, ENV).with("cause", cause);
    stage.fire(raise(&OUTAGE, &["orders"])).await;
    stage.fire(raise(&SYMPTOMS, &["orders"])).await;
    stage.fire(raise(&["RelayDown"], &["relay"])).await;
    stage.fire(vec![escalated("RelayDown", "relay")]).await;
    stage.heard("the bypass", |notices| !around(notices).is_empty()).await;
    stage.fire(raise(&["AlertDeliveryFailing"], &["alertmanager"])).await;
    stage.fire(vec![escalated("AlertDeliveryFailing", "alertmanager")]).await;
    // Told at once, as is all that goes around the relay: the last marks the end of the others.
    stage.fire(vec![escalated("CrashLoop", "payments")]).await;
    let escalation = "Nobody has taken CrashLoop on payments (local)".to_owned();
    let notices = stage.heard(&escalation, |notices| around(notices).contains(&escalation)).await;
    let mut expected = vec![escalation, "Nobody has taken RelayDown on relay (local)".to_owned()];
    assert_eq!(around(&notices), expected);

    stage.end(&["AlertDeliveryFailing", "EscalateUnresolved"], |alert| alert.service() == "alertmanager").await;
    stage.end(&["RelayDown", "EscalateUnresolved"], |alert| alert.service() == "relay").await;
    stage.end(&["EscalateUnresolved"], |alert| alert.service() == "payments").await;

    expected
        .extend(["CrashLoop on payments", "RelayDown on relay"].map(|what| format!("Taken, or over: {what} (local)")));
    let is_complete = |notices: &[Notice]| expected.iter().all(|title| around(notices).contains(title));
    let notices = stage.heard("the end of both", is_complete).await;
    assert_eq!(around(&notices), expected);
    let mut expected = told("firing", &["DatabaseDown"], &["orders"]);
    expected.extend(["firing", "resolved"].map(|status| headline(status, "RelayDown", "relay", ENV)));
    stage.hears_only(&expected).await;
}

/// The titles of what came around the relay, firing before resolved.
fn around(notices: &[Notice]) -> Vec<String> {
    let around = notices.iter().filter(|notice| notice.path == "/escalation");
    let mut titles: Vec<_> =
        around.map(|notice| notice.body["attachments"][0]["title"].as_str().unwrap_or_default().to_owned()).collect();
    titles.sort();
    titles
}
