//! Drills: break one thing on purpose, and check the whole way from the fault to a person, and back.

mod db_down;
mod runner;
mod service_down;

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::Context;
use clap::ValueEnum;

use runner::{Fault, Plan};
pub use runner::{Outcome, Spread, Summary};

use crate::{Handle, Options, chat::Behaviour, timeline::Timeline};

const QUIET: Duration = Duration::from_secs(10);
const LONG_QUIET: Duration = Duration::from_mins(10);

/// Which failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Drill {
    /// Postgres is killed.
    DbDown,
    /// Postgres is stopped in its tracks: it keeps its connections and answers nothing.
    DbFrozen,
    /// The service is killed.
    ServiceDown,
}

impl Drill {
    const fn fault(self) -> Fault {
        match self {
            Self::DbDown => db_down::DOWN,
            Self::DbFrozen => db_down::FROZEN,
            Self::ServiceDown => service_down::DOWN,
        }
    }
}

/// What `drill` is asked on the command line.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Which failure to rehearse
    #[arg(value_enum)]
    pub drill: Drill,
    /// Break the stack that is up, instead of a fresh one
    #[arg(long)]
    pub running: bool,
    /// Break the stack that is up, if there is one, else a fresh one
    #[arg(long, conflicts_with = "running")]
    pub prefer_running: bool,
    /// Keep the fault up this long (such as 4m), and watch ten minutes afterwards that nothing more is told
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub lasting: Option<Duration>,
    /// Chat answers 503 through the whole outage
    #[arg(long)]
    pub chat_down: bool,
    /// Run it this often on one stack, and judge the 95th percentile
    #[arg(long, value_name = "TIMES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// Write all figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub results: Option<PathBuf>,
}

impl Args {
    /// One drill on a fresh stack.
    #[must_use]
    pub fn new(drill: Drill) -> Self {
        Self { drill, running: false, prefer_running: false, lasting: None, chat_down: false, repeat: 1, results: None }
    }

    fn plan(&self) -> Plan {
        Plan {
            hold: self.lasting.unwrap_or_default(),
            quiet: if self.lasting.is_some() { LONG_QUIET } else { QUIET },
            chat_down: self.chat_down,
            strict: self.repeat == 1,
            broken: AtomicBool::new(false),
        }
    }
}

/// Runs a drill to its end, prints its timeline and, as the last line, its outcome as one JSON object.
pub async fn run(args: Args) -> anyhow::Result<Summary> {
    let mut timeline = Timeline::default();
    let stack = match crate::running().await {
        Ok(stack) if args.running || args.prefer_running => stack,
        Err(error) if args.running => return Err(error),
        _ => {
            timeline.say("starting a fresh stack");
            crate::start(Options::default()).await?
        }
    };
    let plan = args.plan();
    let result = tokio::select! {
        result = run_all(&stack, &args, &plan, &mut timeline) => result,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            Err(anyhow::anyhow!("the drill was interrupted"))
        }
    };
    let cleaned = clean_up(stack, &args, &plan).await;
    let outcomes = result?;
    cleaned?;
    conclude(&args, &outcomes, &mut timeline).await
}

async fn run_all(stack: &Handle, args: &Args, plan: &Plan, timeline: &mut Timeline) -> anyhow::Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for run in 1..=args.repeat {
        if args.repeat > 1 {
            timeline.say(&format!("run {run} of {}", args.repeat));
        }
        outcomes.push(runner::run(stack, &args.drill.fault(), plan, timeline).await?);
    }
    Ok(outcomes)
}

/// A fresh stack goes away; one that others use is left whole, however the drill ended.
async fn clean_up(stack: Handle, args: &Args, plan: &Plan) -> anyhow::Result<()> {
    if !args.running {
        return stack.stop().await;
    }
    if plan.broken.load(Ordering::Relaxed) {
        let fault = args.drill.fault();
        let repaired = fault.repair(&stack).await;
        runner::behave(&stack, Behaviour::Ok).await?;
        repaired.with_context(|| format!("{} was left broken: `make down`, then `make up`", fault.component))?;
    }
    Ok(())
}

async fn conclude(args: &Args, outcomes: &[Outcome], timeline: &mut Timeline) -> anyhow::Result<Summary> {
    let fault = args.drill.fault();
    // A single run has judged itself, and without chat the message comes after the outage.
    let target = (args.repeat > 1 && !args.chat_down).then_some(fault.chat_within);
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
