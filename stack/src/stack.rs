//! A stack of this runner: its folder, its ports, its components and, unless a real one is configured, its chat.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
use tokio::sync::{Mutex, Notify};

use crate::{
    binaries, chat,
    chat::Chat,
    config::Settings,
    extras::Extras,
    folder::{self, Folder},
    handle::{Endpoints, Options},
    keeper::Order,
    ledger,
    plan::{Plan, Programs, Site},
    ports::{Choice, Ports, Role},
    supervisor::{Progress, Supervisor},
};

/// A stack that is being started, or runs.
#[derive(Debug)]
pub(crate) struct Stack {
    // Dropped in this order: processes end before their folder goes.
    pub(crate) supervisor: Supervisor,
    chat: Mutex<Option<Chat>>,
    pub(crate) endpoints: Endpoints,
    pub(crate) escalates: bool,
    pub(crate) programs: Programs,
    pub(crate) extras: Extras,
    /// Told when somebody else asks it to stop.
    pub(crate) stop_wanted: Notify,
    pub(crate) folder: Folder,
    _ports: Ports,
}

/// How `up` differs from a stack of a test.
#[derive(Debug)]
pub(crate) struct Kept<'a> {
    pub(crate) ports: &'a Choice,
    /// Throw the old data away.
    pub(crate) fresh: bool,
}

impl Stack {
    /// Builds and prepares everything; nothing runs but chat.
    pub(crate) async fn prepare(
        settings: &Settings,
        options: &Options,
        kept: Option<Kept<'_>>,
        say: &(dyn Fn(String) + Sync),
    ) -> anyhow::Result<Self> {
        clean_up(settings, kept.is_some(), say).await?;
        let folder = match (&kept, &options.folder) {
            (Some(_), _) => Folder::kept(&settings.state())?,
            (None, Some(path)) => Folder::kept(path)?,
            (None, None) => Folder::temporary()?,
        };
        if kept.as_ref().is_some_and(|kept| kept.fresh) {
            folder.clear()?;
        }
        let extras = if options.extras { Extras::find(settings).await } else { Extras::default() };
        let roles: Vec<_> = Role::ALL.into_iter().filter(|role| role.is_core() || extras.has(role.host())).collect();
        let ports = match &kept {
            Some(kept) => Ports::chosen(kept.ports, &roles)?,
            None => Ports::free(&roles)?,
        };
        let build = async {
            if options.build && options.binaries.is_none() {
                binaries::build(settings).await?;
            }
            anyhow::Ok(())
        };
        let (programs, ()) = tokio::try_join!(Programs::find(settings, say), build)?;
        let site = Site { settings, options, folder: &folder, ports: &ports, programs: &programs, extras: &extras };
        let Plan { components, endpoints, plays_chat, escalates } = site.plan().await?;
        let chat = if plays_chat {
            let address: SocketAddr = ports.local(Role::Chat).parse()?;
            Some(chat::start(address).await?)
        } else {
            None
        };
        Ok(Self {
            supervisor: Supervisor::new(components, &folder)?,
            chat: Mutex::new(chat),
            endpoints,
            escalates,
            programs,
            extras,
            stop_wanted: Notify::new(),
            folder,
            _ports: ports,
        })
    }

    /// Starts the components; when one fails, stops the others.
    pub(crate) async fn start(&self, progress: Progress<'_>) -> anyhow::Result<()> {
        let Err(error) = self.supervisor.start_all(progress).await else {
            return Ok(());
        };
        self.stop().await.context("the stack did not start, and does not stop either")?;
        Err(error)
    }

    /// Starts the service anew as another version, as a deployment does; an empty one is what was built.
    pub(crate) async fn deploy(&self, version: &str) -> anyhow::Result<()> {
        self.folder.write_deployment(version, &binaries::revision().await)?;
        self.supervisor.order("service", Order::Stop).await?;
        self.supervisor.order("service", Order::Start).await
    }

    /// Stops the components, then chat: what the relay still has to say is heard.
    pub(crate) async fn stop(&self) -> anyhow::Result<()> {
        let stopped = self.supervisor.stop_all().await;
        if let Some(chat) = self.chat.lock().await.take() {
            // An open browser keeps its connection: it is not waited for.
            let _ = tokio::time::timeout(Duration::from_secs(2), chat.stop()).await;
        }
        stopped
    }
}

/// Ends what killed runners left behind, and says so; false when there was nothing.
pub(crate) async fn clean_up(settings: &Settings, kept: bool, say: &(dyn Fn(String) + Sync)) -> anyhow::Result<bool> {
    let mut left = folder::sweep().await?;
    if kept {
        left.extend(ledger::clean_up(&settings.state()).await);
    }
    if !left.is_empty() {
        say(format!("A runner was killed and left these behind, which are stopped now: {}", left.join(", ")));
    }
    Ok(!left.is_empty())
}
