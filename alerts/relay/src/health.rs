//! Which channels accept nothing at the moment, and why.
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<BTreeMap<&'static str, String>>);

impl Health {
    pub(crate) fn up(&self, channel: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(channel);
    }

    pub(crate) fn down(&self, channel: &'static str, why: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(channel, why.to_owned());
    }

    pub(crate) fn is_down(&self, channel: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(channel)
    }

    /// One sentence a channel.
    pub(crate) fn said(&self) -> Vec<String> {
        let down = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        down.iter().map(|(channel, why)| format!("{channel} accepts no messages: {why}")).collect()
    }
}
