//! What the system says of a process.

use std::fs;

use anyhow::Context as _;

/// User and system time so far, in seconds.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<(f64, f64)> {
    const TICKS: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(')').context("stat")?.1.split_whitespace().collect();
    let read = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).context("a time");
    Ok((read(11)? / TICKS, read(12)? / TICKS))
}

/// Resident memory, in MiB.
pub(crate) fn resident(pid: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let kibibytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kibibytes / 1024.0)
}
