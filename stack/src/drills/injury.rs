//! The ways to break something that more than one drill uses.

use futures_util::future::BoxFuture;

use super::runner::{Injury, Scene};

/// A signal to all processes of a component.
#[derive(Clone, Copy, Debug)]
pub(super) enum Process {
    /// SIGKILL; it stays down until the repair.
    Killed(&'static str),
    /// SIGSTOP: it keeps its connections and answers nothing.
    Frozen(&'static str),
}

impl Injury for Process {
    fn inflict<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<String>> {
        Box::pin(async move {
            match self {
                Self::Killed(component) => {
                    scene.stack().kill(component).await?;
                    Ok(format!("{component} killed (SIGKILL to all of its processes)"))
                }
                Self::Frozen(component) => {
                    scene.stack().freeze(component).await?;
                    Ok(format!("{component} frozen (SIGSTOP to all of its processes)"))
                }
            }
        })
    }

    fn remedy(&self) -> String {
        match self {
            Self::Killed(component) => format!("{component} is started"),
            Self::Frozen(component) => format!("{component} is thawed (SIGCONT)"),
        }
    }

    fn repair<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(async move {
            match self {
                Self::Killed(component) => scene.stack().start(component).await,
                Self::Frozen(component) => scene.stack().thaw(component).await,
            }
        })
    }
}

/// Statements of the database's administrator, and those that undo them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statements {
    pub(super) what: &'static str,
    pub(super) inflict: &'static [&'static str],
    pub(super) remedy: &'static str,
    pub(super) repair: &'static [&'static str],
}

impl Injury for Statements {
    fn inflict<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<String>> {
        Box::pin(async move {
            scene.sql(self.inflict).await?;
            Ok(self.what.to_owned())
        })
    }

    fn remedy(&self) -> String {
        self.remedy.to_owned()
    }

    fn repair<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(scene.sql(self.repair))
    }
}

/// A fault of the service itself, as `service admin fault` sets it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Service {
    pub(super) what: &'static str,
    /// Behind `service admin`.
    pub(super) inflict: &'static [&'static str],
    pub(super) repair: &'static [&'static str],
}

impl Injury for Service {
    fn inflict<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<String>> {
        Box::pin(async move {
            scene.stack().service_admin(self.inflict).await?;
            Ok(format!("{} (`service admin {}`)", self.what, self.inflict.join(" ")))
        })
    }

    fn remedy(&self) -> String {
        format!("`service admin {}`", self.repair.join(" "))
    }

    fn repair<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(async move { scene.stack().service_admin(self.repair).await.map(|_| ()) })
    }
}
