//! Third parties are restarted under traffic, and nothing is lost: each request has its one closing line and its spans.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use stack::{
    Handle,
    load::{Load, Sample, Valve},
    signals::Signals,
};

use crate::{
    common::eventually_within,
    docker::docker,
    machine,
    whole::{say, start},
};

const REQUESTS_PER_SECOND: u32 = 20;
/// Between two restarts: as long as the queues need to drain.
const AIR: usize = 60;
/// Loki answers 5,000 lines at once.
const SLICE: TimeDelta = TimeDelta::minutes(1);
const FOUND_WITHIN: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn every_third_party_is_restarted_under_traffic_without_losing_a_line_or_a_span() {
    let _machine = machine::shared().await;
    let (stack, project) = start().await;
    let began = Utc::now();
    let mut load = Load::start(&stack.endpoints().service, REQUESTS_PER_SECOND, &Valve::default()).unwrap();
    let mut restarts = Vec::new();
    for part in third_parties(&project).await {
        some_requests(&load).await;
        let at = Instant::now();
        docker(&["compose", "--project-name", &project, "restart", &part]).await;
        stack.start(&part).await.unwrap();
        say(&format!("restarted {part} in {:.1} s", at.elapsed().as_secs_f64()));
        restarts.push((at, part));
    }
    some_requests(&load).await;
    let requests = Requests { samples: load.finish().await, restarts };
    requests.all_were_answered();
    requests.all_have_their_line(&stack, began).await;
    requests.all_have_their_spans(&stack).await;
    stack.stop().await.unwrap();
}

/// All that run an image which is not ours.
async fn third_parties(project: &str) -> Vec<String> {
    let said = docker(&["compose", "--project-name", project, "ps", "--format", "{{.Service}} {{.Image}}"]).await;
    let parts: Vec<_> = said.lines().filter(|line| !line.contains("lookout/")).collect();
    assert!(parts.len() >= 8, "{said}");
    parts.iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

async fn some_requests(load: &Load) {
    let so_far = load.samples().len();
    eventually_within(FOUND_WITHIN, "more requests are answered", async || load.samples().len() > so_far + AIR).await;
}

struct Requests {
    samples: Vec<Sample>,
    restarts: Vec<(Instant, String)>,
}

impl Requests {
    fn all_were_answered(&self) {
        let silent: Vec<_> = self.samples.iter().filter(|sample| sample.trace.is_none()).collect();
        assert!(silent.is_empty(), "{} requests named no trace: {:?}", silent.len(), silent.first());
        say(&format!("{} requests, {} restarts", self.samples.len(), self.restarts.len()));
    }

    /// Which restart was the last before each of these, and how many of them there are.
    fn blame<'a>(&self, samples: impl Iterator<Item = &'a Sample>) -> BTreeMap<&str, usize> {
        let mut blamed = BTreeMap::new();
        for sample in samples {
            let before = self.restarts.iter().rev().find(|(at, _)| *at <= sample.sent + sample.took);
            *blamed.entry(before.map_or("none", |(_, part)| part.as_str())).or_default() += 1;
        }
        blamed
    }

    async fn all_have_their_line(&self, stack: &Handle, began: DateTime<Utc>) {
        let signals = Signals::of(stack.endpoints()).unwrap();
        let wanted: BTreeSet<_> = self.samples.iter().filter_map(|sample| sample.trace.clone()).collect();
        let mut found = BTreeMap::new();
        let deadline = Instant::now() + FOUND_WITHIN;
        while wanted.iter().any(|trace| !found.contains_key(trace)) && Instant::now() < deadline {
            found = closing_lines(&signals, began).await;
        }
        let missing = self.samples.iter().filter(|sample| !found.contains_key(sample.trace.as_ref().unwrap()));
        let missing = self.blame(missing);
        assert!(missing.is_empty(), "requests without a line, by the restart before: {missing:?}");
        let twice = self.samples.iter().filter(|sample| found[sample.trace.as_ref().unwrap()] > 1);
        let twice = self.blame(twice);
        assert!(twice.is_empty(), "requests with several closing lines, by the restart before: {twice:?}");
    }

    async fn all_have_their_spans(&self, stack: &Handle) {
        let signals = Signals::of(stack.endpoints()).unwrap();
        let deadline = Instant::now() + FOUND_WITHIN;
        let mut missing: Vec<&Sample> = self.samples.iter().collect();
        while !missing.is_empty() && Instant::now() < deadline {
            let mut still = Vec::new();
            for sample in missing {
                let spans = signals.spans(sample.trace.as_ref().unwrap()).await.unwrap_or_default();
                // A request that succeeds has asked the database.
                if spans.len() < if sample.succeeded() { 2 } else { 1 } {
                    still.push(sample);
                }
            }
            missing = still;
        }
        let missing = self.blame(missing.into_iter());
        assert!(missing.is_empty(), "requests without all of their spans, by the restart before: {missing:?}");
    }
}

/// How many closing lines each trace has in Loki.
async fn closing_lines(signals: &Signals, began: DateTime<Utc>) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    let mut from = began - TimeDelta::seconds(5);
    while from < Utc::now() {
        let query = r#"{service_name="orders"} | http_response_status_code != """#;
        for line in signals.lines(query, from, from + SLICE).await.unwrap_or_default() {
            *found.entry(line["trace_id"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        from += SLICE;
    }
    found
}
