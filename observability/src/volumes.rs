//! How much room is left on the disks that a program writes to.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::metrics::{Gauge, intern};

/// The free part of each watched disk.
pub static VOLUME_FREE_RATIO: Gauge<1> =
    Gauge::new("volume_free_ratio", "The free part of a disk that this program writes to.", ["volume"]);

static WATCHED: Mutex<Vec<(&'static str, PathBuf)>> = Mutex::new(Vec::new());

/// Measures the disk under this folder with every report, as `volume_free_ratio{volume}`.
///
/// The folder of log files is watched as `logs` without being asked for.
pub fn watch(volume: &str, folder: &Path) {
    let mut watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
    watched.push((intern("volume", volume), folder.to_owned()));
}

/// Reads all of them into the gauge. A disk that cannot be asked keeps its last value.
pub(crate) fn record() {
    for (volume, folder) in WATCHED.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let Ok(disk) = rustix::fs::statvfs(folder) else { continue };
        // As `df` counts: what is kept for root, or not ours to fill, is neither used nor free.
        let usable = disk.f_blocks.saturating_sub(disk.f_bfree).saturating_add(disk.f_bavail);
        if let Some(ratio) = ratio(disk.f_bavail, usable) {
            VOLUME_FREE_RATIO.set([volume], ratio);
        }
    }
}

/// With four decimals.
fn ratio(free: u64, all: u64) -> Option<f64> {
    let parts = free.saturating_mul(10_000).checked_div(all)?;
    Some(f64::from(u32::try_from(parts).ok()?) / 10_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_free_part_of_a_disk_is_between_none_and_all() {
        assert_eq!(ratio(1, 4), Some(0.25));
        assert_eq!(ratio(0, 0), None);
        let capture = crate::testing::Capture::start();
        watch("temporary", &std::env::temp_dir());
        let report = capture.report();
        let value = report.lines().find_map(|line| line.strip_prefix("volume_free_ratio{volume=\"temporary\"} "));
        assert!((0.0..=1.0).contains(&value.unwrap().parse().unwrap()), "{value:?}");
    }
}
