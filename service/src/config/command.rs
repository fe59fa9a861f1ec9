//! What the program can be asked to do.

use crate::faults::{How, Kind};

/// What the program is asked to do.
#[derive(clap::Subcommand, Clone, Debug)]
pub enum Command {
    /// Serves orders (the default).
    Serve,
    /// Brings the schema up to date and exits.
    Migrate,
    /// Prints the settings that hold, with secrets masked.
    Config {
        /// Prints a commented file with the defaults instead.
        #[arg(long)]
        template: bool,
    },
    /// Checks the settings and the database without starting; exits 1 if a start would not succeed.
    Check {
        /// Leaves out the database.
        #[arg(long)]
        offline: bool,
    },
    /// Plays a payments provider, to try things with.
    PaymentsStub,
    /// Asks the service that runs here whether it is ready; exits 1 if not.
    Health,
    /// Shows or changes a setting of the service that runs here, until its next start.
    Admin {
        /// Which one.
        #[command(subcommand)]
        setting: RunTimeSetting,
    },
}

/// What can be changed while the service runs.
#[derive(clap::Subcommand, Clone, Debug)]
pub enum RunTimeSetting {
    /// Which lines are written, as in `RUST_LOG`.
    LogLevel {
        /// For example `debug`, or `info,sqlx=debug`. Left out: shows what holds.
        directives: Option<String>,
    },
    /// Breaks something on purpose, where `FAULTS=on`. Without a name: shows what is broken.
    Fault {
        /// What.
        kind: Option<Kind>,
        /// Ends it; without a name, all.
        #[arg(long)]
        end: bool,
        /// How.
        #[command(flatten)]
        how: How,
    },
    /// How `service payments-stub` behaves.
    Payments {
        /// JSON: `latency_ms`, `error_rate` (0 to 1), `hang_every` (1: always), `reset`, `decline`. Left out: shows what holds.
        behaviour: Option<String>,
    },
    /// Share of new traces that is kept.
    Sampling {
        /// 0 to 1. Left out: shows what holds.
        ratio: Option<String>,
    },
}
