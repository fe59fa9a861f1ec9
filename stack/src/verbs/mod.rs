//! What the runner can be told to do, one file each.

pub(crate) mod check_alerts;
pub(crate) mod doctor;
pub(crate) mod down;
pub(crate) mod pipeline;
pub(crate) mod up;
pub(crate) mod with_postgres;
