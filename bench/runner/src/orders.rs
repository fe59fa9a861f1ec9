//! The table that one of the two handlers reads.

use sqlx::{Connection as _, Executor as _, PgConnection};

/// Creates it with ten thousand rows.
pub(crate) fn create(url: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = PgConnection::connect(url).await?;
        connection.execute("CREATE TABLE IF NOT EXISTS bench_orders (id bigint PRIMARY KEY, item text NOT NULL)").await?;
        let rows = "INSERT INTO bench_orders SELECT id, 'item ' || id FROM generate_series(1, 10000) id ON CONFLICT DO NOTHING";
        connection.execute(rows).await?;
        connection.execute("ANALYZE bench_orders").await?;
        Ok(())
    })
}
