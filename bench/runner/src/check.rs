//! `check`: fails when a request has become dearer than the baseline allows, or than the gate.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Serialize;

use crate::callgrind::{self, CHILD, PATH};
use crate::collector;
use crate::profile::Profile;
use crate::server::Subject;

/// Percent of requests sampled, most instructions they may add, most that one more span may add. That of
/// a request that is not sampled is not made at all; what is left is what callgrind's counts differ by.
const GATE: [(u8, u64, u64); 3] = [(0, 5_000, 300), (10, 6_500, 2_000), (100, 20_000, 12_000)];
/// How far above the baseline a figure may lie, in percent.
const SLACK: u64 = 3;

type Baseline = BTreeMap<String, u64>;

/// What telemetry adds to a request, in instructions.
#[derive(Debug, Serialize)]
pub(crate) struct Added {
    sampled: u8,
    instructions: u64,
    parts: BTreeMap<&'static str, u64>,
    /// By one more span.
    child: u64,
}

/// Counts everything. Also returns what bare and ours take in all.
pub(crate) fn count(collector: &str) -> anyhow::Result<(Vec<Added>, Baseline)> {
    let [bare, bare_child] = both(Subject::BARE, collector)?;
    let mut totals = Baseline::from([(Subject::BARE.name(), bare.total)]);
    let mut all = Vec::new();
    for (sampled, ..) in GATE {
        let subject = Subject::ours(sampled);
        let [ours, child] = both(subject, collector)?;
        totals.insert(subject.name(), ours.total);
        totals.insert(format!("{}, one more span", subject.name()), child.total);
        let instructions = ours.total.saturating_sub(bare.total);
        all.push(Added {
            sampled,
            instructions,
            parts: ours.parts(instructions, sampled > 0)?.into_iter().collect(),
            child: child.total.saturating_sub(bare_child.total).saturating_sub(instructions),
        });
    }
    Ok((all, totals))
}

pub(crate) fn print(all: &[Added]) {
    for (added, (sampled, gate, child_gate)) in all.iter().zip(GATE) {
        let Added { instructions, parts, child, .. } = added;
        println!(
            "{sampled:>3} %: adds {instructions} instructions (gate {gate}), one more span {child} (gate {child_gate})"
        );
        println!("       {parts:?}");
    }
}

fn both(subject: Subject, collector: &str) -> anyhow::Result<[Profile; 2]> {
    Ok([callgrind::profile(subject, PATH, collector)?, callgrind::profile(subject, CHILD, collector)?])
}

pub(crate) fn run(raise: bool) -> anyhow::Result<()> {
    let (all, totals) = count(&collector::start()?)?;
    print(&all);
    let mut faults = Vec::new();
    for (added, (sampled, gate, child_gate)) in all.iter().zip(GATE) {
        let Added { instructions, child, .. } = added;
        if *instructions > gate {
            faults.push(format!("{sampled} % adds {instructions} instructions, the gate is {gate}"));
        }
        if *child > child_gate {
            faults.push(format!("{sampled} %: one more span adds {child} instructions, the gate is {child_gate}"));
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../baseline.json");
    if raise {
        fs::write(&file, serde_json::to_string_pretty(&totals)? + "\n")?;
        println!("wrote {}", file.display());
    } else {
        faults.extend(compare(&file, &totals)?);
    }
    println!("{} figures, {} over the gate or the baseline", totals.len() + GATE.len() * 2, faults.len());
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

fn compare(file: &PathBuf, totals: &Baseline) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(file).with_context(|| format!("{}: write one with --raise", file.display()))?;
    let baseline: Baseline = serde_json::from_str(&text)?;
    let dearer = totals.iter().filter_map(|(name, figure)| {
        let held = baseline.get(name).copied().unwrap_or_default();
        (*figure * 100 > held * (100 + SLACK))
            .then(|| format!("{name} takes {figure} instructions a request, the baseline is {held}"))
    });
    Ok(dearer.collect())
}
