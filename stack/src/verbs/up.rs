//! `up`: starts everything, ends with the links, and stops everything when told to.

use std::{
    fs::{self, File},
    process::{ExitCode, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::bail;
use tokio::{
    process::Command,
    time::{Instant, sleep},
};

use crate::{
    config::Settings,
    control::{self, Request},
    handle::{ChatChoice, Options},
    ports::Choice,
    programs::Program,
    stack::{Kept, Stack},
    terminal::{Interruption, complain, say},
};

/// What `up` is asked on the command line.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Throw the data of earlier runs away
    #[arg(long)]
    fresh: bool,
    /// Only what it takes to tell people: no Loki, no Jaeger, no traffic
    #[arg(long)]
    core: bool,
    /// Return when everything is ready; `down` stops it
    #[arg(long)]
    detach: bool,
    #[command(flatten)]
    ports: Choice,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let settings = Settings::from_environment()?;
    if args.detach {
        return detach(&settings).await;
    }
    let begun = Instant::now();
    let mut interruption = Interruption::listen()?;
    let options = Options { chat: ChatChoice::Configured, extras: !args.core, ..Options::default() };
    let kept = Kept { ports: &args.ports, fresh: args.fresh };
    let tell = |line: String| say(&line);
    let stack = tokio::select! {
        stack = Stack::prepare(&settings, &options, Some(kept), &tell) => Arc::new(stack?),
        () = interruption.came() => bail!("interrupted before anything was started"),
    };
    introduce(&stack);
    let ready = |name: &str, took: Duration| {
        say(&format!("  ready  {name:<17}{:>5.1} s", took.as_secs_f64()));
    };
    tokio::select! {
        started = stack.start(&ready) => started?,
        () = interruption.came() => return stop(&stack).await,
    }
    let control = control::Server::start(&stack)?;
    show_links(&stack, begun.elapsed());
    loop {
        tokio::select! {
            notice = stack.supervisor.notice() => complain(&notice),
            () = interruption.came() => break,
            () = stack.stop_wanted.notified() => break,
        }
    }
    drop(control);
    stop(&stack).await
}

async fn stop(stack: &Stack) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    stack.stop().await?;
    say(&format!(
        "Stopped in {:.1} s. Data is kept in {}; `up --fresh` throws it away.",
        begun.elapsed().as_secs_f64(),
        stack.folder.path().display()
    ));
    Ok(ExitCode::SUCCESS)
}

fn introduce(stack: &Stack) {
    let programs = &stack.programs;
    let core = [
        (Program::Postgres, &programs.postgres),
        (Program::Prometheus, &programs.prometheus),
        (Program::Alertmanager, &programs.alertmanager),
    ];
    let extras = stack.extras.found.iter().map(|(_, program, found)| (*program, found));
    for (program, found) in core.into_iter().chain(extras) {
        say(&format!("  found  {}", found.describe(program)));
    }
    for missed in &stack.extras.missed {
        say(&format!("  {missed}"));
    }
}

fn show_links(stack: &Stack, took: Duration) {
    let links = &stack.endpoints;
    say(&format!("\nReady after {:.1} s.\n", took.as_secs_f64()));
    say(&format!("  Service        {}", links.service));
    say(&format!("  Inbox          {}", links.relay));
    if !links.chat.is_empty() {
        say(&format!("  Chat (played)  {}", links.chat));
    }
    say(&format!("  Prometheus     {}", links.prometheus));
    say(&format!("  Alertmanager   {}", links.alertmanager));
    if !links.jaeger.is_empty() {
        say(&format!("  Jaeger         {}", links.jaeger));
    }
    if !stack.escalates {
        say("\nThe bypass reaches nobody: set ESCALATION_URL to hear of alerts that the relay could not deliver.");
    }
    say("\nCtrl-C stops it.");
}

/// Starts this program again in the background, and waits until it answers.
async fn detach(settings: &Settings) -> anyhow::Result<ExitCode> {
    let folder = settings.state();
    fs::create_dir_all(&folder)?;
    // Not beside the other logs, which `--fresh` throws away.
    let log = folder.join("runner.log");
    let output = File::create(&log)?;
    let mut runner = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1).filter(|argument| argument != "--detach"))
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        // Ctrl-C in this terminal is no longer its business.
        .process_group(0)
        .spawn()?;
    let code = loop {
        if let Some(status) = runner.try_wait()? {
            complain(&format!("the runner ended with {status}"));
            break ExitCode::FAILURE;
        }
        if control::ask(&folder, &Request::Endpoints).await.is_ok() {
            break ExitCode::SUCCESS;
        }
        sleep(Duration::from_millis(50)).await;
    };
    let said = fs::read_to_string(&log)?;
    say(&said.replace("Ctrl-C stops it.", "`stack down` stops it."));
    Ok(code)
}
