//! Why the program does not start, as one sentence that names the variable and what it takes.

use std::{error::Error as _, io::Write as _, process::ExitCode};

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use super::load::variable;

/// Why the program does not start.
#[derive(Debug)]
pub enum Refusal {
    /// The command line was wrong, or asked for help.
    CommandLine(Error),
    /// A setting is wrong; the message names it.
    Setting(String),
}

impl Refusal {
    /// Turns clap's error about the value of a setting into our sentence, and leaves others as they are.
    pub(super) fn new(error: Error, command: &clap::Command) -> Self {
        match sentence(&error, command) {
            Some(sentence) => Self::Setting(sentence),
            None => Self::CommandLine(error),
        }
    }

    /// Tells the user, and says how to exit.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        match self {
            Self::CommandLine(error) => {
                // Nothing is left to do when the terminal is gone.
                let _ = error.print();
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
            }
            Self::Setting(message) => {
                let _ = writeln!(std::io::stderr(), "error: {message}");
                ExitCode::from(2)
            }
        }
    }
}

fn sentence(error: &Error, command: &clap::Command) -> Option<String> {
    if !matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
        return None;
    }
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let (_, name) = argument.split_once('<')?;
    let name = name.trim_end_matches('>');
    let setting = command.get_arguments().find(|argument| variable(argument) == Some(name))?;
    let value = match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) => value.as_str(),
        _ => "",
    };
    let reason = match (error.source(), error.get(ContextKind::ValidValue)) {
        (Some(source), _) => source.to_string(),
        (None, Some(ContextValue::Strings(valid))) => format!("use one of {}", valid.join(", ")),
        _ => "it cannot be read".to_owned(),
    };
    let help = setting.get_help().map(ToString::to_string).unwrap_or_default();
    let default = setting.get_default_values().first().map(|default| default.to_string_lossy());
    let example = default.map(|default| format!(" (default: {default})")).unwrap_or_default();
    Some(format!("{name}: `{value}` is not valid: {reason}. What it sets: {help}{example}"))
}
