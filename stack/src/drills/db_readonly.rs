//! The database answers, and refuses to write: a replica after a failover, or a disk without space.

use std::fs;

use futures_util::future::BoxFuture;
use sqlx::AssertSqlSafe;

use super::{
    injury::Statements,
    runner::{Evidence, Fault, Injury, Scene, Surroundings, Window, Within, requests},
    tmpfs,
};
use crate::{
    compose::{Compose, SMALL_DISK},
    identity::Identity,
};

/// Every transaction is read-only from now on.
pub(super) const READONLY: Fault = Fault {
    judge,
    ..Fault::new(
        "db_readonly",
        "db_readonly",
        "DatabaseReadOnly",
        &Statements {
            what: "Postgres is read-only (default_transaction_read_only)",
            inflict: &["ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"],
            remedy: "Postgres takes writes again",
            repair: &[
                "SET default_transaction_read_only = off",
                "ALTER SYSTEM RESET default_transaction_read_only",
                "SELECT pg_reload_conf()",
            ],
        },
        Window { range: 60, fill: 5, lasting: 0, keep: 60, steps: Window::PAGE },
    )
};

/// The table's disk is full.
pub(super) const DISK_FULL: Fault = Fault {
    name: "disk_full",
    injury: &TableDisk,
    needs: &["root"],
    surroundings: Surroundings { own_containers: true, ..Surroundings::SHORT },
    // The last page of the table takes some more orders first.
    within: Within::Window(Window { range: 60, fill: 45, lasting: 0, keep: 60, steps: Window::PAGE }),
    ..READONLY
};

const DISK_BYTES: u64 = 16 << 20;
const FOLDER: &str = "small_disk";
/// In the container.
const FILLER: &str = "/small_disk/filler";

#[derive(Debug)]
struct TableDisk;

impl Injury for TableDisk {
    fn inflict<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<String>> {
        Box::pin(async move {
            let table = small_disk(scene).await?;
            let mut session = scene.session().await?;
            let create = format!("CREATE TABLESPACE small LOCATION '{table}'");
            sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut session).await?;
            sqlx::raw_sql("ALTER TABLE orders SET TABLESPACE small").execute(&mut session).await?;
            match scene.stack().containers() {
                // It ends when nothing fits.
                Some(containers) => drop(postgres(containers, &format!("head -c 16m /dev/zero >{FILLER}")).await),
                None => tmpfs::fill(&scene.stack().folder()?.join(FOLDER).join("filler"), DISK_BYTES)?,
            }
            Ok("the table of orders is on a disk of 16 MiB, and something else has taken what is left of it".to_owned())
        })
    }

    fn remedy(&self) -> String {
        "the disk has room, and the table is where it was".to_owned()
    }

    fn repair<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(async move {
            let back = ["ALTER TABLE orders SET TABLESPACE pg_default", "DROP TABLESPACE small"];
            if let Some(containers) = scene.stack().containers() {
                postgres(containers, &format!("rm -f {FILLER}")).await?;
                return scene.sql(&back).await;
            }
            let folder = scene.stack().folder()?.join(FOLDER);
            let _ = fs::remove_file(folder.join("filler"));
            scene.sql(&back).await?;
            tmpfs::uncover(&folder);
            fs::remove_dir(&folder)?;
            Ok(())
        })
    }
}

/// A folder of Postgres' on a disk of 16 MiB.
async fn small_disk(scene: &Scene) -> anyhow::Result<String> {
    if let Some(containers) = scene.stack().containers() {
        containers.has_small_disks()?;
        let table = format!("{SMALL_DISK}/table");
        postgres(containers, &format!("mkdir {table}")).await?;
        return Ok(table);
    }
    let folder = scene.stack().folder()?.join(FOLDER);
    tmpfs::cover(&folder, DISK_BYTES)?;
    let table = folder.join("table");
    fs::create_dir(&table)?;
    Identity::unprivileged().await?.give(&table)?;
    Ok(table.display().to_string())
}

/// Runs a shell script in the container of Postgres.
async fn postgres(containers: &Compose, script: &str) -> anyhow::Result<String> {
    containers.run("postgres", &["/bin/sh", "-c", script]).await
}

/// Reads go on, writes are refused at once.
fn judge(evidence: &Evidence) -> Vec<String> {
    let mut wrong = requests::end(evidence);
    wrong.extend(requests::only("create", 503, evidence));
    wrong.extend(requests::no_restart(evidence));
    wrong
}
