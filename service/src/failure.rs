//! The failures this service can see in itself. One name each, the same in log lines, metric labels,
//! problem types, alert rules and runbooks.

use observability::http::{Failure, Severity};

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
    /// A third party did not answer as it should.
    Dependency,
    /// A third party is left alone for a while.
    Breaker,
    /// More requests at a time than this process takes.
    Saturation,
    /// Anything nobody foresaw.
    Errors,
}

impl FailureType {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::DbDown,
        Self::DbReadonly,
        Self::DbPool,
        Self::Migration,
        Self::Latency,
        Self::Dependency,
        Self::Breaker,
        Self::Saturation,
        Self::Errors,
    ];

    /// The failure that is called so outside of this program.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|failure_type| failure_type.as_str() == name)
    }

    /// This failure as the middleware logs and counts it.
    pub(crate) fn with(self, cause: String) -> Failure {
        Failure { failure_type: self.as_str(), severity: self.severity(), cause }
    }

    /// What a third party does is a warning: nobody has to get up for it.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::Dependency | Self::Breaker => Severity::Warning,
            _ => Severity::Error,
        }
    }

    /// The name used everywhere outside this program.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DbDown => "db_down",
            Self::DbReadonly => "db_readonly",
            Self::DbPool => "db_pool",
            Self::Migration => "migration",
            Self::Latency => "latency",
            Self::Dependency => "dependency",
            Self::Breaker => "breaker",
            Self::Saturation => "saturation",
            Self::Errors => "errors",
        }
    }
}
