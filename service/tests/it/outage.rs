//! A database that is killed, frozen, or not there, and what its users notice.

use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use observability::testing::Capture;
use service::{
    database::{Database, Settings, watcher},
    error::ApiError,
    health::Health,
};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::task::JoinHandle;

use crate::support::{
    api::{Answer, LIMITS, an_order, start},
    cluster::Cluster,
    eventually,
};

const PROMPT: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_millis(2500);

fn watch(connect: PgConnectOptions) -> Database {
    let database = Database::unknown();
    let settings = Settings { connect, max_connections: 10, acquire_timeout: Duration::from_secs(2) };
    observability::spawn(watcher::watch(database.clone(), settings));
    database
}

async fn up(database: &Database) {
    eventually("the watcher reaches the database", Duration::from_secs(30), async || database.is_up()).await;
}

fn messages(capture: &Capture, message: &str) -> usize {
    capture.lines().iter().filter(|line| line["message"] == message).count()
}

fn db_up(capture: &Capture) -> Option<String> {
    let report = capture.report();
    report.lines().find_map(|line| line.strip_prefix("db_up ")).map(str::to_owned)
}

/// A query that runs for as long as it is let.
async fn in_flight(database: &Database) -> JoinHandle<Result<(), ApiError>> {
    let own = database.clone();
    let query = observability::spawn_local(async move {
        own.run(async |connection| sqlx::query("select pg_sleep(30)").execute(connection).await.map(drop)).await
    });
    let running = "select exists (select from pg_stat_activity where query = 'select pg_sleep(30)')";
    eventually("the query runs", Duration::from_secs(5), async || {
        database.run(async |connection| sqlx::query_scalar(running).fetch_one(connection).await).await.unwrap()
    })
    .await;
    query
}

