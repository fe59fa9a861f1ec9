//! What happened when, for a person who reads along.

use std::{
    fmt,
    io::{self, Write},
    time::Instant,
};

/// What an event is; pictures of a timeline colour by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It was broken.
    Fault,
    /// A probe, or a rule, saw it.
    Detected,
    /// The alert fires.
    Alert,
    /// Chat accepted that it is broken.
    Chat,
    /// Somebody took it.
    Taken,
    /// It is being repaired, or works again.
    Repair,
    /// Chat accepted that it is over.
    Resolved,
    /// Something was not as it should be.
    Wrong,
    /// Something was looked at.
    Seen,
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Fault => "fault",
            Self::Detected => "detected",
            Self::Alert => "alert",
            Self::Chat => "chat",
            Self::Taken => "taken",
            Self::Repair => "repair",
            Self::Resolved => "resolved",
            Self::Wrong => "WRONG",
            Self::Seen => "",
        })
    }
}

/// Prints events as they happen, with their distance from the moment zero.
pub struct Timeline {
    zero: Instant,
    out: Box<dyn Write + Send>,
}

impl fmt::Debug for Timeline {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Timeline").field("zero", &self.zero).finish_non_exhaustive()
    }
}

impl Default for Timeline {
    fn default() -> Self {
        Self::new(Box::new(io::stdout()))
    }
}

impl Timeline {
    /// A timeline that is written to `out`.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self { zero: Instant::now(), out }
    }

    /// From now on, offsets count from `zero`.
    pub fn start(&mut self, zero: Instant) {
        self.zero = zero;
    }

    /// Something that has no moment: what comes next, or the last line.
    pub fn say(&mut self, text: &str) {
        self.line(text);
    }

    /// Something that happened at `at`.
    pub fn note(&mut self, at: Instant, event: Event, text: &str) {
        let (sign, distance) = match at.checked_duration_since(self.zero) {
            Some(distance) => ('+', distance),
            None => ('-', self.zero.duration_since(at)),
        };
        let offset = format!("{sign}{:.3}", distance.as_secs_f64());
        self.line(&format!("{offset:>10} s  {event:<8}  {text}"));
    }

    /// A text of several lines that belongs to the event above it.
    pub fn quote(&mut self, text: &str) {
        for line in text.lines() {
            self.line(&format!("{:>14}| {line}", ""));
        }
    }

    fn line(&mut self, text: &str) {
        // A reader who went away must not keep the drill from repairing what it broke.
        let _ = writeln!(self.out, "{text}").and_then(|()| self.out.flush());
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Mutex},
        time::Duration,
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn offsets_stand_in_a_column_and_quotes_below_their_event() {
        let shared = Shared::default();
        let mut timeline = Timeline::new(Box::new(shared.clone()));
        let early = Instant::now();
        let zero = early + Duration::from_millis(5);
        timeline.start(zero);
        timeline.note(early, Event::Seen, "before");
        timeline.note(zero + Duration::from_millis(12_340), Event::Chat, "after");
        timeline.quote("one\ntwo");
        let printed = String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
        let events = "    -0.005 s            before\n   +12.340 s  chat      after\n";
        assert_eq!(printed, format!("{events}              | one\n              | two\n"));
    }
}
