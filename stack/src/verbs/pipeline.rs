//! `pipeline`: how soon lines and spans are found, and whether any is lost while Loki and Jaeger are away.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::try_join_all;
use serde_json::{Map, Value, json};
use tokio::time::{sleep, timeout};

use crate::{
    Handle, Options, Spread, extras, http,
    load::{self, HANGS, Load, Valve},
    results,
    signals::Signals,
    terminal::say,
};

const PER_SECOND: u32 = 50;
const AWAY: Duration = Duration::from_mins(1);
const AROUND: Duration = Duration::from_secs(10);
const BACKENDS: [&str; 2] = ["loki", "jaeger"];
const SAMPLES: u32 = 40;
const EVERY: Duration = Duration::from_millis(250);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Whatever is not found by then is missing.
const PATIENCE: Duration = Duration::from_mins(2);
const LINE_WITHIN_S: f64 = 3.0;
const SPAN_WITHIN_S: f64 = 5.0;

/// What `pipeline` is asked on the command line.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Write the figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<bool> {
    let missing = extras::missing().await?;
    if !missing.is_empty() {
        bail!("this measures what is missing here: {}", missing.join(", "));
    }
    let stack = crate::start(Options { extras: true, ..Options::default() }).await?;
    let measured = measure(&stack).await;
    stack.stop().await?;
    let (ok, figures) = measured?;
    say(&serde_json::to_string_pretty(&figures)?);
    if let Some(path) = &args.results {
        results::write(path, figures).await?;
    }
    Ok(ok)
}

async fn measure(stack: &Handle) -> anyhow::Result<(bool, Map<String, Value>)> {
    let signals = Signals::of(stack.endpoints())?;
    let (line, span) = freshness(stack, &signals).await?;
    say(&format!("found after at most: a line {:.2} s, a span {:.2} s", line.max, span.max));
    let (sent, lines, traces) = outage(stack, &signals).await?;
    let ok = line.p95 <= LINE_WITHIN_S && span.p95 <= SPAN_WITHIN_S && lines.missing + traces.missing == 0;
    let found = |it: &Search| json!({ "missing": it.missing, "all_found_s": it.took_s });
    let figures = [
        ("ok", ok.into()),
        ("line_found_s", serde_json::to_value(line)?),
        ("span_found_s", serde_json::to_value(span)?),
        ("away_s", AWAY.as_secs().into()),
        ("requests", sent.into()),
        ("lines", found(&lines)),
        ("traces", found(&traces)),
    ];
    Ok((ok, figures.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()))
}

/// From a request's end until its line is in Loki, and until its trace is in Jaeger.
async fn freshness(stack: &Handle, signals: &Signals) -> anyhow::Result<(Spread, Spread)> {
    let client = http::client(HANGS)?;
    let url = format!("{}/v1/orders?limit=1", stack.endpoints().service);
    let from = Utc::now();
    let one = async |turn: u32| {
        // Not in step with anything that is flushed at intervals.
        sleep(EVERY * turn + EVERY.mul_f64(fastrand::f64())).await;
        let trace = load::trace(&client.get(&url).send().await?).context("the answer names no trace")?;
        let ended = Instant::now();
        let query = format!(r#"{{service_name="orders"}} | trace_id="{trace}""#);
        let line = async {
            while signals.lines(&query, from, Utc::now()).await?.is_empty() {
                sleep(LOOK_EVERY).await;
            }
            anyhow::Ok(ended.elapsed().as_secs_f64())
        };
        let span = async {
            while signals.spans(&trace).await?.is_empty() {
                sleep(LOOK_EVERY).await;
            }
            anyhow::Ok(ended.elapsed().as_secs_f64())
        };
        let both = timeout(PATIENCE, async { tokio::try_join!(line, span) }).await;
        both.with_context(|| format!("trace {trace} is nowhere after {} s", PATIENCE.as_secs()))?
    };
    let (lines, spans): (Vec<_>, Vec<_>) = try_join_all((0..SAMPLES).map(one)).await?.into_iter().unzip();
    let spread = |found: Vec<f64>| Spread::of(found.into_iter()).context("nothing was measured");
    Ok((spread(lines)?, spread(spans)?))
}

/// What was looked for, after both were back.
struct Search {
    missing: usize,
    /// When everything had been found.
    took_s: Option<f64>,
}

/// Loki and Jaeger are stopped for a minute under steady requests: how many there were, and what is missing for good.
async fn outage(stack: &Handle, signals: &Signals) -> anyhow::Result<(usize, Search, Search)> {
    let from = Utc::now();
    let mut load = Load::start(&stack.endpoints().service, PER_SECOND, &Valve::default())?;
    sleep(AROUND).await;
    for backend in BACKENDS {
        stack.halt(backend).await?;
    }
    sleep(AWAY).await;
    for backend in BACKENDS {
        stack.start(backend).await?;
    }
    let back = Instant::now();
    sleep(AROUND).await;
    let samples = load.finish().await;
    ensure!(samples.iter().all(load::Sample::succeeded), "requests failed while only Loki and Jaeger were away");
    let sent: BTreeSet<String> = samples.into_iter().filter_map(|sample| sample.trace).collect();
    let lines = search(back, sent.clone(), async |_| traces_of_lines(signals, from).await);
    let traces = search(back, sent.clone(), async |missing| {
        let mut found = BTreeSet::new();
        for trace in missing {
            // All have succeeded, so all have asked the database.
            if signals.spans(trace).await?.len() >= 2 {
                found.insert(trace.clone());
            }
        }
        Ok(found)
    });
    let (lines, traces) = tokio::try_join!(lines, traces)?;
    Ok((sent.len(), lines, traces))
}

/// Asks `look` for what is missing, until nothing is or patience ends.
async fn search(
    back: Instant,
    mut missing: BTreeSet<String>,
    look: impl AsyncFn(&BTreeSet<String>) -> anyhow::Result<BTreeSet<String>>,
) -> anyhow::Result<Search> {
    while back.elapsed() < PATIENCE {
        for found in look(&missing).await? {
            missing.remove(&found);
        }
        if missing.is_empty() {
            return Ok(Search { missing: 0, took_s: Some(back.elapsed().as_secs_f64()) });
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(Search { missing: missing.len(), took_s: None })
}

/// In slices, because Loki answers only so many lines at once.
async fn traces_of_lines(signals: &Signals, mut from: DateTime<Utc>) -> anyhow::Result<BTreeSet<String>> {
    let mut traces = BTreeSet::new();
    while from < Utc::now() {
        let to = from + TimeDelta::seconds(15);
        let lines = signals.lines(r#"{service_name="orders"} | http_route!="""#, from, to).await?;
        traces.extend(lines.iter().filter_map(|line| Some(line.get("trace_id")?.as_str()?.to_owned())));
        from = to;
    }
    Ok(traces)
}
