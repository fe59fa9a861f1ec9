//! How Postgres finds the rows of each statement that the service was built with.

use std::fs;

use serde_json::Value;
use sqlx::{AssertSqlSafe, PgPool};

#[sqlx::test]
async fn every_statement_finds_its_rows_by_an_index(pool: PgPool) {
    let mut connection = pool.acquire().await.unwrap();
    // Small tables would be read as a whole whatever indexes they have.
    let settings = "set enable_seqscan = off; set plan_cache_mode = force_generic_plan";
    sqlx::raw_sql(settings).execute(&mut *connection).await.unwrap();
    let files: Vec<_> = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.sqlx")).unwrap().collect();
    assert!(files.len() >= 10, "{files:?}");
    for file in files {
        let statement: Value = serde_json::from_slice(&fs::read(file.unwrap().path()).unwrap()).unwrap();
        let query = statement["query"].as_str().unwrap();
        let parameters = vec!["null"; statement["describe"]["parameters"]["Left"].as_array().unwrap().len()].join(", ");
        let arguments = if parameters.is_empty() { String::new() } else { format!("({parameters})") };
        let explain = format!("deallocate all; prepare it as {query}; explain execute it{arguments}");
        let plan = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(&mut *connection).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| sqlx::Row::get(row, 0)).collect();
        assert!(!plan.is_empty() && !plan.iter().any(|line| line.contains("Seq Scan")), "{query}\n{plan:#?}");
    }
}
