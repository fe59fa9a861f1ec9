//! Figures of long runs: how they spread, and the file that names the date and the commit they belong to.

use std::path::Path;

use anyhow::Context;
use chrono::Utc;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::process::Command;

/// How values spread; percentiles by nearest rank.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The median.
    pub p50: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let rank = |percent: usize| values.get((values.len() * percent).div_ceil(100).checked_sub(1)?).copied();
        Some(Self { p50: rank(50)?, p95: rank(95)?, max: rank(100)? })
    }
}

/// Writes `figures` to `path`.
pub(crate) async fn write(path: &Path, mut figures: Map<String, Value>) -> anyhow::Result<()> {
    figures.insert("date".to_owned(), Utc::now().format("%Y-%m-%d").to_string().into());
    figures.insert("commit".to_owned(), commit().await.into());
    let text = format!("{}\n", serde_json::to_string_pretty(&figures)?);
    tokio::fs::write(path, text).await.with_context(|| format!("cannot write the results to {}", path.display()))
}

async fn commit() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output().await.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let spread = Spread::of((1..=20).map(f64::from)).unwrap();
        assert_eq!(spread, Spread { p50: 10.0, p95: 19.0, max: 20.0 });
        assert_eq!(Spread::of(std::iter::empty()), None);
    }
}
