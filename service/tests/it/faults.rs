//! Faults on purpose: each does what it says, is visible while it lasts, and ends.

use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::{ConnectOptions as _, PgPool};

use crate::support::{
    api::an_order,
    eventually,
    program::{Program, exchange, run},
};

const SOON: Duration = Duration::from_secs(5);

struct Target {
    program: Program,
    pool: PgPool,
}

impl Target {
    fn start(pool: PgPool) -> Self {
        let url = pool.connect_options().to_url_lossy().to_string();
        let environment = [("FAULTS", "on"), ("REQUEST_TIMEOUT", "3s"), ("DATABASE_ACQUIRE_TIMEOUT", "1s")];
        let patience = [("PAYMENTS_TIMEOUT", "500ms"), ("DATABASE_MAX_CONNECTIONS", "5")];
        let program = Program::serve(&url, &[environment.as_slice(), &patience].concat());
        program.line("started");
        Self { program, pool }
    }

    /// `service admin fault` with these words: whether it went well, and what it printed.
    fn fault(&self, words: &str) -> (bool, String) {
        let arguments: Vec<_> = ["admin", "fault"].into_iter().chain(words.split_whitespace()).collect();
        let output = run(&arguments, &[("ADMIN_LISTEN", &self.program.admin)]);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.success(), text)
    }

    fn begin(&self, words: &str) {
        let (fine, text) = self.fault(words);
        assert!(fine, "{text}");
        let kind = words.split(' ').next().unwrap();
        assert!(text.contains(&format!("\"fault\":\"{kind}\"")), "{text}");
        assert_eq!(self.value(&format!("fault_active{{fault=\"{kind}\"}}")), "1");
        assert_eq!(self.program.line("fault begins")["fault"], kind);
    }

    fn end(&self) {
        assert_eq!(self.fault("--end"), (true, "[]\n".into()));
        self.program.line("fault ends");
    }

    fn metric(&self, series: &str) -> f64 {
        self.value(series).parse().unwrap()
    }

    fn value(&self, series: &str) -> String {
        let metrics = self.program.probe("/metrics").1 + &self.program.probe("/metrics/fast").1;
        let value = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("{series} is missing in\n{metrics}")).to_owned()
    }

    fn send(&self, method: &str, path: &str) -> (u16, Value) {
        let (status, body) = exchange(&self.program.public, method, path, &an_order().to_string()).unwrap();
        (status, serde_json::from_str(&body).unwrap_or_default())
    }

    fn get(&self) -> (u16, Value) {
        self.send("GET", "/v1/orders")
    }

    async fn sees(&self, what: &str, question: &'static str) {
        eventually(what, SOON, async || sqlx::query_scalar::<_, bool>(question).fetch_one(&self.pool).await.unwrap())
            .await;
    }
}

#[sqlx::test]
async fn requests_meet_what_is_meant_for_their_route_and_share(pool: PgPool) {
    let target = Target::start(pool);
    target.begin("errors --route /v1/orders --for 60s");
    assert_eq!(target.get().0, 500);
    assert_eq!(target.send("GET", "/v1/orders/00000000-0000-0000-0000-000000000000").0, 404);
    target.begin("errors --rate 0 --for 60s");
    assert_eq!(target.get().0, 200);
    target.end();

    for (fault, status, kind) in [("panic", 500, "/problems/panic"), ("hang", 503, "/problems/latency")] {
        target.begin(&format!("{fault} --for 60s"));
        let (answered, problem) = target.get();
        assert_eq!((answered, problem["type"].as_str()), (status, Some(kind)));
        target.end();
    }
    for fault in ["latency", "cpu", "slow_statements"] {
        target.begin(&format!("{fault} --delay 300ms --for 60s"));
        let asked = Instant::now();
        assert_eq!(target.get().0, 200);
        assert!(asked.elapsed() >= Duration::from_millis(300), "{fault}: {:?}", asked.elapsed());
        target.end();
        assert_eq!(target.get().0, 200);
    }
}

#[sqlx::test]
async fn a_fault_ends_by_itself_and_says_so(pool: PgPool) {
    let target = Target::start(pool);
    target.begin("errors --for 500ms");
    assert_eq!(target.program.line("fault ends")["level"], "WARN");
    assert_eq!(target.get().0, 200);
    assert_eq!(target.value("fault_active{fault=\"errors\"}"), "0");
    assert_eq!(target.fault(""), (true, "[]\n".into()));

    target.begin("cpu --delay 1h --for 1s");
    let asked = Instant::now();
    assert_eq!(target.get().0, 200);
    assert!(asked.elapsed() < SOON, "a thread that computes is free when the fault ends: {:?}", asked.elapsed());
}

