//! `run`: the servers take turns, so that what the machine does beside them hits all alike.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use std::{fs, process::Command};

use anyhow::Context as _;
use serde::Serialize;

use crate::callgrind::PATH;
use crate::check::{self, Added};
use crate::load;
use crate::server::{Server, Subject};
use crate::{collector, orders, pressure, process};

const CONNECTIONS: usize = 32;
const SUBJECTS: [Subject; 7] = [
    Subject::BARE,
    Subject::ours(0),
    Subject::ours(10),
    Subject::ours(100),
    Subject::popular(0),
    Subject::popular(10),
    Subject::popular(100),
];

/// One server's turn.
#[derive(Clone, Copy, Debug, Serialize)]
struct Turn {
    user_us: f64,
    system_us: f64,
    requests_per_second: f64,
    p50_us: f64,
    p99_us: f64,
    resident_mib: f64,
}

/// One row of the table: medians over the rounds.
#[derive(Debug, Serialize)]
struct Row {
    subject: String,
    path: &'static str,
    #[serde(flatten)]
    median: Turn,
    /// CPU time of bare over this one's, within the same round: median, lowest, highest.
    cpu_ratio: [f64; 3],
    throughput_ratio: f64,
}

/// What `results.json` holds.
#[derive(Debug, Serialize)]
struct Results {
    date: String,
    commit: String,
    /// Of the machine, before the first and after the last turn: what else it had to do.
    load: [String; 2],
    rounds: usize,
    seconds: u64,
    /// What bare and ours take, in user instructions a request.
    instructions: BTreeMap<String, u64>,
    added: Vec<Added>,
    rows: Vec<Row>,
}

pub(crate) fn run(rounds: usize, seconds: u64, database: Option<&str>) -> anyhow::Result<()> {
    // The load belongs on the other core.
    Command::new("taskset").args(["-p", "-c", "1", &std::process::id().to_string()]).output()?;
    let collector = collector::start()?;
    let before = fs::read_to_string("/proc/loadavg")?.trim().to_owned();
    let rows = rows(rounds, seconds, &collector, database)?;
    print(&rows);
    let after = fs::read_to_string("/proc/loadavg")?.trim().to_owned();
    let (added, instructions) = check::count(&collector)?;
    check::print(&added);
    let (date, commit) = (say("date", &["--utc", "+%F %R"])?, say("git", &["rev-parse", "--short", "HEAD"])?);
    let results = Results { date, commit, load: [before, after], rounds, seconds, instructions, added, rows };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results.json");
    fs::write(&file, serde_json::to_string_pretty(&results)? + "\n")?;
    Ok(())
}

fn say(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(arguments).output().context("a program")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn rows(rounds: usize, seconds: u64, collector: &str, database: Option<&str>) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for path in paths(database)? {
        let mut turns: BTreeMap<String, Vec<Turn>> = BTreeMap::new();
        for _ in 0..rounds {
            for subject in SUBJECTS {
                let turn = turn(subject, path, collector, Duration::from_secs(seconds))?;
                turns.entry(subject.name()).or_default().push(turn);
            }
        }
        let bare = turns.get(&Subject::BARE.name()).cloned().unwrap_or_default();
        rows.extend(SUBJECTS.iter().map(|subject| row(*subject, path, &turns[&subject.name()], &bare)));
    }
    Ok(rows)
}

/// The second needs a database.
fn paths(database: Option<&str>) -> anyhow::Result<Vec<&'static str>> {
    let Some(url) = database else { return Ok(vec![PATH]) };
    orders::create(url)?;
    Ok(vec![PATH, "/v1/orders/7"])
}

fn turn(subject: Subject, path: &str, collector: &str, time: Duration) -> anyhow::Result<Turn> {
    let server = Server::start(subject, collector, &[])?;
    load::in_lockstep(server.address, path, CONNECTIONS, 3_200)?;
    let (user, system) = process::cpu(server.pid)?;
    let latencies = pressure::for_a_while(server.address, path, CONNECTIONS, time)?;
    let after = process::cpu(server.pid)?;
    let resident_mib = process::resident(server.pid)?;
    server.stop()?;
    let requests = latencies.len() as f64;
    let at = |share: f64| latencies[((requests - 1.0) * share) as usize].as_secs_f64() * 1e6;
    Ok(Turn {
        user_us: (after.0 - user) * 1e6 / requests,
        system_us: (after.1 - system) * 1e6 / requests,
        requests_per_second: requests / time.as_secs_f64(),
        p50_us: at(0.5),
        p99_us: at(0.99),
        resident_mib,
    })
}

fn row(subject: Subject, path: &'static str, turns: &[Turn], bare: &[Turn]) -> Row {
    let of = |read: fn(&Turn) -> f64| median(turns.iter().map(read).collect());
    let cpu = |turn: &Turn| turn.user_us + turn.system_us;
    let mut ratios: Vec<f64> = turns.iter().zip(bare).map(|(turn, bare)| cpu(bare) / cpu(turn)).collect();
    ratios.sort_by(f64::total_cmp);
    let throughput = turns.iter().zip(bare).map(|(turn, bare)| turn.requests_per_second / bare.requests_per_second);
    Row {
        subject: subject.name(),
        path,
        median: Turn {
            user_us: of(|turn| turn.user_us),
            system_us: of(|turn| turn.system_us),
            requests_per_second: of(|turn| turn.requests_per_second),
            p50_us: of(|turn| turn.p50_us),
            p99_us: of(|turn| turn.p99_us),
            resident_mib: of(|turn| turn.resident_mib),
        },
        cpu_ratio: [median(ratios.clone()), ratios[0], ratios[ratios.len() - 1]],
        throughput_ratio: median(throughput.collect()),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn print(rows: &[Row]) {
    println!("path          server        user us  sys us  bare CPU/this (spread)   req/s   p50 us  p99 us  RSS MiB");
    for row in rows {
        let Turn { user_us, system_us, requests_per_second, p50_us, p99_us, resident_mib } = row.median;
        let [ratio, low, high] = row.cpu_ratio;
        println!(
            "{:<13} {:<13} {user_us:>7.2} {system_us:>7.2}  {ratio:>6.3} ({low:.3} to {high:.3})  {requests_per_second:>9.0} {p50_us:>8.0} {p99_us:>7.0} {resident_mib:>8.1}",
            row.path, row.subject
        );
    }
}
