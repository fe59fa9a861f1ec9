//! Drills: break one thing on purpose, and check the whole way from the fault to a person, and back.
//!
//! One file for each failure type says what is broken and what must come of it; `catalogue` lists them.

mod alert_pipeline;
mod catalogue;
mod clock;
mod crash;
mod db_down;
mod db_partition;
mod db_pool;
mod db_readonly;
mod db_slow;
mod dependency;
mod deploy;
mod disk;
mod errors;
mod fd;
mod injury;
mod latency;
mod memory;
mod migration;
mod one;
mod panic;
mod pg_capacity;
mod pg_locks;
mod runner;
mod saturation;
mod service_down;
mod slo_burn;
mod telemetry;
mod tmpfs;
mod traffic;

pub mod all;

use std::str::FromStr;

pub use one::{Args, run};
pub use runner::{Outcome, Summary, Window};

use runner::Fault;

/// Which failure: a failure type, or a variant of one.
#[derive(Clone, Copy, Debug)]
pub struct Drill(&'static Fault);

impl Drill {
    /// Every drill there is.
    pub fn all() -> impl Iterator<Item = Self> {
        catalogue::ALL.iter().map(Self)
    }

    /// Such as `db_frozen`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// The failure type that it rehearses.
    #[must_use]
    pub fn failure_type(self) -> &'static str {
        self.0.failure_type
    }

    /// The alert that must reach chat.
    #[must_use]
    pub fn alert(self) -> &'static str {
        self.0.alert
    }

    /// What it waits for; none where a promise is measured instead, whatever the rules say.
    #[must_use]
    pub fn window(self) -> Option<Window> {
        match self.0.within {
            runner::Within::Window(window) => Some(window),
            runner::Within::Promised(..) => None,
        }
    }
}

impl FromStr for Drill {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::all().find(|drill| drill.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::all().map(Self::name).collect();
            format!("there is no drill of this name; there are {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_is_found_by_its_name_and_others_are_listed() {
        assert_eq!("db_frozen".parse::<Drill>().unwrap().failure_type(), "db_down");
        assert!("db_gone".parse::<Drill>().unwrap_err().contains("service_down"));
    }
}
