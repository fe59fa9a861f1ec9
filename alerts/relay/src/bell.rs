//! Says that something in the store has changed: the outbox sends at once, open pages refresh themselves.
use tokio::sync::watch;

/// What listeners see.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Signal {
    changes: u64,
    pub(crate) stopping: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Bell(watch::Sender<Signal>);

impl Bell {
    pub(crate) fn ring(&self) {
        self.0.send_modify(|signal| signal.changes = signal.changes.wrapping_add(1));
    }

    /// The last ring: everybody finishes what they are doing.
    pub(crate) fn stop(&self) {
        self.0.send_modify(|signal| signal.stopping = true);
    }

    pub(crate) fn stopping(&self) -> bool {
        self.0.borrow().stopping
    }

    pub(crate) fn listen(&self) -> watch::Receiver<Signal> {
        self.0.subscribe()
    }
}
