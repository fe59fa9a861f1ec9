//! A token bucket: how many messages a platform takes now. Pure.
use std::time::{Duration, Instant};

/// Enough for an incident's messages to go out one by one, few enough for a burst to become a handful of messages.
const BURST: u32 = 3;

#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    tokens: u32,
    full: u32,
    each: Duration,
    /// When the last token came.
    since: Instant,
}

impl Bucket {
    pub(crate) fn new(per_minute: u32, now: Instant) -> Self {
        let full = BURST.max(per_minute / 10).min(per_minute);
        Self { tokens: full, full, each: Duration::from_mins(1) / per_minute.max(1), since: now }
    }

    /// How many messages may be sent at `now`.
    pub(crate) fn free(&mut self, now: Instant) -> usize {
        let passed = now.saturating_duration_since(self.since).as_nanos() / self.each.as_nanos().max(1);
        let new = u32::try_from(passed).unwrap_or(u32::MAX);
        self.tokens = self.tokens.saturating_add(new).min(self.full);
        self.since = if self.tokens == self.full { now } else { self.since + self.each.saturating_mul(new) };
        usize::try_from(self.tokens).unwrap_or(usize::MAX)
    }

    pub(crate) fn take(&mut self) {
        self.tokens = self.tokens.saturating_sub(1);
    }

    /// A burst has come: the next message waits for what else comes.
    pub(crate) fn drain(&mut self) {
        self.tokens = 0;
    }

    /// How long until the next message.
    pub(crate) fn wait(&self) -> Duration {
        (self.since + self.each).saturating_duration_since(Instant::now()).max(Duration::from_millis(10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_brings_as_many_as_the_platform_takes() {
        let start = Instant::now();
        let mut bucket = Bucket::new(20, start);
        let sent = (0..60_000).step_by(100).filter(|millis| {
            let free = bucket.free(start + Duration::from_millis(*millis)) > 0;
            if free {
                bucket.take();
            }
            free
        });
        assert_eq!(sent.count(), 20 + 2);
    }
}
