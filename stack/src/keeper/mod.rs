//! Keeps one component's process: starts it, reaps it, starts it again after a crash, and does to it what a drill orders.

mod life;

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{anyhow, bail};
use chrono::{DateTime, Utc};
use tokio::{
    sync::{
        mpsc::{self, UnboundedSender},
        oneshot, watch,
    },
    time::{Instant, sleep},
};

use crate::{
    component::Component,
    handle::Condition,
    ledger::Ledger,
    logs,
    process::Process,
    task::{self, Task},
};
use life::Life;

const ASK_EVERY: Duration = Duration::from_millis(20);
const LAST_LINES: usize = 12;

/// What can be done to a component.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    Start,
    Stop,
    Kill,
    Freeze,
    Thaw,
}

/// What is known of its process.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) condition: Condition,
    pub(crate) since: DateTime<Utc>,
    pub(crate) process: Option<Process>,
    pub(crate) restarts: u32,
    /// How it ended last.
    pub(crate) ended: Option<String>,
}

type Request = (Order, oneshot::Sender<anyhow::Result<()>>);

/// The one who may touch the process.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) component: Arc<Component>,
    pub(crate) log: PathBuf,
    requests: mpsc::Sender<Request>,
    view: watch::Receiver<View>,
    _task: Task,
}

impl Keeper {
    pub(crate) fn new(
        component: Component,
        log: PathBuf,
        ledger: Arc<Ledger>,
        notices: UnboundedSender<String>,
    ) -> Self {
        let component = Arc::new(component);
        let (requests, inbox) = mpsc::channel(4);
        let (publish, view) = watch::channel(View {
            condition: Condition::Down,
            since: Utc::now(),
            process: None,
            restarts: 0,
            ended: None,
        });
        let life = Life::new(Arc::clone(&component), log.clone(), ledger, publish, notices);
        let task = task::spawn(life.run(inbox));
        Self { component, log, requests, view, _task: task }
    }

    pub(crate) fn view(&self) -> View {
        self.view.borrow().clone()
    }

    pub(crate) async fn order(&self, order: Order) -> anyhow::Result<()> {
        let (reply, answer) = oneshot::channel();
        let gone = || anyhow!("the keeper of {} has ended", self.component.name);
        self.requests.send((order, reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Starts it and waits until it can work.
    pub(crate) async fn start(&self) -> anyhow::Result<()> {
        if let Some(cluster) = &self.component.cluster {
            cluster.prepare().await?;
        }
        let log_start = logs::length(&self.log);
        self.order(Order::Start).await?;
        let deadline = Instant::now() + self.component.patience;
        loop {
            let Err(trouble) = self.component.ready.ask(Duration::from_secs(1)).await else {
                return Ok(());
            };
            if self.view().condition != Condition::Running {
                bail!("{}{}", self.obituary(), self.last_lines(log_start));
            }
            if Instant::now() > deadline {
                bail!(
                    "{} is not ready after {} s: {trouble}{}",
                    self.component.name,
                    self.component.patience.as_secs(),
                    self.last_lines(log_start)
                );
            }
            sleep(ASK_EVERY).await;
        }
    }

    fn obituary(&self) -> String {
        let ended = self.view().ended.unwrap_or_else(|| "is not running".to_owned());
        format!("{} {ended}", self.component.name)
    }

    /// What it said since `start`.
    fn last_lines(&self, start: u64) -> String {
        let lines = logs::tail(&self.log, start, LAST_LINES);
        format!("; the end of {}:\n    {}", self.log.display(), lines.join("\n    "))
    }
}
