//! Standard output, on a thread of its own: whoever reads it may stop reading, and that must hold up
//! neither the log file nor the next request.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

use super::{Undelivered, count_lines, write_lines};
use crate::losses::LINES_STDOUT;

/// Whoever holds this keeps standard output from being written.
pub(crate) static TURN: Mutex<()> = Mutex::new(());

/// Bytes that may wait for those that are on their way. One buffer, which may be larger, is taken when none are.
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

impl Waiting {
    fn has_room(&self, bytes: usize) -> bool {
        let idle = self.bytes.is_empty() && self.on_their_way == 0;
        !self.closed && (idle || self.bytes.len() + bytes <= MAX_WAITING)
    }
}

impl Stdout {
    /// Starts the thread.
    pub(super) fn start() -> io::Result<Arc<Self>> {
        // Not `std::io::stdout`, whose buffer would keep a part of what failed.
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let stdout = Arc::new(Self::default());
        let shared = Arc::clone(&stdout);
        let run = move || shared.run(Whole { target: Waits(file), torn: false });
        std::thread::Builder::new().name("log-stdout".into()).spawn(run)?;
        Ok(stdout)
    }

    /// Takes whole lines, or counts them as lost when too many wait. Never waits itself.
    pub(super) fn send(&self, lines: &mut Vec<u8>) {
        let mut waiting = self.lock();
        if !waiting.has_room(lines.len()) {
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

    fn run(&self, mut target: Whole<Waits>) {
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
                target.write(&lines)
            };
            lines.clear();
            lines.shrink_to(super::BUFFER);
            // Counted first: whoever waits for the end of the writing tells the losses then.
            if let Err(undelivered) = result {
                undelivered.count(&LINES_STDOUT);
            }
            self.lock().on_their_way = 0;
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes whole lines. What it took of a line whose rest it did not cannot be taken back, so it ends there.
struct Whole<T> {
    target: T,
    torn: bool,
}

impl<T: io::Write> Whole<T> {
    fn write(&mut self, lines: &[u8]) -> Result<(), Undelivered> {
        if self.torn {
            self.target.write_all(b"\n").map_err(|error| Undelivered::all(lines, error))?;
        }
        let result = write_lines(&mut self.target, lines);
        self.torn = result.as_ref().is_err_and(|undelivered| undelivered.torn > 0);
        result
    }
}

/// A file that waits for room, though others who share it have made it non-blocking.
struct Waits(File);

impl io::Write for Waits {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    poll(&mut [PollFd::new(&self.0, PollFlags::OUT)], None)?;
                }
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::testing::Capture;

    /// Has room for so many bytes.
    struct Room(Vec<u8>, usize);

    impl io::Write for Room {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.1);
            self.0.extend_from_slice(&bytes[..taken]);
            self.1 -= taken;
            if taken > 0 { Ok(taken) } else { Err(io::ErrorKind::StorageFull.into()) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn after_a_line_that_was_torn_the_next_begins_on_a_line_of_its_own() {
        let mut stdout = Whole { target: Room(Vec::new(), 12), torn: false };
        assert_eq!(stdout.write(b"{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n").unwrap_err().lines, 2);
        assert_eq!(stdout.write(b"{\"d\":4}\n").unwrap_err().lines, 1);
        stdout.target.1 = 100;
        stdout.write(b"{\"e\":5}\n").unwrap();
        stdout.write(b"{\"f\":6}\n").unwrap();
        assert_eq!(String::from_utf8_lossy(&stdout.target.0), "{\"a\":1}\n{\"b\"\n{\"e\":5}\n{\"f\":6}\n");
    }

    #[test]
    fn a_standard_output_that_does_not_block_is_waited_for() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut stdout = Whole { target: Waits(File::from(OwnedFd::from(ours))), torn: false };
        let lines = b"{\"a\":1}\n".repeat(200_000);
        let reader = std::thread::spawn(move || {
            let mut read = Vec::new();
            theirs.read_to_end(&mut read).map(|_| read)
        });
        stdout.write(&lines).unwrap();
        drop(stdout);
        assert!(reader.join().unwrap().unwrap() == lines);
    }

    #[test]
    fn one_large_buffer_is_taken_when_standard_output_is_idle() {
        let capture = Capture::start();
        let (stdout, mut lines) = (Stdout::default(), b"{\"a\":1}\n".repeat(700_000));
        stdout.send(&mut lines.clone());
        assert!(!capture.report().contains("reason=\"stdout\""));
        stdout.send(&mut lines);
        assert!(capture.report().contains("telemetry_dropped_total{signal=\"lines\",reason=\"stdout\"} 700000\n"));
    }
}
