//! What callgrind wrote: the instructions of each function, with those it calls.

use std::collections::HashMap;

use anyhow::{Context as _, ensure};

/// Parts of what telemetry costs, and the functions that make them up.
const PARTS: [(&str, &[&str]); 5] = [
    ("ids and headers", &["http::identify::identify", "http::identify::mark"]),
    ("line", &["observability::line::close"]),
    (
        "metrics",
        &["as metrics::handles::HistogramFn>::record", "as metrics::handles::GaugeFn>", "worker::Worker::kind"],
    ),
    ("span", &["http::ending::Ending::send_span"]),
    ("export", &["observability::traces::export::Exporter::start::{{closure}}::{{closure}}"]),
];

/// Instructions per request.
pub(crate) struct Profile {
    pub(crate) total: u64,
    functions: HashMap<String, u64>,
}

impl Profile {
    pub(crate) fn read(text: &str, requests: u64) -> anyhow::Result<Self> {
        let mut functions: HashMap<String, u64> = HashMap::new();
        let (mut total, mut function, mut callee, mut is_call) = (None, "", "", false);
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("fn=") {
                function = name;
            } else if let Some(name) = line.strip_prefix("cfn=") {
                callee = name;
            } else if line.starts_with("calls=") {
                is_call = true;
            } else if let Some(sum) = line.strip_prefix("totals:").or(line.strip_prefix("summary:")) {
                total = total.or(sum.trim().parse::<u64>().ok());
            } else if line.starts_with(|first: char| first.is_ascii_digit()) {
                let cost: u64 = line.split(' ').nth(1).and_then(|cost| cost.parse().ok()).unwrap_or_default();
                // A function that calls itself would count twice.
                if !is_call || callee != function {
                    *functions.entry(function.to_owned()).or_default() += cost;
                }
                is_call = false;
            }
        }
        functions.values_mut().for_each(|cost| *cost /= requests);
        Ok(Self { total: total.context("callgrind wrote no total")? / requests, functions })
    }

    /// The parts, and what is left of `added`. A part that was renamed, or inlined, would silently count as nothing.
    pub(crate) fn parts(&self, added: u64, sampled: bool) -> anyhow::Result<Vec<(&'static str, u64)>> {
        let cost = |names: &[&str]| -> u64 {
            let within = |function: &&String| names.iter().any(|name| function.contains(name));
            self.functions.keys().filter(within).map(|function| self.functions[function]).sum()
        };
        let mut parts: Vec<_> = PARTS.iter().map(|(part, names)| (*part, cost(names))).collect();
        for (part, cost) in &parts {
            ensure!(*cost > 0 || !sampled, "callgrind saw no function of the part `{part}`: correct PARTS");
        }
        let named: u64 = parts.iter().map(|(_, cost)| cost).sum();
        parts.push(("rest", added.saturating_sub(named)));
        Ok(parts)
    }
}
