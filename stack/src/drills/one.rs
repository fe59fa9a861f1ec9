//! One drill on one stack: of its own, or the one that is up.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::Context;
use tokio::process::Command;

use super::{
    Drill, Outcome, Summary,
    runner::{self, Plan, Scene},
};
use crate::{Handle, chat::Behaviour, compose::Compose, config::Settings, terminal, timeline::Timeline};

const QUIET: Duration = Duration::from_secs(10);
const LONG_QUIET: Duration = Duration::from_mins(10);

/// What `drill` is asked on the command line.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Args {
    /// Which failure to rehearse
    pub drill: Drill,
    /// Break the stack that is up, instead of a fresh one
    #[arg(long)]
    pub running: bool,
    /// Break the stack that is up, if there is one, else a fresh one
    #[arg(long, conflicts_with = "running")]
    pub prefer_running: bool,
    /// Break containers: those of `docker compose up`, or fresh ones
    #[arg(long)]
    pub compose: bool,
    /// Keep the fault up this long (such as 4m), and watch ten minutes afterwards that nothing more is told
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub lasting: Option<Duration>,
    /// Watch this long afterwards that nothing more is told, instead of ten seconds
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub quiet: Option<Duration>,
    /// Chat answers 503 through the whole outage
    #[arg(long)]
    pub chat_down: bool,
    /// Run it this often, each time on a fresh stack, and judge the 95th percentile
    #[arg(long, conflicts_with = "running", value_name = "TIMES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// Wait as long as the rules say, instead of shortening their windows
    #[arg(long)]
    pub unshortened: bool,
    /// Write all figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub results: Option<PathBuf>,
    /// Keep the logs of the processes here when something is wrong
    #[arg(long, value_name = "FOLDER")]
    pub logs: Option<PathBuf>,
}

impl Args {
    /// One drill on a fresh stack.
    #[must_use]
    pub fn new(drill: Drill) -> Self {
        Self {
            drill,
            running: false,
            prefer_running: false,
            compose: false,
            lasting: None,
            quiet: None,
            chat_down: false,
            repeat: 1,
            unshortened: false,
            results: None,
            logs: None,
        }
    }

    /// By how much the windows of this run's rules are shortened. A stack that is up has them as they are.
    fn shortened(&self) -> u64 {
        let as_they_are = self.unshortened || self.compose || self.running || self.measures();
        if as_they_are { 1 } else { self.drill.0.surroundings.shorten }
    }

    /// Whether many runs measure a promise, and nothing may stand beside.
    const fn measures(&self) -> bool {
        self.repeat > 1 && self.drill.0.surroundings.measured
    }

    /// With `running` instead of `prefer_running`, when there is a stack up.
    async fn decided(mut self) -> anyhow::Result<Self> {
        // A limit that the drill needs cannot be given to a stack that is up.
        if self.prefer_running && !self.running && self.repeat == 1 && self.drill.0.surroundings.are_usual() {
            self.running = is_up(self.compose, self.drill.0.surroundings.own_containers).await?;
        }
        Ok(self)
    }

    /// What to break.
    async fn stack(&self, timeline: &mut Timeline) -> anyhow::Result<Handle> {
        if self.running {
            return up(self.compose).await;
        }
        timeline.say("starting a fresh stack");
        if self.compose {
            let overrides = self.drill.0.surroundings.overrides();
            return crate::start_compose(Some(&overrides), &|line| terminal::say(&line)).await;
        }
        crate::start(self.drill.0.surroundings.options(self.shortened(), !self.measures())).await
    }

    fn plan(&self) -> Plan {
        Plan {
            hold: self.lasting.unwrap_or_default(),
            quiet: self.quiet.unwrap_or(if self.lasting.is_some() { LONG_QUIET } else { QUIET }),
            chat_down: self.chat_down,
            strict: self.repeat == 1,
            shortened: self.shortened(),
            broken: AtomicBool::new(false),
        }
    }
}

/// Runs a drill to its end, prints its timeline and, as the last line, its outcome as one JSON object.
pub async fn run(args: Args) -> anyhow::Result<Summary> {
    rehearse(&args, &mut Timeline::default()).await.map(|(summary, _)| summary)
}

