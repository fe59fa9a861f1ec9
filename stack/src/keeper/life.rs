//! The life of one component's process, which nobody else touches.

use std::{
    io,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use chrono::Utc;
use nix::sys::signal::Signal;
use tokio::{
    process::Child,
    sync::{
        mpsc::{self, UnboundedSender},
        watch,
    },
    time::{Instant, sleep_until, timeout},
};

use super::{Order, Request, View};
use crate::{
    component::Component,
    handle::Condition,
    ledger::Ledger,
    logs,
    process::{Process, wait_gone},
};

const RESTART_AFTER: Duration = Duration::from_secs(1);
/// Longer than a component may take to end its work.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

pub(super) struct Life {
    component: Arc<Component>,
    log: PathBuf,
    ledger: Arc<Ledger>,
    view: watch::Sender<View>,
    /// Crashes, for the person who watches.
    notices: UnboundedSender<String>,
    child: Option<Child>,
    restart_at: Option<Instant>,
}

impl Life {
    pub(super) fn new(
        component: Arc<Component>,
        log: PathBuf,
        ledger: Arc<Ledger>,
        view: watch::Sender<View>,
        notices: UnboundedSender<String>,
    ) -> Self {
        Self { component, log, ledger, view, notices, child: None, restart_at: None }
    }

    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        loop {
            tokio::select! {
                request = inbox.recv() => {
                    let Some((order, reply)) = request else { return };
                    let result = self.obey(order).await;
                    // Whoever asked may have given up waiting.
                    let _ = reply.send(result);
                }
                status = wait(self.child.as_mut()) => self.crashed(status),
                () = until(self.restart_at) => {
                    self.restart_at = None;
                    self.view.send_modify(|view| view.restarts = view.restarts.saturating_add(1));
                    if let Err(error) = self.spawn() {
                        self.publish(Condition::Down, None, Some(format!("{error:#}")));
                    }
                }
            }
        }
    }

    async fn obey(&mut self, order: Order) -> anyhow::Result<()> {
        self.restart_at = None;
        let mut process = self.view.borrow().process;
        if process.is_some_and(|process| !process.is_alive()) {
            // It crashed a moment ago, and an order is stronger than a restart.
            let _ = wait(self.child.as_mut()).await;
            self.gone(Condition::Down, "crashed".to_owned());
            process = None;
        }
        match (order, process) {
            (Order::Start | Order::Thaw, Some(process)) => {
                process.thaw();
                self.publish(Condition::Running, Some(process), None);
            }
            (Order::Start, None) => self.spawn()?,
            (Order::Stop, Some(process)) => self.stop(process).await?,
            (Order::Kill, Some(process)) => self.end(process, "was killed").await?,
            (Order::Freeze, Some(process)) => {
                process.freeze();
                self.publish(Condition::Frozen, Some(process), None);
            }
            (Order::Stop | Order::Kill, None) => self.publish(Condition::Down, None, None),
            (Order::Freeze | Order::Thaw, None) => bail!("{} is not running", self.component.name),
        }
        Ok(())
    }

    fn spawn(&mut self) -> anyhow::Result<()> {
        let component = &self.component;
        let output = logs::open(&self.log)?;
        let child = component
            .launch
            .command()
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // Its own group: Ctrl-C in the terminal is for the runner, who stops the parts in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| {
                format!("{} cannot be started ({})", component.name, component.launch.program.display())
            })?;
        let process = child.id().and_then(Process::find);
        self.child = Some(child);
        if let Some(process) = process {
            self.ledger.add(component.name, process, component.stop)?;
        }
        self.publish(Condition::Running, process, None);
        Ok(())
    }

    async fn stop(&mut self, process: Process) -> anyhow::Result<()> {
        let tree = process.tree();
        process.thaw();
        process.send(self.component.stop);
        let in_time = timeout(STOP_PATIENCE, wait(self.child.as_mut())).await;
        if in_time.is_err() {
            return self.end(process, "did not stop and was killed").await;
        }
        for left in tree.iter().filter(|process| process.is_alive()) {
            left.send(Signal::SIGKILL);
        }
        wait_gone(&tree, STOP_PATIENCE).await;
        self.gone(Condition::Down, "was stopped".to_owned());
        Ok(())
    }

    async fn end(&mut self, process: Process, how: &str) -> anyhow::Result<()> {
        let tree = process.kill();
        // Reaped first: the next Postgres would take a zombie for a running one.
        let _ = wait(self.child.as_mut()).await;
        self.gone(Condition::Down, how.to_owned());
        if !wait_gone(&tree, STOP_PATIENCE).await {
            bail!("{}: a process does not die", self.component.name);
        }
        Ok(())
    }

    fn crashed(&mut self, status: io::Result<ExitStatus>) {
        let how = status.map_or_else(|error| error.to_string(), |status| format!("ended with {status}"));
        let then =
            if self.component.restarts { "is started again" } else { "stays down: `make doctor` says what to do" };
        // Without a listener there is nobody to tell.
        let _ = self.notices.send(format!("{} {how}, and {then}", self.component.name));
        if self.component.restarts {
            self.restart_at = Some(Instant::now() + RESTART_AFTER);
            self.gone(Condition::Restarting, how);
        } else {
            self.gone(Condition::Down, how);
        }
    }

    fn gone(&mut self, condition: Condition, how: String) {
        self.child = None;
        // A stale line in the ledger is recognised by its start time.
        let _ = self.ledger.remove(self.component.name);
        self.publish(condition, None, Some(how));
    }

    fn publish(&self, condition: Condition, process: Option<Process>, ended: Option<String>) {
        self.view.send_modify(|view| {
            view.condition = condition;
            view.since = Utc::now();
            view.process = process;
            view.ended = ended.or(view.ended.take());
        });
    }
}

async fn wait(child: Option<&mut Child>) -> io::Result<ExitStatus> {
    match child {
        Some(child) => child.wait().await,
        None => std::future::pending().await,
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
