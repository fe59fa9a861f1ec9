//! All drills, each on a stack of its own, several at a time, and a table at the end.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context;
use futures_util::{StreamExt, stream};

use super::{Drill, Outcome, one, runner};
use crate::{config::repository, terminal::say, timeline::Timeline};

/// All of them together, those that are run once more included, on two cores, with windows shortened.
const ALL_WITHIN: Duration = Duration::from_mins(25);

/// With windows as they are, what waits longer in all is left to promtool.
const UNSHORTENED_WITHIN: Duration = Duration::from_mins(15);

/// With more that go wrong, it is not the machine.
const AGAIN: usize = 6;

/// What `drills` is asked on the command line.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Which; all when none is named
    drills: Vec<Drill>,
    /// How many stacks at a time
    #[arg(long, value_name = "STACKS", default_value_t = 5)]
    lanes: usize,
    /// Wait as long as the rules say, instead of shortening their windows; without those that wait more than 15 minutes
    #[arg(long)]
    unshortened: bool,
    /// Where the timelines go [default: .lookout/drills in the repository]
    #[arg(long, value_name = "FOLDER")]
    timelines: Option<PathBuf>,
    /// Write all figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
}

impl Args {
    fn shortened(&self, drill: Drill) -> u64 {
        if self.unshortened { 1 } else { drill.0.surroundings.shorten }
    }

    /// Whether it would take too long.
    fn leaves_out(&self, drill: Drill) -> bool {
        self.unshortened && drill.window().is_some_and(|window| window.waits() > UNSHORTENED_WITHIN)
    }
}

/// Runs them; false when one of them found something wrong.
pub async fn run(args: Args) -> anyhow::Result<bool> {
    let begun = Instant::now();
    let drills = if args.drills.is_empty() { Drill::all().collect() } else { args.drills.clone() };
    let folder = args.timelines.clone().unwrap_or_else(|| repository().join(".lookout/drills"));
    std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    // The longest first, so that none is left over when all others have ended.
    let mut order = drills.clone();
    order.sort_by_key(|drill| std::cmp::Reverse(drill.0.chat_within(args.shortened(*drill))));
    let here = Here::look().await?;
    let (order, skipped): (Vec<_>, Vec<_>) = order.into_iter().partition(|drill| here.lacks(*drill).is_none());
    for drill in &skipped {
        say(&format!("{}: SKIPPED: needs {}", drill.name(), here.lacks(*drill).unwrap_or_default()));
    }
    let (long, order): (Vec<_>, Vec<_>) = order.into_iter().partition(|drill| args.leaves_out(*drill));
    for drill in &long {
        say(&format!("{}: left to promtool, for its windows add up to more than 15 minutes", drill.name()));
    }
    let mut outcomes: Vec<Outcome> = stream::iter(order)
        .map(|drill| rehearse(drill, &args, &folder))
        .buffer_unordered(args.lanes.max(1))
        .inspect(|outcome| say(&row(outcome, &args)))
        .collect()
        .await;
    again_alone(&mut outcomes, &args, &folder).await;
    let took = begun.elapsed();
    outcomes.sort_by_key(|outcome| drills.iter().position(|drill| drill.name() == outcome.drill));
    say(&table(&outcomes, &args));
    let wrong = outcomes.iter().filter(|outcome| !outcome.ok).count();
    say(&format!(
        "{} drills in {:.0} s, {} at a time, {wrong} with something wrong; their timelines are in {}",
        outcomes.len(),
        took.as_secs_f64(),
        args.lanes,
        folder.display()
    ));
    if took > ALL_WITHIN && !args.unshortened {
        say(&format!("WRONG: it took more than {} minutes", ALL_WITHIN.as_secs() / 60));
    }
    if let Some(path) = &args.results {
        runner::write_all(path, &outcomes, took, args.lanes).await?;
    }
    Ok(wrong == 0 && (took <= ALL_WITHIN || args.unshortened))
}

