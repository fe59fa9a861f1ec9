//! How migrations are applied: one process at a time, as a role of their own, and never waiting for a lock for long.

use std::time::{Duration, Instant};

use service::database::migrations::{self, Roles};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, PgPool, SqlStr,
    migrate::{Migration, MigrationType, Migrator},
};

use crate::support::{
    eventually,
    program::{Program, exchange, run},
};

#[sqlx::test(migrations = false)]
async fn a_migration_that_gets_no_lock_gives_way(pool: PgPool) {
    let mut migrator = sqlx::migrate!();
    migrator.migrations = migrator.migrations.iter().take(1).cloned().collect();
    migrator.run(&pool).await.unwrap();

    let mut reader = pool.begin().await.unwrap();
    sqlx::query("select from orders").execute(&mut *reader).await.unwrap();
    let url = pool.connect_options().to_url_lossy().to_string();
    let began = Instant::now();
    let migrate = run(&["migrate"], &[("DATABASE_URL", &url)]);
    assert_eq!(migrate.status.code(), Some(1));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    reader.rollback().await.unwrap();
    assert!(run(&["migrate"], &[("DATABASE_URL", &url)]).status.success());
}

/// The way in that the pool has.
fn roles(pool: &PgPool) -> Roles {
    let owner = (*pool.connect_options()).clone();
    Roles { user: owner.get_username().to_owned(), owner }
}

/// One migration, applied by two processes at a time that wait 100 ms for a lock.
async fn apply_twice(pool: &PgPool, sql: &'static str, no_tx: bool) {
    let apply = async || {
        let migration = Migration::new(99, "slow".into(), MigrationType::Simple, SqlStr::from_static(sql), no_tx);
        let migrator = Migrator { migrations: vec![migration].into(), ignore_missing: true, ..Migrator::DEFAULT };
        migrations::apply(migrator, &roles(pool), Duration::from_millis(100)).await
    };
    let (one, other) = futures_util::future::join(apply(), apply()).await;
    one.unwrap();
    other.unwrap();
}

#[sqlx::test]
async fn to_wait_while_another_process_migrates_is_no_failure(pool: PgPool) {
    apply_twice(&pool, "select pg_sleep(0.5)", false).await;
}

#[sqlx::test]
async fn an_index_made_concurrently_waits_for_old_transactions_and_not_for_who_waits_for_it(pool: PgPool) {
    let mut old = pool.begin().await.unwrap();
    sqlx::query("lock table orders in row exclusive mode").execute(&mut *old).await.unwrap();
    let waits = "select exists (select from pg_stat_activity where datname = current_database()
                 and wait_event_type = 'Lock' and query like 'create index%' and state_change < now() - interval '300 ms')";
    let ended = async {
        eventually("the index waits", Duration::from_secs(10), async || {
            sqlx::query_scalar::<_, bool>(waits).fetch_one(&pool).await.unwrap()
        })
        .await;
        old.rollback().await.unwrap();
    };
    let apply = apply_twice(&pool, "create index concurrently by_item on orders (item)", true);
    futures_util::future::join(apply, ended).await;
    let valid = "select indisvalid from pg_index where indexrelid = 'by_item'::regclass";
    assert!(sqlx::query_scalar::<_, bool>(valid).fetch_one(&pool).await.unwrap());
}

#[sqlx::test(migrations = false)]
async fn a_start_tries_again_what_gave_way(pool: PgPool) {
    sqlx::migrate!().run(&pool).await.unwrap();
    sqlx::query("delete from _sqlx_migrations where version = 3").execute(&pool).await.unwrap();
    let mut reader = pool.begin().await.unwrap();
    sqlx::query("lock table orders").execute(&mut *reader).await.unwrap();
    let url = pool.connect_options().to_url_lossy().to_string();
    let program = Program::serve(&url, &[("MIGRATE", "true")]);
    program.line("a migration gave way");
    reader.rollback().await.unwrap();
    program.line("started");
    assert!(program.probe("/metrics").1.contains("\nmigrations_failed 0\n"));
}

