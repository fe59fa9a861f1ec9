//! A disk is filling up.

use futures_util::future::BoxFuture;

use super::{
    runner::{Fault, Injury, Scene, Window},
    tmpfs,
};

/// The disk of the log files, of which a twentieth is left.
pub(super) const DISK: Fault = Fault {
    // It writes to the same disk, and says the same of it.
    along: &["relay"],
    needs: &["root"],
    ..Fault::new(
        "disk",
        "disk",
        "DiskSpaceLow",
        &LogDisk,
        Window { range: 60, fill: 5, lasting: 300, keep: 0, steps: Window::SLOW },
    )
};

const DISK_BYTES: u64 = 32 << 20;
const FOLDER: &str = "logs/programs";

#[derive(Debug)]
struct LogDisk;

impl Injury for LogDisk {
    fn inflict<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<String>> {
        Box::pin(async move {
            let folder = scene.stack().folder()?.join(FOLDER);
            tmpfs::cover(&folder, DISK_BYTES)?;
            tmpfs::fill(&folder.join("filler"), DISK_BYTES / 20 * 19)?;
            Ok("the disk of the log files is full but for a twentieth".to_owned())
        })
    }

    fn remedy(&self) -> String {
        "the disk has room again".to_owned()
    }

    fn repair<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(async move {
            tmpfs::uncover(&scene.stack().folder()?.join(FOLDER));
            Ok(())
        })
    }
}
