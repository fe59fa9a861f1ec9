//! What a stack must be like for a fault to be seen on it.

use crate::{Options, Overrides};

/// How the stack of a drill differs from that of any other test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::drills) struct Surroundings {
    /// Whether many runs measure a promise: on a stack with nothing beside, and with the rules as they are.
    pub(in crate::drills) measured: bool,
    /// Ranges, `for` and `keep_firing_for` of all rules are divided by this.
    pub(in crate::drills) shorten: u64,
    /// With a second chat.
    pub(in crate::drills) second_chat: bool,
    /// Of containers, it takes none that others use: it needs small disks, or deploys.
    pub(in crate::drills) own_containers: bool,
    /// More environment for service and relay.
    pub(in crate::drills) env: &'static [(&'static str, &'static str)],
}

impl Surroundings {
    /// Everything, with windows of seconds, and a service that can be told to fail. With a larger factor the symptoms of a
    /// cause could outlive the alert that mutes them.
    pub(in crate::drills) const SHORT: Self =
        Self { measured: false, shorten: 6, second_chat: false, own_containers: false, env: FAULTS };
    /// The same for a single run.
    pub(in crate::drills) const MEASURED: Self = Self { measured: true, ..Self::SHORT };

    /// Whether any stack will do that has its faults switched on.
    pub(in crate::drills) fn are_usual(&self) -> bool {
        self.env == FAULTS && !self.second_chat
    }

    pub(in crate::drills) fn options(&self, shorten: u64, extras: bool) -> Options {
        Options { extras, shorten, second_chat: self.second_chat, env: self.env(), ..Options::default() }
    }

    pub(in crate::drills) fn overrides(&self) -> Overrides {
        Overrides { env: self.env(), second_chat: self.second_chat, small_disks: self.own_containers }
    }

    fn env(&self) -> Vec<(String, String)> {
        self.env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }
}

const FAULTS: &[(&str, &str)] = &[("FAULTS", "on")];