#[sqlx::test]
async fn what_a_request_leaves_behind_is_ended_by_the_server(pool: PgPool) {
    let url = pool.connect_options().to_url_lossy().to_string();
    let program = Program::serve(&url, &[]);
    program.line("started");
    let mut lock = pool.begin().await.unwrap();
    sqlx::query("lock table orders").execute(&mut *lock).await.unwrap();
    let asked = Instant::now();
    let (status, body) = exchange(&program.public, "GET", "/v1/orders", "").unwrap();
    assert!(status == 503 && body.contains("/problems/latency"), "{body}");
    assert!(
        asked.elapsed() < Duration::from_secs(4),
        "the lock is given up before REQUEST_TIMEOUT: {:?}",
        asked.elapsed()
    );
    let waiting = "select count(*) from pg_stat_activity
                   where wait_event_type = 'Lock' and datname = current_database()";
    eventually("nobody waits for the lock", Duration::from_secs(5), async || {
        sqlx::query_scalar::<_, i64>(waiting).fetch_one(&pool).await.unwrap() == 0
    })
    .await;
    lock.rollback().await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn the_role_that_serves_can_change_rows_but_not_the_schema(pool: PgPool) {
    let names =
        "select datname::text, current_user::text, oid::text from pg_database where datname = current_database()";
    let (database, administrator, number): (String, String, String) =
        sqlx::query_as(names).fetch_one(&pool).await.unwrap();
    let (owner, user) = (format!("owner {number}"), format!("user \"{number}"));
    let quoted = user.replace('"', "\"\"");
    let execute = async |statements: String| sqlx::raw_sql(AssertSqlSafe(statements)).execute(&pool).await.unwrap();
    execute(format!(
        r#"create role "{owner}" login password 'secret'; create role "{quoted}" login password 'secret';
           alter database "{database}" owner to "{owner}""#
    ))
    .await;
    let options = |role: &str| (*pool.connect_options()).clone().username(role).password("secret");
    let url = |role: &str| options(role).to_url_lossy().to_string();
    let (owner_url, user_url) = (url(&owner), url(&user));

    let migrate = run(&["migrate"], &[("DATABASE_URL", &user_url)]);
    assert_eq!(migrate.status.code(), Some(1), "the role that serves has migrated");
    // Twice, as each deploy grants anew.
    assert!(run(&["migrate"], &[("DATABASE_URL", &owner_url)]).status.success());
    let program = Program::serve(&user_url, &[]);
    let line = program.line("the start waits");
    assert!(line["cause"].as_str().unwrap().contains("permission denied"), "{line}");
    for _ in 0..2 {
        let migrate = run(&["migrate"], &[("DATABASE_URL", &user_url), ("DATABASE_MIGRATE_URL", &owner_url)]);
        assert!(migrate.status.success(), "{}", String::from_utf8_lossy(&migrate.stderr));
    }
    program.line("started");
    let order = crate::support::api::an_order().to_string();
    assert_eq!(exchange(&program.public, "POST", "/v1/orders", &order).unwrap().0, 201);
    drop(program);

    let mut connection = PgConnection::connect_with(&options(&user)).await.unwrap();
    for forbidden in [
        "create table mine (id int)",
        "alter table orders add column note text",
        "create index on orders (item)",
        "drop table orders",
        "truncate orders",
        "delete from orders",
        "insert into _sqlx_migrations select * from _sqlx_migrations",
        "delete from _sqlx_migrations",
        "create schema mine",
    ] {
        let error = sqlx::raw_sql(forbidden).execute(&mut connection).await.expect_err(forbidden);
        assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("42501"), "{forbidden}: {error}");
    }
    connection.close().await.unwrap();
    execute(format!(
        r#"alter database "{database}" owner to "{administrator}"; reassign owned by "{owner}" to "{administrator}";
           drop owned by "{owner}", "{quoted}"; drop role "{owner}", "{quoted}""#
    ))
    .await;
}
