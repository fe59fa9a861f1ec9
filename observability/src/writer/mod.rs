//! How lines leave the process: each thread appends to a buffer of its own, one writer thread empties
//! them into the log file and passes them on to standard output. A request never waits for either; what
//! does not fit is dropped and counted.
//!
//! Memory is bounded: 8 MiB of lines in buffers (whose own growth may double that), 12 MiB on their way
//! to standard output.

use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anstream::{AutoStream, ColorChoice};

mod file;
mod stdout;

use crate::losses::{self, LINES_BUFFER, LINES_FILE, LINES_SHUTDOWN, Loss, Reporter};
use crate::settings::{LogFormat, Settings};
use file::LogFile;
use stdout::Stdout;
pub(crate) use stdout::TURN as STDOUT_TURN;

/// Bytes of lines that may wait, over all threads.
const MAX_WAITING: usize = 8 * 1024 * 1024;
/// A buffer of this size is written at once.
const SWAP_AT: usize = 32 * 1024;
/// What a buffer may keep when it is empty.
const BUFFER: usize = 64 * 1024;
/// The longest a line waits in a buffer.
const INTERVAL: Duration = Duration::from_millis(50);
/// How long ending the process may wait for lines to leave; standard output has most of it.
const SHUTDOWN: Duration = Duration::from_secs(2);
const STDOUT_SHUTDOWN: Duration = Duration::from_millis(1500);

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

    /// Whether text may be coloured: a person reads it on a terminal, and has not said `NO_COLOR`.
    pub(crate) fn colour(&self) -> bool {
        matches!(self, Self::Process(lines) if lines.colour)
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
    colour: bool,
    buffers: Mutex<Vec<Arc<Mutex<Buffer>>>>,
    waiting: AtomicUsize,
    /// The process ends: the writer has taken all that it will.
    closed: AtomicBool,
    woken: AtomicBool,
    wake: Sender<Wake>,
}

#[derive(Debug)]
enum Wake {
    Write,
    Stop,
}

impl Lines {
    fn new(json: bool, text: bool, wake: Sender<Wake>) -> Self {
        Self {
            json,
            text,
            colour: AutoStream::choice(&io::stdout()) != ColorChoice::Never,
            buffers: Mutex::default(),
            waiting: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            woken: AtomicBool::new(false),
            wake,
        }
    }

    fn append(&self, line: &[u8], urgent: bool, which: impl Fn(&mut Buffer) -> &mut Vec<u8>) {
        thread_local!(static OWN: RefCell<Option<Arc<Mutex<Buffer>>>> = const { RefCell::new(None) });
        if self.waiting.fetch_add(line.len(), Ordering::Relaxed) + line.len() > MAX_WAITING {
            self.waiting.fetch_sub(line.len(), Ordering::Relaxed);
            if self.closed.load(Ordering::Relaxed) { &LINES_SHUTDOWN } else { &LINES_BUFFER }.count(1);
            return;
        }
        let add = |buffer: &Mutex<Buffer>| {
            let mut buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner);
            let bytes = which(&mut buffer);
            bytes.extend_from_slice(line);
            bytes.len()
        };
        let length = OWN.try_with(|own| add(own.borrow_mut().get_or_insert_with(|| self.register())));
        // The thread ends, and what it held is gone already.
        let length = length.unwrap_or_else(|_| add(&self.register()));
        if (urgent || length >= SWAP_AT) && !self.woken.swap(true, Ordering::AcqRel) {
            let _ = self.wake.send(Wake::Write);
        }
    }

    fn register(&self) -> Arc<Mutex<Buffer>> {
        let buffer = Arc::new(Mutex::new(Buffer::default()));
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&buffer));
        buffer
    }

    /// From now on, lines count as lost: as if all room were taken.
    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.waiting.fetch_add(MAX_WAITING, Ordering::Relaxed);
    }

    /// Takes what all threads have, and forgets the buffers of threads that have ended.
    /// `taken` is empty, before and after: its memory goes round.
    fn take(&self, taken: &mut Buffer, mut each: impl FnMut(&mut Buffer)) {
        self.woken.store(false, Ordering::Release);
        let buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for buffer in buffers {
            // Swapped, so that the thread gets an empty buffer of some size, and waits for no copying.
            std::mem::swap(&mut *buffer.lock().unwrap_or_else(PoisonError::into_inner), taken);
            let bytes = taken.json.len() + taken.text.len();
            if bytes > 0 {
                each(taken);
                self.waiting.fetch_sub(bytes, Ordering::Relaxed);
                for lines in [&mut taken.json, &mut taken.text] {
                    lines.clear();
                    lines.shrink_to(BUFFER);
                }
            }
        }
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        buffers.retain(|buffer| {
            let in_use = Arc::strong_count(buffer) > 1;
            in_use || !buffer.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
        });
    }
}

impl Buffer {
    fn is_empty(&self) -> bool {
        self.json.is_empty() && self.text.is_empty()
    }
}

/// The writer thread. Dropping it writes what is left, for two seconds at most.
#[derive(Debug)]
pub(crate) struct Writer {
    lines: Arc<Lines>,
    done: Receiver<()>,
}

