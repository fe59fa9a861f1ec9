//! How lines leave the process: each thread appends to a buffer of its own, one writer thread empties
//! them. A request never waits for stdout or a disk; what does not fit is dropped and counted.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing_appender::rolling::{RollingFileAppender, Rotation};

use crate::metrics::DROPPED;
use crate::settings::LogFormat;

/// Bytes of lines that may wait, over all threads. A blocked stdout costs this much memory and no more.
const MAX_WAITING: usize = 8 * 1024 * 1024;
/// A buffer of this size is written at once.
const SWAP_AT: usize = 32 * 1024;
/// The longest a line waits in a buffer.
const INTERVAL: Duration = Duration::from_millis(50);
/// How long ending the process may wait for lines to leave.
const SHUTDOWN: Duration = Duration::from_secs(2);
/// Hourly files kept under `LOG_DIR`.
const FILES_KEPT: usize = 24;

/// Where lines go: the process's writer, or a test's memory.
#[derive(Debug)]
pub(crate) enum Output {
    Process(Arc<Lines>),
    Memory(Arc<Mutex<Vec<u8>>>),
}

impl Output {
    pub(crate) fn wants_json(&self) -> bool {
        match self {
            Self::Process(lines) => lines.json,
            Self::Memory(_) => true,
        }
    }

    pub(crate) fn wants_text(&self) -> bool {
        matches!(self, Self::Process(lines) if lines.text)
    }

    pub(crate) fn write_json(&self, line: &[u8], urgent: bool) {
        match self {
            Self::Process(lines) => lines.append(line, urgent, |buffer| &mut buffer.json),
            Self::Memory(memory) => {
                memory.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(line);
            }
        }
    }

    pub(crate) fn write_text(&self, line: &[u8], urgent: bool) {
        if let Self::Process(lines) = self {
            lines.append(line, urgent, |buffer| &mut buffer.text);
        }
    }
}

/// The lines of one thread that the writer has not taken yet.
#[derive(Debug, Default)]
struct Buffer {
    json: Vec<u8>,
    text: Vec<u8>,
}

/// What all threads share with the writer.
#[derive(Debug)]
pub(crate) struct Lines {
    json: bool,
    text: bool,
    buffers: Mutex<Vec<Arc<Mutex<Buffer>>>>,
    waiting: AtomicUsize,
    woken: AtomicBool,
    wake: Sender<Wake>,
}

#[derive(Debug)]
enum Wake {
    Write,
    Stop,
}

impl Lines {
    fn append(&self, line: &[u8], urgent: bool, which: impl FnOnce(&mut Buffer) -> &mut Vec<u8>) {
        thread_local!(static OWN: RefCell<Option<Arc<Mutex<Buffer>>>> = const { RefCell::new(None) });
        if self.waiting.fetch_add(line.len(), Ordering::Relaxed) + line.len() > MAX_WAITING {
            self.waiting.fetch_sub(line.len(), Ordering::Relaxed);
            DROPPED.increment(["lines", "buffer_full"]);
            return;
        }
        let length = OWN.with_borrow_mut(|own| {
            let buffer = own.get_or_insert_with(|| self.register());
            let mut buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner);
            let bytes = which(&mut buffer);
            bytes.extend_from_slice(line);
            bytes.len()
        });
        if (urgent || length >= SWAP_AT) && !self.woken.swap(true, Ordering::AcqRel) {
            let _ = self.wake.send(Wake::Write);
        }
    }

    fn register(&self) -> Arc<Mutex<Buffer>> {
        let buffer = Arc::new(Mutex::new(Buffer::default()));
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&buffer));
        buffer
    }

    /// Takes what all threads have, and forgets the buffers of threads that have ended.
    fn take(&self, json: &mut Vec<u8>, text: &mut Vec<u8>) {
        self.woken.store(false, Ordering::Release);
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        buffers.retain(|buffer| {
            let alive = Arc::strong_count(buffer) > 1;
            let mut buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner);
            json.append(&mut buffer.json);
            text.append(&mut buffer.text);
            alive
        });
    }
}

/// The writer thread. Dropping it writes what is left, for two seconds at most.
#[derive(Debug)]
pub(crate) struct Writer {
    lines: Arc<Lines>,
    done: Receiver<()>,
}

impl Writer {
    /// Opens the log file, if any, and starts the thread.
    pub(crate) fn start(format: LogFormat, directory: Option<&Path>, service: &str) -> io::Result<Self> {
        let file = directory.map(|directory| open(directory, service)).transpose()?;
        let (wake, woken) = mpsc::channel();
        let (finished, done) = mpsc::channel();
        let lines = Arc::new(Lines {
            json: format == LogFormat::Json || file.is_some(),
            text: format == LogFormat::Text,
            buffers: Mutex::default(),
            waiting: AtomicUsize::new(0),
            woken: AtomicBool::new(false),
            wake,
        });
        let shared = Arc::clone(&lines);
        std::thread::Builder::new().name("log-writer".into()).spawn(move || {
            run(&shared, file, &woken);
            let _ = finished.send(());
        })?;
        Ok(Self { lines, done })
    }

    pub(crate) fn lines(&self) -> Arc<Lines> {
        Arc::clone(&self.lines)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.lines.wake.send(Wake::Stop);
        let _ = self.done.recv_timeout(SHUTDOWN);
    }
}

fn open(directory: &Path, service: &str) -> io::Result<RollingFileAppender> {
    std::fs::create_dir_all(directory)?;
    RollingFileAppender::builder()
        .rotation(Rotation::HOURLY)
        .filename_prefix(service)
        .filename_suffix("jsonl")
        .max_log_files(FILES_KEPT)
        .build(directory)
        .map_err(io::Error::other)
}

fn run(lines: &Lines, mut file: Option<RollingFileAppender>, woken: &Receiver<Wake>) {
    let (mut json, mut text) = (Vec::new(), Vec::new());
    loop {
        let stop = match woken.recv_timeout(INTERVAL) {
            Ok(Wake::Write) | Err(RecvTimeoutError::Timeout) => false,
            Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => true,
        };
        lines.take(&mut json, &mut text);
        let bytes = json.len() + text.len();
        if bytes > 0 {
            let to_stdout = if lines.text { &text } else { &json };
            deliver("stdout", to_stdout, &mut io::stdout().lock());
            if let Some(file) = &mut file {
                deliver("file", &json, file);
            }
            lines.waiting.fetch_sub(bytes, Ordering::Relaxed);
            json.clear();
            text.clear();
        }
        if stop {
            return;
        }
    }
}

/// Writes whole lines. What a broken target does not take is counted by its line ends.
fn deliver(target: &'static str, bytes: &[u8], to: &mut impl io::Write) {
    if to.write_all(bytes).and_then(|()| to.flush()).is_err() {
        let lost = bytes.split(|byte| *byte == b'\n').count() - 1;
        DROPPED.add(["lines", target], u64::try_from(lost).unwrap_or(u64::MAX));
    }
}
