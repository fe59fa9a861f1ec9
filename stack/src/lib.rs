//! The whole stack as local processes: the native run, the drills, the end-to-end tests.

mod alone;
mod binaries;
mod component;
mod compose;
mod config;
mod control;
mod extras;
mod folder;
mod handle;
mod identity;
mod keeper;
mod ledger;
mod listener;
mod logs;
mod obtain;
mod plan;
mod policy;
mod ports;
mod process;
mod programs;
mod render;
mod results;
mod shorten;
mod stack;
mod supervisor;
mod task;
mod terminal;
mod verbs;

pub mod chat;
pub mod cli;
pub mod drills;
pub mod http;
pub mod load;
pub mod signals;
pub mod timeline;

pub use alone::{Alertmanager, Alone};
pub use binaries::revision;
pub use compose::{Overrides, without_grafana};
pub use extras::missing;
pub use handle::{
    ChatChoice, ComponentStatus, Condition, Endpoints, Handle, Options, running, running_compose, start, start_compose,
};
pub use results::Spread;
