//! A seeded storm: a real Prometheus and a real Alertmanager, a relay that is killed again and again, a chat that
//! misbehaves. Then the history is checked against a model.
//!
//! `make chaos SEED=7 MINUTES=2`. With `BROKEN=1` something answers Alertmanager before the relay has stored anything,
//! and the relay compares nothing. With `ALONE=1` there is no relay: Alertmanager posts to the chat itself. Both have to
//! be found out. `CHECK=1` runs a fixed set of seeds and a broken relay at the same time; `TABLE=1` compares the relay
//! with Alertmanager alone, one bad day at a time, or those whose words contain `TABLE`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    unused,
    reason = "a test ends where it fails; it shares helpers with the others and needs not all of them"
)]

/// A local server that answers as chat platforms do.
#[path = "../it/chat.rs"]
mod chat;
/// Kills whoever tells the chat, at a chosen moment.
mod kill;
/// What must hold of what was told.
mod model;
/// Programs that are started and killed.
mod programs;
/// What stands between Alertmanager and the relay.
mod proxy;
/// The same bad days with and without a relay.
mod scenarios;
/// Starts the relay and speaks to it.
#[path = "../it/support.rs"]
mod support;
/// Everything at once: what is broken, who tells it, who hears it.
mod world;

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;

use kill::Kill;
use world::World;

#[derive(Clone, Debug, Parser)]
struct Settings {
    #[arg(long, env = "SEED", default_value_t = 1)]
    seed: u64,
    #[arg(long, env = "MINUTES", default_value_t = 2.0)]
    minutes: f64,
    #[arg(long, env = "STACK_BIN", default_value = "/usr/local/bin")]
    programs: PathBuf,
    #[arg(long, env = "STACK_REQUIRE", default_value = "")]
    require: String,
    #[arg(long, env = "BROKEN", default_value = "")]
    broken: String,
    #[arg(long, env = "ALONE", default_value = "")]
    alone: String,
    #[arg(long, env = "CHECK", default_value = "")]
    check: String,
    #[arg(long, env = "TABLE", default_value = "")]
    table: String,
    /// Set by the program itself: it may mount small disks.
    #[arg(long, env = "CHAOS_MAY_MOUNT", default_value = "")]
    may_mount: String,
}

/// Which of the three is run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Honest,
    Broken,
    Alone,
}

impl Settings {
    fn kind(&self) -> Kind {
        match (self.broken.is_empty(), self.alone.is_empty()) {
            (false, _) => Kind::Broken,
            (true, false) => Kind::Alone,
            _ => Kind::Honest,
        }
    }
}

fn main() -> ExitCode {
    // Arguments are those of the usual test harness, and mean nothing here.
    let settings = Settings::parse_from(["chaos"]);
    if !settings.check.is_empty() {
        return check();
    }
    if settings.may_mount.is_empty() {
        return in_a_namespace(&settings);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let fine = runtime.block_on(async {
        if settings.table.is_empty() { storm(&settings).await } else { scenarios::table(&settings).await }
    });
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs itself where it may mount a small disk, to fill it.
fn in_a_namespace(settings: &Settings) -> ExitCode {
    let possible = Command::new("unshare").args(["--user", "--map-root-user", "--mount", "true"]).status();
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount"]).arg(std::env::current_exe().unwrap());
    if !possible.is_ok_and(|status| status.success()) {
        println!("SKIPPED: a full disk needs user namespaces (unshare)");
        if settings.require == "all" {
            return ExitCode::FAILURE;
        }
        command = Command::new(std::env::current_exe().unwrap());
    }
    let may_mount = if command.get_program() == "unshare" { "yes" } else { "no" };
    let status = command.env("CHAOS_MAY_MOUNT", may_mount).status().unwrap();
    if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The part that CI runs: three storms, and a broken relay that must not pass.
fn check() -> ExitCode {
    let runs = [("7", ""), ("11", ""), ("23", ""), ("7", "1")].map(|(seed, broken)| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env_remove("CHECK").env("SEED", seed).env("BROKEN", broken).env("MINUTES", "0.5");
        (broken, command.stdout(Stdio::piped()).spawn().unwrap())
    });
    let mut fine = true;
    for (broken, child) in runs {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let last = said.lines().last().unwrap_or_default();
        let found = last.starts_with("chaos ") && !last.ends_with("violations=0");
        if broken.is_empty() {
            print!("{said}");
            fine &= output.status.success();
        } else {
            println!("broken on purpose, so this must be found out: {last}");
            fine &= found && !output.status.success();
        }
    }
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn storm(settings: &Settings) -> bool {
    let mut dice = fastrand::Rng::with_seed(settings.seed);
    let mut world = World::start(settings, settings.kind()).await;
    let (start, minutes) = (Instant::now(), Duration::from_secs_f64(settings.minutes * 60.0));
    while start.elapsed() < minutes {
        tokio::time::sleep(Duration::from_millis(dice.u64(50..400))).await;
        match dice.u32(0..100) {
            0..9 => world.begin(),
            9..20 => world.end(&mut dice),
            20..24 => {
                let back_after = Duration::from_millis(dice.u64(0..3000));
                // What is stored too late is lost when it is killed just then.
                let when = if settings.kind() == Kind::Broken { Kill::Storing } else { Kill::random(&mut dice) };
                world.kill(when, back_after).await;
            }
            24..26 => world.restart_alertmanager(dice.u64(0..2000)),
            26..28 => world.stop_prometheus(dice.u64(0..8000)),
            28..30 => world.fill_disk(dice.u64(500..4000)),
            30..42 => world.change_weather(&mut dice),
            _ => {}
        }
        world.tick().await;
    }
    world.calm(settings).await;
    let history = world.history().await;
    let violations = history.judge();
    for violation in &violations {
        println!("{violation}");
    }
    if !violations.is_empty() {
        println!("the relay's last words, the latest first:\n{}", world.last_words());
    }
    let (episodes, kills) = (history.episodes.len(), history.kills.len());
    let enough = |count: usize, a_minute: f64| f64::from(u32::try_from(count).unwrap()) >= a_minute * settings.minutes;
    let thin = !enough(episodes, 5.0) || !enough(kills, 2.0);
    if thin {
        println!("too few episodes or kills for a test");
    }
    println!("chaos seed={} episodes={episodes} kills={kills} violations={}", settings.seed, violations.len());
    violations.is_empty() && !thin
}
