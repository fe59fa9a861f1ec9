//! The stack as an injury may touch it: its processes, its database, the service's faults.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

use super::observer::{Observer, Readiness};
use crate::{Handle, load::Valve};

/// A stack, and what an injury holds of it until the repair.
#[derive(Debug)]
pub(in crate::drills) struct Scene {
    stack: Handle,
    held: Mutex<JoinSet<()>>,
    traffic: Valve,
}

impl Scene {
    pub(in crate::drills) fn new(stack: Handle) -> Self {
        Self { stack, held: Mutex::default(), traffic: Valve::default() }
    }

    pub(in crate::drills) fn stack(&self) -> &Handle {
        &self.stack
    }

    pub(in crate::drills) fn into_stack(self) -> Handle {
        self.stack
    }

    /// The drill's own requests.
    pub(in crate::drills) fn traffic(&self) -> &Valve {
        &self.traffic
    }

    /// When the service's process started, as it says itself.
    pub(in crate::drills) async fn started(&self) -> Option<f64> {
        Observer::new(self.stack.endpoints()).ok()?.started().await
    }

    /// Waits until the service is another process than the one that started at `before`, and ready.
    pub(in crate::drills) async fn until_started_after(
        &self,
        before: Option<f64>,
        deadline: Instant,
    ) -> anyhow::Result<()> {
        let observer = Observer::new(self.stack.endpoints())?;
        loop {
            let started = observer.started().await;
            if started.is_some() && started != before && observer.ready().await == Readiness::Green {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < deadline, "the service was not started again");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What Prometheus answers to `query`, the first value.
    pub(in crate::drills) async fn query(&self, query: &str) -> anyhow::Result<Option<f64>> {
        Observer::new(self.stack.endpoints())?.query(query).await
    }

    /// Waits until Prometheus answers `query` with `value`.
    pub(in crate::drills) async fn until_query(
        &self,
        query: &str,
        value: f64,
        deadline: Instant,
    ) -> anyhow::Result<()> {
        let observer = Observer::new(self.stack.endpoints())?;
        loop {
            let found = observer.query(query).await.ok().flatten();
            if found == Some(value) {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < deadline, "{query} is {found:?}, and not {value}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A session of the database's administrator.
    pub(in crate::drills) async fn session(&self) -> anyhow::Result<PgConnection> {
        let url = &self.stack.endpoints().database_url;
        PgConnection::connect(url).await.context("the administrator cannot log in")
    }

    /// Runs `statements` one by one, each as a transaction of its own, as the administrator.
    pub(in crate::drills) async fn sql(&self, statements: &[&'static str]) -> anyhow::Result<()> {
        let mut session = self.session().await?;
        for statement in statements {
            sqlx::raw_sql(*statement).execute(&mut session).await.context(*statement)?;
        }
        session.close().await?;
        Ok(())
    }

    /// Goes on with `work` until [`Scene::release`].
    pub(in crate::drills) fn hold(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).spawn(work);
    }

    /// Ends everything that is held.
    pub(in crate::drills) async fn release(&self) {
        let mut held = std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner));
        held.shutdown().await;
    }
}
