//! `with-postgres`: a command with a database server of its own, gone when the command ends.

use std::{
    ffi::OsString,
    os::unix::process::ExitStatusExt,
    process::{ExitCode, ExitStatus},
};

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use tokio::process::Command;

use crate::{
    component::{Cluster, postgres},
    config::{Settings, cargo_variables},
    folder::Folder,
    identity::Identity,
    ports::{Ports, Role},
    process::Process,
    programs::{self, Program},
    stack,
    supervisor::Supervisor,
    terminal::{Interruption, complain},
};

/// What `with-postgres` is asked on the command line.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// What it commits reaches the disk, for measurements; otherwise it is only fast
    #[arg(long)]
    durable: bool,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let settings = Settings::from_environment()?;
    // The command's own output is what the caller wants to read.
    let tell = |line: String| complain(&line);
    stack::clean_up(&settings, false, &tell).await?;
    let found = programs::find(&settings, Program::Postgres, &tell).await?;
    let folder = Folder::temporary()?;
    let ports = Ports::free(&[Role::Postgres])?;
    let database = postgres(&found, Identity::unprivileged().await?, &folder, &ports, args.durable, None)?;
    let url = database.cluster.as_ref().map(|cluster: &Cluster| cluster.url(&ports)).unwrap_or_default();
    let supervisor = Supervisor::new(vec![database], &folder)?;
    let status = serve(&supervisor, &args.command, &url).await;
    supervisor.stop_all().await?;
    Ok(code(status?))
}

/// Starts the server, then the command, and waits for the command, which hears of an interruption too.
async fn serve(supervisor: &Supervisor, command: &[OsString], url: &str) -> anyhow::Result<ExitStatus> {
    let mut interruption = Interruption::listen()?;
    tokio::select! {
        started = supervisor.start_all(&|_, _| ()) => started?,
        () = interruption.came() => bail!("interrupted before the command was started"),
    }
    let (program, arguments) = command.split_first().context("there is no command")?;
    let mut command = Command::new(program);
    command.args(arguments).env("DATABASE_URL", url);
    for variable in cargo_variables() {
        command.env_remove(variable);
    }
    let mut child = command.spawn().with_context(|| format!("{} cannot be started", program.display()))?;
    let process = child.id().and_then(Process::find);
    loop {
        tokio::select! {
            status = child.wait() => return Ok(status?),
            () = interruption.came() => {
                // Ctrl-C reached it already; another signal was meant for both.
                process.inspect(|process| process.send(Signal::SIGTERM));
            }
        }
    }
}

/// As a shell tells it.
fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| Some(128 + status.signal()?));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
