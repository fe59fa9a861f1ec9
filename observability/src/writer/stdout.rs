//! Standard output, on a thread of its own: whoever reads it may stop reading, and that must hold up
//! neither the log file nor the next request.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{count_lines, write_lines};
use crate::losses::LINES_STDOUT;

/// Whoever holds this keeps standard output from being written.
pub(crate) static TURN: Mutex<()> = Mutex::new(());

/// Bytes that may wait; as many more may be on their way.
const MAX_WAITING: usize = 4 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Stdout {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Lines that are being written.
    on_their_way: usize,
    /// Ended, or given up.
    closed: bool,
}

impl Stdout {
    /// Starts the thread.
    pub(super) fn start() -> io::Result<Arc<Self>> {
        // Not `std::io::stdout`, whose buffer would keep a part of what failed.
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let stdout = Arc::new(Self::default());
        let shared = Arc::clone(&stdout);
        std::thread::Builder::new().name("log-stdout".into()).spawn(move || shared.run(file))?;
        Ok(stdout)
    }

    /// Takes whole lines, or counts them as lost when too many wait. Never waits itself.
    pub(super) fn send(&self, lines: &mut Vec<u8>) {
        let mut waiting = self.lock();
        if waiting.closed || waiting.bytes.len() + lines.len() > MAX_WAITING {
            drop(waiting);
            LINES_STDOUT.count_with(count_lines(lines), &"nobody reads standard output");
            return;
        }
        if waiting.bytes.is_empty() {
            // Copying the lines would cost more than it took to write them.
            std::mem::swap(&mut waiting.bytes, lines);
        } else {
            waiting.bytes.append(lines);
        }
        drop(waiting);
        self.changed.notify_all();
    }

    /// Waits until all is written, or until the deadline. What is left then counts as lost.
    pub(super) fn drain(&self, deadline: Instant) {
        let mut waiting = self.lock();
        while !waiting.bytes.is_empty() || waiting.on_their_way > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                waiting.closed = true;
                let lost = count_lines(&waiting.bytes) + waiting.on_their_way;
                LINES_STDOUT.count_with(lost, &"nobody reads standard output");
                return;
            }
            waiting = self.changed.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn run(&self, mut file: File) {
        let mut lines = Vec::new();
        loop {
            let mut waiting = self.lock();
            while waiting.bytes.is_empty() {
                waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            std::mem::swap(&mut waiting.bytes, &mut lines);
            waiting.on_their_way = count_lines(&lines);
            drop(waiting);
            let result = {
                let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
                write_lines(&mut file, &lines)
            };
            lines.clear();
            lines.shrink_to(super::BUFFER);
            self.lock().on_their_way = 0;
            self.changed.notify_all();
            if let Err(undelivered) = result {
                undelivered.count(&LINES_STDOUT);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
