//! The whole stack as local processes: the native run, the drills, the end-to-end tests.

mod handle;

pub mod chat;
pub mod http;

pub use handle::{
    ChatChoice, ComponentStatus, Condition, Endpoints, Handle, Options, running, start,
};