pub(super) async fn rehearse(args: &Args, timeline: &mut Timeline) -> anyhow::Result<(Summary, Vec<Outcome>)> {
    let args = &args.clone().decided().await?;
    let mut outcomes = Vec::new();
    // Each on a stack of its own: what comes back is told as that, and soon as flapping.
    for run in 1..=args.repeat {
        if args.repeat > 1 {
            timeline.say(&format!("run {run} of {}", args.repeat));
        }
        outcomes.push(run_once(args, timeline).await?);
    }
    Ok((conclude(args, &outcomes, timeline).await?, outcomes))
}

async fn run_once(args: &Args, timeline: &mut Timeline) -> anyhow::Result<Outcome> {
    let scene = Scene::new(args.stack(timeline).await?);
    let plan = args.plan();
    let result = tokio::select! {
        result = runner::run(&scene, args.drill.0, &plan, timeline) => result,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            Err(anyhow::anyhow!("the drill was interrupted"))
        }
    };
    let kept = match &args.logs {
        Some(to) if !result.as_ref().is_ok_and(|outcome| outcome.ok) => keep_logs(&scene, to).await,
        _ => Ok(()),
    };
    let cleaned = clean_up(scene, args.drill, &plan).await;
    let outcome = result?;
    cleaned?;
    kept?;
    Ok(outcome)
}

/// Copies what the processes of a stack have written; containers keep theirs themselves.
async fn keep_logs(scene: &Scene, to: &Path) -> anyhow::Result<()> {
    let Ok(folder) = scene.stack().folder() else { return Ok(()) };
    let copied = Command::new("cp").arg("-R").arg(folder.join("logs")).arg(to).status().await?;
    anyhow::ensure!(copied.success(), "the logs cannot be copied to {}", to.display());
    Ok(())
}

/// Whether there is what [`up`] connects to, and a drill may break.
async fn is_up(compose: bool, own_containers: bool) -> anyhow::Result<bool> {
    let native = !compose && crate::running().await.is_ok();
    let containers = compose || !Settings::from_environment()?.ignores_docker();
    Ok(native || containers && !own_containers && Compose::is_up().await)
}

/// The stack that is up, of either kind; with `compose`, of containers.
async fn up(compose: bool) -> anyhow::Result<Handle> {
    if compose {
        return crate::running_compose().await;
    }
    match crate::running().await {
        Err(native) if !Settings::from_environment()?.ignores_docker() => {
            crate::running_compose().await.map_err(|_| native)
        }
        found => found,
    }
}

/// A fresh stack goes away; one that others use is left whole, however the drill ended.
async fn clean_up(scene: Scene, drill: Drill, plan: &Plan) -> anyhow::Result<()> {
    let mut repaired = Ok(());
    if plan.broken.load(Ordering::Relaxed) {
        let injury = drill.0.injury;
        repaired = injury.repair(&scene).await;
        runner::behave(scene.stack(), Behaviour::Ok).await?;
        repaired =
            repaired.with_context(|| format!("this did not work: {}; `make down`, then `make up`", injury.remedy()));
    }
    scene.release().await;
    scene.into_stack().leave().await?;
    repaired
}

async fn conclude(args: &Args, outcomes: &[Outcome], timeline: &mut Timeline) -> anyhow::Result<Summary> {
    let fault = args.drill.0;
    // A single run has judged itself, and without chat the message comes after the outage.
    let target = (args.repeat > 1 && !args.chat_down).then_some(fault.chat_within(args.shortened()));
    let summary = Summary::of(fault.name, outcomes, target);
    if let Some(path) = &args.results {
        runner::write_results(path, &summary, outcomes).await?;
    }
    for reason in &summary.reasons {
        timeline.say(&format!("WRONG: {reason}"));
    }
    match outcomes {
        [only] => timeline.say(&serde_json::to_string(only)?),
        _ => timeline.say(&serde_json::to_string(&summary)?),
    }
    Ok(summary)
}

/// `90s`, `4m` or `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let unit = |suffix, seconds: u64| {
        text.strip_suffix(suffix)?.parse::<u64>().ok()?.checked_mul(seconds).map(Duration::from_secs)
    };
    unit("s", 1)
        .or_else(|| unit("m", 60))
        .or_else(|| unit("h", 3_600))
        .ok_or_else(|| "write a number and s, m or h, such as 4m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_a_number_and_a_unit() {
        assert_eq!(duration("4m"), Ok(Duration::from_mins(4)));
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert!(duration("4").is_err());
        assert!(duration("m").is_err());
    }
}
