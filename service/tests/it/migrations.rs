//! Migrations run while the service serves: none may hold a lock for as long as a table is large, nor
//! wait for one for long.

use std::{fs, path::Path, time::Duration};

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, PgPool};

use crate::support::program::{Program, exchange, run};

/// What in this SQL would hold up others, with what to do instead. Tables made here are nobody's yet.
fn long_locks(sql: &str) -> Vec<String> {
    let code: Vec<_> = sql.lines().map(|line| line.split("--").next().unwrap().to_lowercase()).collect();
    let code = code.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    let statements: Vec<_> = code.split(';').map(str::trim).filter(|statement| !statement.is_empty()).collect();
    let new: Vec<_> =
        statements.iter().filter_map(|s| s.strip_prefix("create table ")?.split([' ', '(']).next()).collect();
    let mut found = Vec::new();
    for statement in &statements {
        let on_new = |before: &str| {
            let table = statement.split_once(before).and_then(|(_, rest)| rest.split([' ', '(']).next());
            table.is_some_and(|table| new.contains(&table))
        };
        let has = |words: &[&str]| words.iter().all(|word| statement.contains(word));
        let mut refuse = |instead: &str| found.push(format!("{statement}: {instead}"));
        if has(&["create", "index"]) && statement.contains(" on ") && !has(&["concurrently"]) && !on_new(" on ") {
            refuse("create the index concurrently, in a migration of its own that begins with `-- no-transaction`");
        }
        if !statement.starts_with("alter table") || on_new("alter table ") {
            if ["lock table", "vacuum full", "cluster", "reindex", "truncate"]
                .iter()
                .any(|word| statement.starts_with(word))
            {
                refuse("do it outside of migrations, when nobody is served");
            }
            continue;
        }
        if has(&["add constraint"]) && (has(&["check"]) || has(&["foreign key"])) && !has(&["not valid"]) {
            refuse("add it `not valid`, and validate it in the next migration");
        }
        if has(&["add constraint", "unique"]) && !has(&["using index"]) {
            refuse("create a unique index concurrently, then add the constraint `using index`");
        }
        if has(&["validate constraint"]) && statements.len() > 1 {
            refuse("validate in a migration of its own");
        }
        if has(&["set not null"]) {
            refuse("add a check constraint `not valid`, and validate it in the next migration");
        }
        if has(&["alter column", " type "]) || has(&["alter", "set data type"]) {
            refuse("add a new column, and fill it in steps");
        }
        if has(&["add column", "default"])
            && ["random(", "gen_random", "clock_timestamp(", "nextval("].iter().any(|f| has(&[f]))
        {
            refuse("add the column without a default, and fill it in steps");
        }
    }
    found
}

#[test]
fn no_migration_holds_a_lock_for_long() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 3);
    for file in files {
        assert_eq!(long_locks(&fs::read_to_string(&file).unwrap()), Vec::<String>::new(), "{}", file.display());
    }
}

#[test]
fn what_would_hold_a_lock_for_long_is_found() {
    for bad in [
        "create index by_item on orders (item)",
        "CREATE UNIQUE INDEX by_item\n  ON orders (item)",
        "alter table orders add constraint c check (amount > 0)",
        "alter table orders add constraint f foreign key (item) references items (id)",
        "alter table orders add constraint u unique (item)",
        "alter table orders alter column item set not null",
        "alter table orders alter column amount type numeric",
        "alter table orders add column code uuid default gen_random_uuid()",
        "alter table orders add constraint c check (true) not valid; alter table orders validate constraint c",
        "lock table orders",
    ] {
        assert_eq!(long_locks(bad).len(), 1, "{bad}: {:?}", long_locks(bad));
    }
    for good in [
        "create table items (id uuid primary key); create index on items (id); create index by_id on items (id)",
        "create index concurrently by_item on orders (item)",
        "alter table orders add column note text; -- not null comes later",
        "alter table orders add column paid boolean not null default false",
        "alter table orders validate constraint c",
    ] {
        assert_eq!(long_locks(good), Vec::<String>::new(), "{good}");
    }
}

#[sqlx::test(migrations = false)]
async fn a_migration_that_gets_no_lock_gives_way(pool: PgPool) {
    let mut migrator = sqlx::migrate!();
    migrator.migrations = migrator.migrations.iter().take(1).cloned().collect();
    migrator.run(&pool).await.unwrap();

    let mut reader = pool.begin().await.unwrap();
    sqlx::query("select from orders").execute(&mut *reader).await.unwrap();
    let url = pool.connect_options().to_url_lossy().to_string();
    let began = std::time::Instant::now();
    let migrate = run(&["migrate"], &[("DATABASE_URL", &url)]);
    assert_eq!(migrate.status.code(), Some(1));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    reader.rollback().await.unwrap();
    assert!(run(&["migrate"], &[("DATABASE_URL", &url)]).status.success());
}

#[sqlx::test]
async fn what_a_request_leaves_behind_is_ended_by_the_server(pool: PgPool) {
    let url = pool.connect_options().to_url_lossy().to_string();
    let program = Program::serve(&url, &[]);
    program.line("started");
    let mut lock = pool.begin().await.unwrap();
    sqlx::query("lock table orders").execute(&mut *lock).await.unwrap();
    let (status, body) = exchange(&program.public, "GET", "/v1/orders", "").unwrap();
    assert_eq!(status, 503, "{body}");
    let waiting = "select count(*) from pg_stat_activity
                   where wait_event_type = 'Lock' and datname = current_database()";
    crate::support::eventually("nobody waits for the lock", Duration::from_secs(5), async || {
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
    for _ in 0..2 {
        let migrate = run(&["migrate"], &[("DATABASE_URL", &user_url), ("DATABASE_MIGRATE_URL", &owner_url)]);
        assert!(migrate.status.success(), "{}", String::from_utf8_lossy(&migrate.stderr));
    }
    let program = Program::serve(&user_url, &[]);
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
