//! Measures what telemetry costs a request: instructions by callgrind (`check`), and CPU time,
//! throughput and latency of paired runs (`run`).

mod callgrind;
mod check;
mod collector;
mod load;
#[cfg(feature = "paired")]
mod orders;
#[cfg(feature = "paired")]
mod paired;
#[cfg(feature = "paired")]
mod pressure;
#[cfg(feature = "paired")]
mod process;
mod profile;
mod server;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Compare instructions per request with the committed baseline and the gate
    Check {
        /// Write the baseline anew; commit it by itself, with the reason
        #[arg(long)]
        raise: bool,
    },
    /// Run the servers in turn, print the table, write results.json
    #[cfg(feature = "paired")]
    Run {
        /// Rounds; each gives every server one turn
        #[arg(long, default_value_t = 7)]
        rounds: usize,
        /// Seconds a turn
        #[arg(long, default_value_t = 3)]
        seconds: u64,
        /// A Postgres for the second handler; without it, only the first is measured
        #[arg(long, env)]
        database_url: Option<String>,
    },
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().verb {
        Verb::Check { raise } => check::run(raise),
        #[cfg(feature = "paired")]
        Verb::Run { rounds, seconds, database_url } => paired::run(rounds, seconds, database_url.as_deref()),
    }
}
