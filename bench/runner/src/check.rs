//! `check`: fails when a request has become dearer than the baseline allows, or than the gate.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::server::Subject;
use crate::{callgrind, collector};

/// Most added instructions, by percent of requests sampled, whatever the baseline says.
const GATE: [(u8, u64); 3] = [(0, 5_000), (10, 6_500), (100, 20_000)];
/// How far above the baseline a figure may lie, in percent.
const SLACK: u64 = 3;

type Baseline = BTreeMap<String, u64>;

pub(crate) fn run(raise: bool) -> anyhow::Result<()> {
    let collector = collector::start()?;
    let bare = callgrind::instructions(Subject::BARE, &collector)?;
    println!("bare            {bare:>7} instructions a request");
    let mut now = Baseline::from([("bare".to_owned(), bare)]);
    let mut faults = Vec::new();
    for (sampled, gate) in GATE {
        let subject = Subject::ours(sampled);
        let all = callgrind::instructions(subject, &collector)?;
        let added = all.saturating_sub(bare);
        println!("{:<15} {all:>7}, {added} added (gate {gate})", subject.name());
        if added > gate {
            faults.push(format!("{} adds {added} instructions, the gate is {gate}", subject.name()));
        }
        now.insert(subject.name(), all);
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../baseline.json");
    if raise {
        fs::write(&file, serde_json::to_string_pretty(&now)? + "\n")?;
        println!("wrote {}", file.display());
    } else {
        faults.extend(compare(&file, &now)?);
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    println!("{} passed, 0 failed", GATE.len() * 2 + 1);
    Ok(())
}

fn compare(file: &PathBuf, now: &Baseline) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(file).with_context(|| format!("{}: run `make bench-baseline`", file.display()))?;
    let baseline: Baseline = serde_json::from_str(&text)?;
    let dearer = now.iter().filter_map(|(name, figure)| {
        let held = baseline.get(name).copied().unwrap_or_default();
        (*figure * 100 > held * (100 + SLACK))
            .then(|| format!("{name} takes {figure} instructions a request, the baseline is {held}"))
    });
    Ok(dearer.collect())
}