/// Runs what went wrong once more, with nothing beside it: several stacks on two cores may miss a moment, and a fault
/// stays one. What was wrong before is told all the same.
async fn again_alone(outcomes: &mut [Outcome], args: &Args, folder: &Path) {
    if args.lanes <= 1 || outcomes.iter().filter(|outcome| !outcome.ok).count() > AGAIN {
        return;
    }
    for outcome in outcomes.iter_mut().filter(|outcome| !outcome.ok) {
        let Ok(drill) = outcome.drill.parse() else { continue };
        say(&format!("{}: once more, alone", outcome.drill));
        let beside = std::mem::take(&mut outcome.reasons);
        keep_beside(folder, drill);
        *outcome = Outcome { beside, ..rehearse(drill, args, folder).await };
        say(&row(outcome, args));
    }
}

/// What this machine has for drills.
struct Here {
    missing: Vec<&'static str>,
}

impl Here {
    /// An error where everything has to be there, and is not.
    async fn look() -> anyhow::Result<Self> {
        let mut missing = crate::missing().await?;
        if !nix::unistd::geteuid().is_root() {
            missing.push("root");
        }
        Ok(Self { missing })
    }

    /// What `drill` needs and is not there.
    fn lacks(&self, drill: Drill) -> Option<&'static str> {
        drill.0.needs.iter().copied().find(|need| self.missing.contains(need))
    }
}

/// Where its timeline is, with `log`, and with `logs` those of its stack.
fn named(folder: &Path, drill: Drill, ending: &str) -> PathBuf {
    folder.join(format!("{}.{ending}", drill.name()))
}

/// Keeps what it left beside others out of the way of its next run. Where that fails, its reasons are in the table.
fn keep_beside(folder: &Path, drill: Drill) {
    let _ = std::fs::remove_dir_all(named(folder, drill, "beside.logs"));
    for ending in ["log", "logs"] {
        let _ = std::fs::rename(named(folder, drill, ending), named(folder, drill, &format!("beside.{ending}")));
    }
}

/// One of them, with its timeline in a file. That it could not be run is an outcome, too.
async fn rehearse(drill: Drill, args: &Args, folder: &Path) -> Outcome {
    let quiet = drill.0.drained(args.shortened(drill));
    let logs = named(folder, drill, "logs");
    // Of a run before.
    let _ = std::fs::remove_dir_all(&logs);
    let one = one::Args { unshortened: args.unshortened, quiet, logs: Some(logs), ..one::Args::new(drill) };
    let path = named(folder, drill, "log");
    let result = async {
        let file = File::create(&path).with_context(|| format!("{} cannot be written", path.display()))?;
        let mut timeline = Timeline::new(Box::new(file));
        let result = one::rehearse(&one, &mut timeline).await;
        if let Err(error) = &result {
            let failed = failed(drill, error);
            timeline.say(&serde_json::to_string(&failed)?);
        }
        let (_, outcomes) = result?;
        outcomes.into_iter().next().context("it had no outcome")
    };
    result.await.unwrap_or_else(|error| failed(drill, &error))
}

fn failed(drill: Drill, error: &anyhow::Error) -> Outcome {
    Outcome { drill: drill.name().to_owned(), reasons: vec![format!("{error:#}")], ..Outcome::default() }
}

fn table(outcomes: &[Outcome], args: &Args) -> String {
    let head = format!("{:<20}{:>9}{:>9}{:>10}{:>10}  wrong", "drill", "alert s", "chat s", "target s", "resolved");
    let rows = outcomes.iter().map(|outcome| row(outcome, args));
    std::iter::once(head).chain(rows).collect::<Vec<_>>().join("\n")
}

fn row(outcome: &Outcome, args: &Args) -> String {
    let figure = |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.1}"));
    let drill = outcome.drill.parse::<Drill>().ok();
    let target = drill.map(|drill| drill.0.chat_within(args.shortened(drill)).as_secs_f64());
    let row = format!(
        "{:<20}{:>9}{:>9}{:>10}{:>10}  {}",
        outcome.drill,
        figure(outcome.alerted_s),
        figure(outcome.chat_s),
        figure(target),
        figure(outcome.resolved_s),
        wrong(outcome)
    );
    row.trim_end().to_owned()
}

fn wrong(outcome: &Outcome) -> String {
    if outcome.ok && !outcome.beside.is_empty() {
        return format!("(nothing when run alone; beside others: {})", outcome.beside.join("; "));
    }
    outcome.reasons.join("; ")
}
