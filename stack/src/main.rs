//! The runner of the native stack: `up`, `down`, `doctor`, `drill`, `with-postgres`.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    stack::cli::run().await
}
