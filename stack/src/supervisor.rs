//! All components together: started in the order of their needs, watched, stopped in the opposite order.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, anyhow};
use chrono::{DateTime, Utc};
use futures_util::future::{join_all, try_join_all};
use tokio::{
    sync::{
        mpsc::{self, UnboundedReceiver},
        watch,
    },
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{
    component::Component,
    folder::Folder,
    handle::{ComponentStatus, Condition},
    keeper::{Keeper, Order},
    ledger::Ledger,
    logs,
    task::{self, Task},
};

const LOOK_EVERY: Duration = Duration::from_secs(2);
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Called with a component's name and how long it took, when it is ready.
pub(crate) type Progress<'a> = &'a (dyn Fn(&str, Duration) + Sync);

/// The running components.
#[derive(Debug)]
pub(crate) struct Supervisor {
    parts: Arc<Vec<Part>>,
    notices: tokio::sync::Mutex<UnboundedReceiver<String>>,
    _watch: Task,
}

#[derive(Debug)]
struct Part {
    keeper: Keeper,
    health: Mutex<Health>,
}

/// What the probes have said, and since when.
#[derive(Clone, Debug)]
struct Health {
    trouble: Option<String>,
    since: DateTime<Utc>,
}

impl Supervisor {
    /// Nothing runs yet.
    pub(crate) fn new(components: Vec<Component>, folder: &Folder) -> anyhow::Result<Self> {
        let ledger = Arc::new(Ledger::open(folder.path())?);
        let (tell, notices) = mpsc::unbounded_channel();
        let mut parts = Vec::new();
        for component in components {
            let log = folder.log(component.name)?;
            let keeper = Keeper::new(component, log, Arc::clone(&ledger), tell.clone());
            let health = Health { trouble: Some("it has not started".to_owned()), since: Utc::now() };
            parts.push(Part { keeper, health: Mutex::new(health) });
        }
        let parts = Arc::new(parts);
        let watch = task::spawn(keep_looking(Arc::clone(&parts)));
        Ok(Self { parts, notices: tokio::sync::Mutex::new(notices), _watch: watch })
    }

    /// Starts everything, each part as soon as what it needs is ready.
    pub(crate) async fn start_all(&self, progress: Progress<'_>) -> anyhow::Result<()> {
        let (ready, _) = watch::channel(BTreeSet::new());
        try_join_all(self.parts.iter().map(|part| async {
            let component = &part.keeper.component;
            let is_met = |names: &BTreeSet<&str>, need: &&str| names.contains(need) || self.part(need).is_err();
            ready.subscribe().wait_for(|names| component.needs.iter().all(|need| is_met(names, need))).await?;
            let begun = Instant::now();
            part.keeper.start().await?;
            part.look().await;
            progress(component.name, begun.elapsed());
            ready.send_modify(|names| {
                names.insert(component.name);
            });
            anyhow::Ok(())
        }))
        .await?;
        Ok(())
    }

    /// Stops everything; what needs something goes before it.
    pub(crate) async fn stop_all(&self) -> anyhow::Result<()> {
        let mut left: Vec<&Part> = self.parts.iter().collect();
        let mut result = Ok(());
        while !left.is_empty() {
            let needed: BTreeSet<&str> = left.iter().flat_map(|part| part.keeper.component.needs).copied().collect();
            let (later, now): (Vec<_>, Vec<_>) =
                left.iter().copied().partition(|part| needed.contains(part.keeper.component.name));
            for stopped in join_all(now.iter().map(|part| part.keeper.order(Order::Stop))).await {
                result = result.and(stopped);
            }
            left = later;
        }
        result
    }

    pub(crate) async fn order(&self, name: &str, order: Order) -> anyhow::Result<()> {
        let part = self.part(name)?;
        match order {
            Order::Start => part.keeper.start().await,
            _ => part.keeper.order(order).await,
        }
    }

    /// The next crash, in a sentence.
    pub(crate) async fn notice(&self) -> String {
        match self.notices.lock().await.recv().await {
            Some(notice) => notice,
            None => std::future::pending().await,
        }
    }

    /// Every component as it is now.
    pub(crate) async fn status(&self) -> Vec<ComponentStatus> {
        join_all(self.parts.iter().map(Part::status)).await
    }

    fn part(&self, name: &str) -> anyhow::Result<&Part> {
        let names = || {
            let names: Vec<_> = self.parts.iter().map(|part| part.keeper.component.name).collect();
            names.join(", ")
        };
        self.parts
            .iter()
            .find(|part| part.keeper.component.name == name)
            .ok_or_else(|| anyhow!("there is no component {name}"))
            .with_context(|| format!("the components are {}", names()))
    }
}

impl Part {
    /// Asks the component, and remembers since when the answer has been the same.
    async fn look(&self) -> Health {
        let view = self.keeper.view();
        let trouble = match view.condition {
            Condition::Running => self.keeper.component.ready.ask(ANSWER_WITHIN).await.err(),
            Condition::Frozen => Some("it is frozen".to_owned()),
            Condition::Restarting | Condition::Down => {
                Some(view.ended.unwrap_or_else(|| "it is not running".to_owned()))
            }
        };
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if health.trouble.is_some() != trouble.is_some() {
            let is_running = view.condition == Condition::Running;
            health.since = if is_running { Utc::now() } else { view.since };
        }
        health.trouble = trouble;
        health.clone()
    }

    async fn status(&self) -> ComponentStatus {
        let health = self.look().await;
        let view = self.keeper.view();
        let healthy = health.trouble.is_none();
        ComponentStatus {
            name: self.keeper.component.name.to_owned(),
            condition: view.condition,
            healthy,
            since: health.since,
            pid: view.process.map(|process| process.pid),
            restarts: view.restarts,
            trouble: health.trouble,
            last_error: if healthy { None } else { logs::last_error(&self.keeper.log) },
            log: self.keeper.log.display().to_string(),
            advice: self.keeper.component.advice(),
        }
    }
}

async fn keep_looking(parts: Arc<Vec<Part>>) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        join_all(parts.iter().map(Part::look)).await;
    }
}
