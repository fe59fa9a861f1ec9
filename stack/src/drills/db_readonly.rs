//! The database answers, and refuses to write: a replica after a failover, or a disk without space.

use super::{
    injury::Statements,
    runner::{Evidence, Fault, Window, requests},
};

/// Every transaction is read-only from now on.
pub(super) const READONLY: Fault = Fault {
    judge,
    ..Fault::new(
        "db_readonly",
        "db_readonly",
        "DatabaseReadOnly",
        &Statements {
            what: "Postgres is read-only (default_transaction_read_only)",
            inflict: &["ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"],
            remedy: "Postgres takes writes again",
            repair: &[
                "SET default_transaction_read_only = off",
                "ALTER SYSTEM RESET default_transaction_read_only",
                "SELECT pg_reload_conf()",
            ],
        },
        Window { range: 60, fill: 5, lasting: 0, keep: 60, steps: Window::PAGE },
    )
};

/// Reads go on, writes are refused at once.
fn judge(evidence: &Evidence) -> Vec<String> {
    let mut wrong = requests::end(evidence);
    wrong.extend(requests::only("create", 503, evidence));
    wrong.extend(requests::no_restart(evidence));
    wrong
}
