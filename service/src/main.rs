//! The program: reads its configuration, then does what the command line says.

use std::{env, io::Write, process::ExitCode};

fn main() -> ExitCode {
    let outcome = match service::config::load(env::args_os()) {
        Ok(invocation) => service::commands::run(&invocation),
        Err(refusal) => return refusal.report(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do when stderr is closed too.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
