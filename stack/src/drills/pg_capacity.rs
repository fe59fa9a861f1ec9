//! Somebody takes the connections of Postgres.

use futures_util::future::{BoxFuture, try_join_all};

use super::runner::{Fault, Injury, Scene, Window};

/// 88 % of the sessions that Postgres allows: over the 80 % of the rule, and enough left for everybody.
pub(super) const CONNECTIONS: Fault = Fault {
    needs: &["postgres-exporter"],
    ..Fault::new(
        "pg_capacity",
        "pg_capacity",
        "PgConnectionsHigh",
        &Sessions,
        Window { range: 15, fill: 5, lasting: 120, keep: 0, steps: Window::SLOW },
    )
};

/// With those that are there already.
const MISSING: &str = "SELECT greatest(0, current_setting('max_connections')::bigint * 88 / 100 - count(*)) \
                       FROM pg_stat_activity WHERE backend_type = 'client backend'";

#[derive(Debug)]
struct Sessions;

impl Injury for Sessions {
    fn inflict<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<String>> {
        Box::pin(async move {
            let mut first = scene.session().await?;
            let missing: i64 = sqlx::query_scalar(MISSING).fetch_one(&mut first).await?;
            let others = try_join_all((0..missing).map(|_| scene.session())).await?;
            scene.hold(async move {
                std::future::pending::<()>().await;
                drop((first, others));
            });
            Ok(format!("{missing} sessions are open that do nothing"))
        })
    }

    fn remedy(&self) -> String {
        "the sessions end".to_owned()
    }

    fn repair<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(async move {
            scene.release().await;
            Ok(())
        })
    }
}
