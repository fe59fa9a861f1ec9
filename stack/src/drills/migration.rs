//! A migration fails: the service that starts with it runs, and is not ready.

use futures_util::future::BoxFuture;

use super::runner::{Back, Fault, Injury, Scene, Sign, Window, requests};

pub(super) const MIGRATION: Fault = Fault {
    sign: Sign::Readiness,
    back: Back::Service,
    judge: requests::end,
    ..Fault::new(
        "migration",
        "migration",
        "MigrationFailed",
        &Migration,
        Window { range: 0, fill: 0, lasting: 0, keep: 15, steps: Window::PAGE },
    )
};

/// The last one counts as not applied, and what it is about has another name.
const INFLICT: [&str; 3] = [
    "ALTER TABLE orders RENAME CONSTRAINT orders_status_check TO orders_status_check_drilled",
    "CREATE TABLE migrations_drilled AS SELECT * FROM _sqlx_migrations WHERE version = 3",
    "DELETE FROM _sqlx_migrations WHERE version = 3",
];
const REPAIR: [&str; 3] = [
    "ALTER TABLE orders RENAME CONSTRAINT orders_status_check_drilled TO orders_status_check",
    "INSERT INTO _sqlx_migrations SELECT * FROM migrations_drilled",
    "DROP TABLE migrations_drilled",
];

#[derive(Debug)]
struct Migration;

impl Injury for Migration {
    fn inflict<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<String>> {
        Box::pin(async move {
            scene.sql(&INFLICT).await?;
            scene.stack().kill("service").await?;
            let stack = scene.stack().clone();
            // It is started when it is ready, which is after the repair.
            scene.hold(async move { drop(stack.start("service").await) });
            Ok("the service is started anew, and its migration finds no constraint of that name".to_owned())
        })
    }

    fn remedy(&self) -> String {
        "the constraint has its name back, and the migration counts as applied".to_owned()
    }

    fn repair<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(scene.sql(&REPAIR))
    }
}
