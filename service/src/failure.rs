//! The failures this service can see in itself. One name each, the same in log lines, metric labels,
//! problem types, alert rules and runbooks.

/// A kind of failure that has a rule and a runbook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureType {
    /// The database cannot be reached.
    DbDown,
    /// The database answers but refuses to write.
    DbReadonly,
    /// Every connection of the pool was in use for too long.
    DbPool,
    /// The schema could not be brought up to date.
    Migration,
    /// A request ran into its time limit.
    Latency,
    /// Anything nobody foresaw.
    Errors,
}

impl FailureType {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::DbDown, Self::DbReadonly, Self::DbPool, Self::Migration, Self::Latency, Self::Errors];

    /// The name used everywhere outside this program.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DbDown => "db_down",
            Self::DbReadonly => "db_readonly",
            Self::DbPool => "db_pool",
            Self::Migration => "migration",
            Self::Latency => "latency",
            Self::Errors => "errors",
        }
    }
}
