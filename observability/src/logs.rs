//! Which lines are written. How a line looks is in `line`, how it leaves the process in `writer`.

use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{MutexGuard, PoisonError, RwLock};

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

use crate::{line, subscriber, writer};

/// The filter in force, as `target=level` pairs. Empty when telemetry is not set up.
#[must_use]
pub fn filter() -> String {
    subscriber::current(|core| core.filter.read(ToString::to_string)).unwrap_or_default()
}

/// Changes which lines are written, at once and for all threads. The change itself is logged.
///
/// # Errors
/// When the directives cannot be parsed, or telemetry is not set up.
pub fn set_filter(directives: &str) -> Result<(), String> {
    let filter = parse(directives)?;
    subscriber::current(|core| core.filter.replace(filter)).ok_or("telemetry is not set up")?;
    // Callsites have cached the verdict of the old filter.
    tracing_core::callsite::rebuild_interest_cache();
    // Whatever the new filter says: silence that nobody announced looks like health.
    subscriber::current(|core| {
        line::tell(core, Level::WARN, module_path!(), "log filter changed", &[("filter", directives.into())]);
    });
    Ok(())
}

/// Which lines are written, and how often that has changed.
#[derive(Debug)]
pub(crate) struct Filter {
    targets: RwLock<Targets>,
    version: AtomicUsize,
}

impl Filter {
    pub(crate) fn new(targets: Targets) -> Self {
        Self { targets: RwLock::new(targets), version: AtomicUsize::new(0) }
    }

    pub(crate) fn read<R>(&self, read: impl FnOnce(&Targets) -> R) -> R {
        read(&self.targets.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn allows(&self, target: &str, level: Level) -> bool {
        self.read(|targets| targets.would_enable(target, &level))
    }

    /// The lowest level that any target writes.
    pub(crate) fn most(&self) -> Option<LevelFilter> {
        self.read(|targets| targets.iter().map(|(_, level)| level).chain(targets.default_level()).max())
    }

    /// A verdict of this filter may be kept as long as this number stays the same.
    pub(crate) fn version(&self) -> usize {
        self.version.load(Ordering::Acquire)
    }

    fn replace(&self, targets: Targets) {
        *self.targets.write().unwrap_or_else(PoisonError::into_inner) = targets;
        self.version.fetch_add(1, Ordering::Release);
    }
}

/// Keeps lines from leaving through standard output while the guard lives, as a pipe does that nobody reads. For rehearsals.
#[must_use = "output goes on when this is dropped"]
pub fn stall() -> MutexGuard<'static, ()> {
    writer::STDOUT_TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn parse(directives: &str) -> Result<Targets, String> {
    let wrong = |why: &dyn Display| {
        format!(
            "`{directives}` is no log filter ({why}): write a level such as `info`, or pairs such as `info,sqlx=debug`"
        )
    };
    // To the parser a word without a level is a target of which everything is wanted: a mistyped level would turn all
    // other lines off.
    let mut bare = directives.split(',').map(str::trim).filter(|directive| !directive.contains('='));
    if let Some(word) = bare.find(|word| !word.is_empty() && word.parse::<LevelFilter>().is_err()) {
        return Err(wrong(&format_args!("`{word}` is no level")));
    }
    directives.parse().map_err(|error| wrong(&error))
}
