//! How long a rule may take from the fault until chat, and from the repair until RESOLVED: the sum of what it waits for.

use std::time::Duration;

use crate::shorten;

const MARGIN: u64 = 5;
/// The longest of the routes: an alert that has ended is told with the next batch of its group.
const GROUP_INTERVAL: u64 = 30;

/// What stands between a fault and chat, in seconds, as the files of rules and routes say it.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The rule's range, the longest when it has several.
    pub range: u64,
    /// How much of it must fill before the threshold is crossed.
    pub fill: u64,
    /// The rule's `for`.
    pub lasting: u64,
    /// The rule's `keep_firing_for`.
    pub keep: u64,
    /// One scrape, one evaluation and the lane's `group_wait`, which nothing shortens.
    pub steps: u64,
}

impl Window {
    /// The steps of what is scraped and evaluated every 5 s, and told at once.
    pub(in crate::drills) const PAGE: u64 = 5 + 5;
    /// The same, told 10 s later so that a cause is heard first.
    pub(in crate::drills) const SLOW: u64 = Self::PAGE + 10;

    /// All that passes between the fault and RESOLVED because of the rule alone, as it is.
    pub(in crate::drills) const fn waits(self) -> Duration {
        Duration::from_secs(self.range + self.fill + self.lasting + self.keep)
    }

    /// The latest moment of the message, after the fault.
    pub(in crate::drills) const fn chat_within(self, shortened: u64) -> Duration {
        let waits = shorten::range(self.fill, shortened) + shorten::lasting(self.lasting, shortened);
        Duration::from_secs(waits + self.steps + MARGIN)
    }

    /// The latest moment of RESOLVED, after the repair: the range drains, and `keep_firing_for` passes.
    pub(in crate::drills) const fn resolved_within(self, shortened: u64) -> Duration {
        let waits = shorten::range(self.range, shortened) + shorten::lasting(self.keep, shortened);
        Duration::from_secs(waits + self.steps + GROUP_INTERVAL + MARGIN)
    }
}