#[sqlx::test]
async fn the_database_is_held_up_and_let_go(pool: PgPool) {
    let target = Target::start(pool);
    target.begin("connections --amount 5 --for 60s");
    eventually("no connection is left", SOON, async || target.get().1["type"] == "/problems/db_pool").await;
    target.end();
    eventually("all are back", SOON, async || target.get().0 == 200).await;

    let transaction = "select exists (select from pg_stat_activity
                       where datname = current_database() and state = 'idle in transaction')";
    target.begin("transaction --for 60s");
    target.sees("a transaction is open", transaction).await;
    assert_eq!(target.send("POST", "/v1/orders").0, 201);
    target.end();

    target.begin("locks --for 60s");
    target.sees("a transaction is open", transaction).await;
    assert_eq!(target.get().0, 200);
    assert_eq!(target.send("POST", "/v1/orders").0, 503);
    target.end();
    eventually("orders are taken again", SOON, async || target.send("POST", "/v1/orders").0 == 201).await;

    target.begin("deadlocks --for 60s");
    let deadlocks = "select deadlocks > 0 from pg_stat_database where datname = current_database()";
    eventually("Postgres counts a deadlock", SOON * 4, async || {
        sqlx::query_scalar::<_, bool>(deadlocks).fetch_one(&target.pool).await.unwrap()
    })
    .await;
    assert_eq!(target.get().0, 200);
    target.end();
}

#[sqlx::test]
async fn the_process_is_deprived_and_recovers(pool: PgPool) {
    let target = Target::start(pool);
    let memory = || target.metric("process_resident_memory_bytes");
    let before = memory();
    target.begin("memory --amount 64 --for 60s");
    eventually("it has grown", SOON, async || memory() > before + 60e6).await;
    target.end();
    eventually("it is small again", SOON, async || memory() < before + 20e6).await;

    let files = || target.metric("process_open_fds");
    let before = files();
    target.begin("files --amount 100 --for 60s");
    eventually("they are open", SOON, async || files() >= before + 90.0).await;
    target.end();
    eventually("they are closed", SOON, async || files() < before + 10.0).await;

    let clock = || target.metric("unix_time_seconds");
    let before = clock();
    target.begin("clock --amount -3600 --for 60s");
    assert!((before - 3600.0 - clock()).abs() < 60.0, "{}", clock());
    target.end();
    assert!(clock() >= before);

    let lost = || target.metric("telemetry_dropped_total{signal=\"lines\",reason=\"stdout\"}");
    assert!(lost() < 1.0);
    assert!(target.fault("telemetry --for 60s").0);
    eventually("lines are lost", SOON, async || lost() >= 1.0).await;
    assert_eq!(target.get().0, 200);
    target.end();
}

#[sqlx::test]
async fn a_crash_ends_the_process(pool: PgPool) {
    let mut target = Target::start(pool);
    target.begin("crash");
    assert!(!target.program.process.wait().unwrap().success());
}

#[sqlx::test]
async fn what_makes_no_sense_is_refused_and_says_what_is_needed(pool: PgPool) {
    let target = Target::start(pool);
    for (words, needs) in [
        ("errors", "for is missing"),
        ("errors --for 31m", "30m"),
        ("errors --for soon", "for:"),
        ("errors --rate 5 --for 1m", "0 to 1"),
        ("latency --for 1m", "delay is missing"),
        ("memory --for 1m", "amount is missing"),
        ("clock --for 1m", "amount is missing"),
        ("earthquake --for 1m", "earthquake"),
    ] {
        let (fine, text) = target.fault(words);
        assert!(!fine && text.contains(needs), "{words}: {text}");
    }
    let (status, body) = exchange(&target.program.admin, "PUT", "/faults/earthquake", "{}").unwrap();
    assert!(status == 400 && body.contains("earthquake is no fault"), "{body}");
    assert_eq!(target.fault(""), (true, "[]\n".into()));
}

#[sqlx::test]
async fn without_the_setting_nothing_can_be_broken(pool: PgPool) {
    let url = pool.connect_options().to_url_lossy().to_string();
    let program = Program::serve(&url, &[]);
    program.line("started");
    let output = run(&["admin", "fault", "errors", "--for", "1m"], &[("ADMIN_LISTEN", &program.admin)]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("FAULTS=on"));
    assert_eq!(exchange(&program.public, "GET", "/v1/orders", "").unwrap().0, 200);
    assert!(!program.probe("/metrics").1.contains("fault_active{"));
}
