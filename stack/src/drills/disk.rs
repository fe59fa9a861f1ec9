//! A disk is filling up.

use futures_util::future::BoxFuture;

use super::{
    runner::{Fault, Injury, Scene, Surroundings, Window},
    tmpfs,
};
use crate::compose::{Compose, LOGS_BYTES as DISK_BYTES};

/// The disk of the log files, of which a tenth is left: more than is written before the alert, however long its `for`.
pub(super) const DISK: Fault = Fault {
    // It writes to the same disk, and says the same of it.
    along: &["relay"],
    needs: &["root"],
    surroundings: Surroundings { own_containers: true, ..Surroundings::SHORT },
    ..Fault::new(
        "disk",
        "disk",
        "DiskSpaceLow",
        &LogDisk,
        Window { range: 60, fill: 5, lasting: 300, keep: 0, steps: Window::SLOW },
    )
};

const FOLDER: &str = "logs/programs";
/// In the container `init`, and who may write there.
const FOLDER_INSIDE: &str = "/data/logs";
const FILLER: &str = "/data/logs/filler";
const OWNER: &str = "65534:65534";

#[derive(Debug)]
struct LogDisk;

impl Injury for LogDisk {
    fn inflict<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<String>> {
        Box::pin(async move {
            if let Some(containers) = scene.stack().containers() {
                fill(containers).await?;
            } else {
                let folder = scene.stack().folder()?.join(FOLDER);
                tmpfs::cover(&folder, DISK_BYTES)?;
                tmpfs::fill(&folder.join("filler"), DISK_BYTES / 10 * 9)?;
            }
            Ok("the disk of the log files is full but for a tenth".to_owned())
        })
    }

    fn remedy(&self) -> String {
        "the disk has room again".to_owned()
    }

    fn repair<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(async move {
            if let Some(containers) = scene.stack().containers() {
                containers.script(OWNER, &format!("rm -f {FILLER}")).await?;
            } else {
                tmpfs::uncover(&scene.stack().folder()?.join(FOLDER));
            }
            Ok(())
        })
    }
}

/// The disk that the log files of containers are on.
async fn fill(containers: &Compose) -> anyhow::Result<()> {
    containers.has_small_disks()?;
    let left = DISK_BYTES / 10;
    let script =
        format!("set -- $(df -kP {FOLDER_INSIDE} | tail -n 1); head -c $(($4 * 1024 - {left})) /dev/zero >{FILLER}");
    containers.script(OWNER, &script).await.map(|_| ())
}
