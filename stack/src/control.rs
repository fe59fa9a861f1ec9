//! How others reach a runner: one request and one answer, each a line of JSON, over a socket in the stack's folder.

use std::{
    fs::{self, File},
    io,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    time::{sleep, timeout},
};

use crate::{
    handle::{ComponentStatus, Endpoints},
    keeper::Order,
    ledger,
    stack::Stack,
    task::{self, Task},
};

const SOCKET: &str = "control.sock";
/// Longer than the slowest component takes to start.
const PATIENCE: Duration = Duration::from_secs(90);

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Request {
    Endpoints,
    Status,
    Start {
        component: String,
    },
    Kill {
        component: String,
    },
    Freeze {
        component: String,
    },
    Thaw {
        component: String,
    },
    Deploy {
        version: String,
    },
    /// Answered at once; the stack has stopped when its runner has ended.
    Stop,
}

impl Request {
    pub(crate) fn order(component: String, order: Order) -> anyhow::Result<Self> {
        Ok(match order {
            Order::Start => Self::Start { component },
            Order::Kill => Self::Kill { component },
            Order::Freeze => Self::Freeze { component },
            Order::Thaw => Self::Thaw { component },
            Order::Stop => bail!("{component} cannot be stopped alone: kill it"),
        })
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Done,
    Endpoints(Box<Endpoints>),
    Status(Vec<ComponentStatus>),
    Failed(String),
}

/// Answers requests for `stack` until this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    path: PathBuf,
    _task: Task,
}

impl Server {
    pub(crate) fn start(stack: &Arc<Stack>) -> anyhow::Result<Self> {
        let folder = stack.folder.path();
        let path = folder.join(SOCKET);
        // Left by a killed runner; the folder's lock says that none lives.
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(through(&File::open(folder)?))?;
        let task = task::spawn(serve(listener, Arc::clone(stack)));
        Ok(Self { path, _task: task })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

async fn serve(listener: UnixListener, stack: Arc<Stack>) {
    let mut conversations: Vec<Task> = Vec::new();
    while let Ok((stream, _)) = listener.accept().await {
        let stack = Arc::clone(&stack);
        conversations.push(task::spawn(async move {
            // Whoever asked has gone when this fails.
            let _ = converse(stream, &stack).await;
        }));
        conversations.retain(|conversation| !conversation.is_finished());
    }
}

async fn converse(stream: UnixStream, stack: &Stack) -> anyhow::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let answer = match serde_json::from_str(&line) {
        Ok(request) => answer(request, stack).await,
        Err(error) => Answer::Failed(error.to_string()),
    };
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    stream.write_all(&text).await?;
    Ok(())
}

async fn answer(request: Request, stack: &Stack) -> Answer {
    let done = |outcome: anyhow::Result<()>| match outcome {
        Ok(()) => Answer::Done,
        Err(error) => Answer::Failed(format!("{error:#}")),
    };
    let (component, order) = match request {
        Request::Endpoints => return Answer::Endpoints(Box::new(stack.endpoints.clone())),
        Request::Status => return Answer::Status(stack.supervisor.status().await),
        Request::Stop => {
            stack.stop_wanted.notify_one();
            return Answer::Done;
        }
        Request::Deploy { version } => return done(stack.deploy(&version).await),
        Request::Start { component } => (component, Order::Start),
        Request::Kill { component } => (component, Order::Kill),
        Request::Freeze { component } => (component, Order::Freeze),
        Request::Thaw { component } => (component, Order::Thaw),
    };
    done(stack.supervisor.order(&component, order).await)
}

/// The other side: asks the runner of the stack in `folder`.
pub(crate) async fn ask(folder: &Path, request: &Request) -> anyhow::Result<Answer> {
    let Ok(stream) = connect(folder).await else {
        bail!("no stack is up in {}: `make up` starts one", folder.display());
    };
    let mut stream = BufReader::new(stream);
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    stream.write_all(&text).await?;
    let mut line = String::new();
    timeout(PATIENCE, stream.read_line(&mut line)).await.context("the runner does not answer")??;
    match serde_json::from_str(&line).context("the runner went away")? {
        Answer::Failed(problem) => Err(anyhow!(problem)),
        answer => Ok(answer),
    }
}

/// Stops the stack in `folder` and waits until its runner has ended; false when there is none.
pub(crate) async fn stop(folder: &Path) -> anyhow::Result<bool> {
    let Some(runner) = ledger::runner(folder) else {
        return Ok(false);
    };
    ask(folder, &Request::Stop).await?;
    let ended = async {
        while runner.is_alive() && ledger::runner(folder).is_some() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    if timeout(PATIENCE, ended).await.is_err() {
        bail!("the runner (process {}) does not end: `kill -9 {0}`, then `stack down` again", runner.pid);
    }
    Ok(true)
}

async fn connect(folder: &Path) -> io::Result<UnixStream> {
    let directory = File::open(folder)?;
    UnixStream::connect(through(&directory)).await
}

/// A socket's path may hold some hundred bytes, a folder's more: the folder is named by an open file of this process.
fn through(folder: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()))
}
