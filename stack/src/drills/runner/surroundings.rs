//! What a stack must be like for a fault to be seen on it.

use crate::Options;

/// How the stack of a drill differs from that of any other test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::drills) struct Surroundings {
    /// With Loki, Jaeger, the collector, the exporter and the payments provider.
    pub(in crate::drills) extras: bool,
    /// Ranges, `for` and `keep_firing_for` of all rules are divided by this.
    pub(in crate::drills) shorten: u64,
    /// More environment for service and relay.
    pub(in crate::drills) env: &'static [(&'static str, &'static str)],
}

impl Surroundings {
    /// What it takes to tell people, with the rules as they are.
    pub(in crate::drills) const CORE: Self = Self { extras: false, shorten: 1, env: &[] };
    /// Everything, with windows of seconds, and a service that can be told to fail. With a larger factor the symptoms of a
    /// cause could outlive the alert that mutes them.
    pub(in crate::drills) const SHORT: Self = Self { extras: true, shorten: 6, env: &[("FAULTS", "on")] };

    pub(in crate::drills) fn options(&self, shorten: u64) -> Options {
        Options {
            extras: self.extras,
            shorten,
            env: self.env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..Options::default()
        }
    }
}