/// Sends requests until the watcher knows: each fails, and none waits long.
async fn fail_until_detected(database: &Database, create: impl AsyncFn() -> Answer) {
    while database.is_up() {
        let asked = Instant::now();
        assert_eq!(create().await.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(asked.elapsed() < PATIENCE, "waited {:?}", asked.elapsed());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Sends requests while the watcher knows: each is refused at once, with when to try again.
async fn be_refused_at_once(create: impl AsyncFn() -> Answer) {
    let mut waits = Vec::new();
    for _ in 0..50 {
        let asked = Instant::now();
        let answer = create().await;
        waits.push(asked.elapsed());
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.body["type"], "/problems/db_down");
        assert_eq!(answer.header("retry-after"), "1");
    }
    waits.sort();
    // The machine may have paused this test now and then; the service has not.
    assert!(waits[45] < PROMPT, "{waits:?}");
}

/// Breaks the database with a query in flight and requests coming in, checks what they get, mends it,
/// and checks that everything is as before.
async fn outage(break_it: fn(&mut Cluster), mend: impl AsyncFnOnce(&mut Cluster), detected_in: Duration) {
    let mut cluster = Cluster::start().await;
    let capture = Capture::start();
    let database = watch(cluster.options());
    let health = Health::new(database.clone());
    health.start();
    up(&database).await;
    assert_eq!(db_up(&capture).as_deref(), Some("1"));
    let api = start(database.clone(), LIMITS).await;
    api.an_order().await;
    let in_flight = in_flight(&database).await;

    break_it(&mut cluster);
    let broken = Instant::now();
    fail_until_detected(&database, async || api.create(&an_order()).await).await;
    assert!(broken.elapsed() < detected_in, "detected after {:?}", broken.elapsed());
    let waiting = Instant::now();
    assert!(in_flight.await.unwrap().is_err());
    assert!(waiting.elapsed() < PROMPT, "in flight: {:?}", waiting.elapsed());
    assert_eq!(health.not_ready(), Some("db_down"));
    assert_eq!(db_up(&capture).as_deref(), Some("0"));
    be_refused_at_once(async || api.create(&an_order()).await).await;

    mend(&mut cluster).await;
    let mended = Instant::now();
    up(&database).await;
    assert!(mended.elapsed() < Duration::from_secs(10), "up after {:?}", mended.elapsed());
    assert_eq!(db_up(&capture).as_deref(), Some("1"));
    assert_eq!(health.not_ready(), None);
    for _ in 0..20 {
        api.an_order().await;
    }
    for message in ["database reached", "database lost", "database back"] {
        assert_eq!(messages(&capture, message), 1, "{message}");
    }
}

#[actix_web::test]
async fn a_killed_database_is_noticed_at_once_and_used_again_when_it_is_back() {
    outage(Cluster::kill, async |c| c.run().await, Duration::from_millis(700)).await;
}

#[actix_web::test]
async fn a_frozen_database_is_noticed_in_two_seconds_and_used_again_when_it_thaws() {
    outage(|c| c.freeze(), async |c| c.thaw(), Duration::from_millis(2300)).await;
}

#[actix_web::test]
async fn a_database_that_comes_after_the_service_is_waited_for_without_alarm() {
    let capture = Capture::start();
    let mut cluster = Cluster::prepare();
    let database = watch(cluster.options());
    eventually("the log says so", Duration::from_secs(3), async || messages(&capture, "waiting for the database") > 0)
        .await;
    assert_eq!(db_up(&capture), None, "no verdict yet");

    cluster.run().await;
    up(&database).await;
    assert_eq!(db_up(&capture).as_deref(), Some("1"));
    assert!(capture.lines().iter().all(|line| line["level"] == "INFO"), "{:?}", capture.lines());
}

#[actix_web::test]
async fn a_database_that_never_comes_is_told_after_five_seconds() {
    let capture = Capture::start();
    let cluster = Cluster::prepare();
    let began = Instant::now();
    let _database = watch(cluster.options());
    eventually("db_up is 0", Duration::from_secs(8), async || db_up(&capture).is_some()).await;
    assert!(began.elapsed() >= Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(db_up(&capture).as_deref(), Some("0"));
    assert_eq!(messages(&capture, "database not reached"), 1);
}

#[actix_web::test]
async fn one_broken_connection_is_not_an_outage() {
    let cluster = Cluster::start().await;
    let capture = Capture::start();
    let database = watch(cluster.options());
    up(&database).await;
    let backends = async || {
        database
            .run(async |connection| {
                sqlx::query_scalar::<_, i32>(
                    "select pid from pg_stat_activity
                     where backend_type = 'client backend' and pid <> pg_backend_pid()",
                )
                .fetch_all(connection)
                .await
            })
            .await
            .unwrap()
    };
    let before = backends().await;
    assert!(!before.is_empty());
    let terminate = async |connection: &mut PgConnection| {
        sqlx::query("select pg_terminate_backend(pid) from unnest($1::int[]) as pid")
            .bind(&before)
            .execute(connection)
            .await
    };
    database.run(terminate).await.unwrap();

    eventually("the watcher has a new connection", Duration::from_secs(5), async || {
        let now = backends().await;
        !now.is_empty() && !now.iter().any(|pid| before.contains(pid))
    })
    .await;
    assert!(database.is_up());
    assert_eq!(messages(&capture, "database lost"), 0);
}

/// Ten instances with twenty clients each, which never stop asking. That the instances do not all ask in the same
/// moment is chance, so `watcher::pause` has its own test.
#[actix_web::test]
async fn two_hundred_clients_do_not_storm_a_database_that_is_back() {
    const INSTANCES: usize = 10;
    const CLIENTS: usize = 20;
    const POOL: usize = 10;
    let _capture = Capture::start();
    let mut cluster = Cluster::start().await;
    let databases: Vec<_> = (0..INSTANCES).map(|_| watch(cluster.options())).collect();
    for database in &databases {
        up(database).await;
    }
    let clients = databases.iter().flat_map(|database| std::iter::repeat_n(database, CLIENTS)).map(async |database| {
        loop {
            let _ = database.run(async |c| sqlx::query("select pg_sleep(0.01)").execute(c).await.map(drop)).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let check = async {
        cluster.kill();
        for database in &databases {
            eventually("it is lost", Duration::from_secs(5), async || !database.is_up()).await;
        }
        cluster.run().await;
        for database in &databases {
            up(database).await;
        }
        let mut connection = PgConnection::connect_with(&cluster.options()).await.unwrap();
        let settled = "select count(*) from pg_stat_activity where backend_type = 'client backend'";
        let all = i64::try_from(INSTANCES * (POOL + 1)).unwrap();
        eventually("the pools are full", Duration::from_secs(10), async || {
            sqlx::query_scalar::<_, i64>(settled).fetch_one(&mut connection).await.unwrap() > all
        })
        .await;
        let opened = "select sessions from pg_stat_database where datname = current_database()";
        let opened: i64 = sqlx::query_scalar(opened).fetch_one(&mut connection).await.unwrap();
        (opened, all)
    };
    tokio::select! {
        _ = futures_util::future::join_all(clients) => {}
        (opened, all) = check => {
            // Each once, beside what this test has opened itself to see.
            assert!(opened <= all + 20, "{opened} connections were opened, {all} are needed");
        }
    }
}
