//! The whole stack as local processes: the native run, the drills, the end-to-end tests.

mod handle;

pub mod chat;
pub mod drills;
pub mod http;
pub mod load;
pub mod timeline;

pub use handle::{ChatChoice, ComponentStatus, Condition, Endpoints, Handle, Options, running, start};
