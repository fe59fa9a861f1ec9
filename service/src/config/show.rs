//! The settings as text: what holds now, and a file to start from. Both come from the definitions, so
//! they cannot fall behind.

use std::fmt::Write as _;

use super::{
    CONFIG_FILE,
    load::{Setting, command, variable},
};

/// What holds, one `VARIABLE=value` a line, each with where it comes from.
#[must_use]
pub fn effective(settings: &[Setting]) -> String {
    let mut text = String::new();
    for Setting { variable, value, origin } in settings {
        let assignment = format!("{variable}={value}");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{assignment:<60} # {origin}");
    }
    text
}

/// A file for `CONFIG_FILE` with every setting, commented out, at its default.
#[must_use]
pub fn template() -> String {
    let mut text = String::from(
        "# Settings of the service. Flags and the environment win over this file.\n\
         # All after the = is the value: no substitution, no comments.\n",
    );
    let command = command();
    for argument in command.get_arguments() {
        let Some(variable) = variable(argument).filter(|name| *name != CONFIG_FILE) else {
            continue;
        };
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let default = argument.get_default_values().first();
        let value = default.map(|value| value.to_string_lossy()).unwrap_or_default();
        let _ = write!(text, "\n# {help}\n# {variable}={value}\n");
    }
    text
}