impl Writer {
    /// Opens the log file, if any, and starts the threads.
    pub(crate) fn start(settings: &Settings, service: &str) -> io::Result<Self> {
        let file = settings.log_dir.as_deref();
        let file = file.map(|folder| LogFile::open(folder, service, settings.log_max_bytes)).transpose()?;
        let stdout = Stdout::start()?;
        let (wake, woken) = mpsc::channel();
        let (finished, done) = mpsc::channel();
        let text = settings.log_format == LogFormat::Text;
        let lines = Arc::new(Lines::new(!text || file.is_some(), text, wake));
        let mut sinks = Sinks { text, file, stdout };
        let shared = Arc::clone(&lines);
        std::thread::Builder::new().name("log-writer".into()).spawn(move || {
            run(&shared, &mut sinks, &woken);
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

/// Where lines are written.
struct Sinks {
    text: bool,
    file: Option<LogFile>,
    stdout: Arc<Stdout>,
}

impl Sinks {
    fn write(&mut self, lines: &mut Buffer) {
        if let Some(Err(undelivered)) = self.file.as_mut().map(|file| file.write(&lines.json)) {
            undelivered.count(&LINES_FILE);
        }
        self.stdout.send(if self.text { &mut lines.text } else { &mut lines.json });
    }
}

fn run(lines: &Lines, sinks: &mut Sinks, woken: &Receiver<Wake>) {
    let (mut taken, mut reporter) = (Buffer::default(), Reporter::default());
    loop {
        let stop = match woken.recv_timeout(INTERVAL) {
            Ok(Wake::Write) | Err(RecvTimeoutError::Timeout) => false,
            Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => true,
        };
        lines.take(&mut taken, |taken| sinks.write(taken));
        if stop {
            break;
        }
        reporter.tell(Instant::now());
    }
    // The last line says what was lost, so all others come first.
    let deadline = Instant::now() + STDOUT_SHUTDOWN;
    sinks.stdout.drain(deadline);
    losses::tell_now();
    lines.close();
    lines.take(&mut taken, |taken| sinks.write(taken));
    sinks.stdout.drain(deadline);
}

/// Lines that a target did not take.
#[derive(Debug)]
struct Undelivered {
    lines: usize,
    /// Bytes that it took of a line whose rest it did not.
    torn: u64,
    error: io::Error,
}

impl Undelivered {
    fn all(lines: &[u8], error: io::Error) -> Self {
        Self { lines: count_lines(lines), torn: 0, error }
    }

    fn count(&self, loss: &Loss) {
        loss.count_with(self.lines, &self.error);
    }
}

fn count_lines(lines: &[u8]) -> usize {
    // Sums that fit a byte are made many at once; byte by byte, this cost a request more than its line.
    let ends = |chunk: &[u8]| chunk.iter().map(|byte| u8::from(*byte == b'\n')).sum::<u8>();
    lines.chunks(255).map(|chunk| usize::from(ends(chunk))).sum()
}

/// Writes whole lines, and knows where it had to stop.
fn write_lines(to: &mut impl io::Write, lines: &[u8]) -> Result<(), Undelivered> {
    let mut rest = lines;
    while !rest.is_empty() {
        match to.write(rest) {
            Ok(0) => return Err(stopped(lines, rest, io::ErrorKind::WriteZero.into())),
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(stopped(lines, rest, error)),
        }
    }
    Ok(())
}

fn stopped(lines: &[u8], rest: &[u8], error: io::Error) -> Undelivered {
    let taken = lines.get(..lines.len() - rest.len()).unwrap_or_default();
    let torn = taken.iter().rev().take_while(|byte| **byte != b'\n').count();
    Undelivered { lines: count_lines(rest), torn: u64::try_from(torn).unwrap_or_default(), error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Capture;

    fn append(lines: &Lines, line: &[u8]) {
        lines.append(line, false, |buffer| &mut buffer.json);
    }

    fn taken(lines: &Lines) -> Vec<u8> {
        let mut all = Vec::new();
        lines.take(&mut Buffer::default(), |taken| all.append(&mut taken.json));
        all
    }

    #[test]
    fn a_line_that_comes_after_the_last_was_taken_is_counted() {
        let capture = Capture::start();
        let lines = Lines::new(true, false, mpsc::channel().0);
        append(&lines, b"1\n");
        lines.close();
        append(&lines, b"2\n");
        assert_eq!(taken(&lines), b"1\n");
        assert!(capture.report().contains("telemetry_dropped_total{signal=\"lines\",reason=\"shutdown\"} 1\n"));
    }

    #[test]
    fn a_thread_may_write_a_line_while_it_lets_go_of_what_is_its_own() {
        struct Last(Arc<Lines>);

        impl Drop for Last {
            fn drop(&mut self) {
                append(&self.0, b"last\n");
            }
        }

        thread_local!(static LAST: RefCell<Option<Last>> = const { RefCell::new(None) });
        let lines = Arc::new(Lines::new(true, false, mpsc::channel().0));
        let of_thread = Arc::clone(&lines);
        let thread = std::thread::spawn(move || {
            // Made before the buffer, so let go of after it.
            LAST.set(Some(Last(Arc::clone(&of_thread))));
            append(&of_thread, b"first\n");
        });
        thread.join().unwrap();
        assert_eq!(taken(&lines), b"first\nlast\n");
    }
}
