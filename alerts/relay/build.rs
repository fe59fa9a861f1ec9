//! Rebuilds the program when a runbook or a migration was added, changed or removed: both are embedded.
use std::io::Write;

fn main() -> std::io::Result<()> {
    let mut cargo = std::io::stdout();
    writeln!(cargo, "cargo:rerun-if-changed=../runbooks")?;
    writeln!(cargo, "cargo:rerun-if-changed=migrations")
}
