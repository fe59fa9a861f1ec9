//! The command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{
    drills, terminal,
    verbs::{check_alerts, doctor, down, pipeline, up, with_postgres},
};

const VARIABLES: &str = "\
Variables:
  STACK_BIN          a folder with programs (prometheus, alertmanager, postgres/bin/...), asked before PATH
  LOOKOUT_STATE      the folder of data, logs and secrets [.lookout in the repository]
  LOOKOUT_CACHE      the folder of obtained programs [~/.cache/lookout, as root /var/cache/lookout]
  LOAD_RPS           requests a second of the light traffic [5]
  STACK_REQUIRE      `all`: nothing may be skipped for want of a program
  ESCALATION_URL     where alerts go that the relay did not deliver
  SLACK_WEBHOOK_URL_FILE and the like    a real chat, instead of the local player
  PUBLIC_URL_RELAY, PUBLIC_URL_PROMETHEUS, PUBLIC_URL_JAEGER    what links in messages begin with";

/// The whole stack as processes of this machine.
#[derive(Parser)]
#[command(name = "stack", after_help = VARIABLES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Start everything, each part ready before the next needs it, and end with the links
    Up(up::Args),
    /// Stop what is up, or what a killed runner left behind
    Down,
    /// Say which part is unhealthy, since when, its last error, and what to do
    Doctor,
    /// Break one thing on purpose, and check what people are told about it
    Drill(drills::Args),
    /// Measure how soon lines and spans are found, and whether any is lost while Loki and Jaeger are away
    Pipeline(pipeline::Args),
    /// Run all drills, each on a stack of its own, and end with a table
    Drills(drills::all::Args),
    /// Check rules and routes and run their tests, with the versions in use and with the oldest supported
    CheckAlerts,
    /// Run a command with `DATABASE_URL` set to a Postgres of its own, thrown away afterwards
    WithPostgres(with_postgres::Args),
}

/// Does what the command line says; what went wrong is told in a sentence.
pub async fn run() -> ExitCode {
    let result = match Cli::parse().verb {
        Verb::Up(args) => up::run(args).await,
        Verb::Down => down::run().await,
        Verb::Doctor => doctor::run().await,
        Verb::Drill(args) => drills::run(args).await.map(|summary| succeed(summary.ok)),
        Verb::Pipeline(args) => pipeline::run(args).await.map(succeed),
        Verb::Drills(args) => drills::all::run(args).await.map(succeed),
        Verb::CheckAlerts => check_alerts::run().await.map(succeed),
        Verb::WithPostgres(args) => with_postgres::run(args).await,
    };
    result.unwrap_or_else(|error| {
        terminal::complain(&format!("{error:#}"));
        ExitCode::FAILURE
    })
}

fn succeed(ok: bool) -> ExitCode {
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
