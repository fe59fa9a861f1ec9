//! Puts the four layers together. All of them go through the one parser, so a bad value is refused
//! with the same message wherever it stands.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, builder::Str, parser::ValueSource};

use super::{CONFIG_FILE, Command, Config, refusal::Refusal};

/// An example service with orders, whose every failure can be seen.
#[derive(Debug, Parser)]
#[command(name = "service", version)]
struct Cli {
    #[command(flatten)]
    config: Config,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What to do, with which settings.
#[derive(Debug)]
pub struct Invocation {
    /// What to do.
    pub command: Command,
    /// With which settings.
    pub config: Config,
    /// The same settings, as they were written.
    pub settings: Vec<Setting>,
}

/// One setting as it was written.
#[derive(Debug)]
pub struct Setting {
    /// Its variable.
    pub variable: String,
    /// Its value; masked if it is a secret; empty if it is unset.
    pub value: String,
    /// Which layer it comes from.
    pub origin: &'static str,
}

/// The program's command line, in which each setting is called by its variable. A variable that is set
/// but empty counts as not set, as compose files and unit files can hardly leave one out.
pub(super) fn command() -> clap::Command {
    Cli::command().mut_args(|argument| {
        let Some(variable) = argument.get_env().map(ToOwned::to_owned) else {
            return argument;
        };
        #[expect(clippy::disallowed_methods, reason = "config is the one place that may")]
        let empty = std::env::var_os(&variable).is_some_and(|value| value.is_empty());
        let argument = argument.value_name(variable.to_string_lossy().into_owned());
        if empty { argument.env(None::<&'static str>) } else { argument }
    })
}

/// The variable that an argument can also be set with.
pub(super) fn variable(argument: &Arg) -> Option<&str> {
    argument.get_value_names()?.first().map(Str::as_str)
}

/// Reads flags, environment and file.
pub fn load(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, Refusal> {
    let command = command();
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut matches =
        command.clone().try_get_matches_from(&arguments).map_err(|error| Refusal::new(error, &command))?;
    let mut filed = Vec::new();
    if let Some(path) = matches.get_one::<PathBuf>("config_file") {
        filed = file(path, &command)?;
        // What stands in an outer layer stays, also when it says there what the file says in another file, or the
        // reverse; the rest goes in as if it were flags.
        let is_outer = |id: &str| {
            let source =
                command.get_arguments().any(|argument| argument.get_id() == id).then(|| matches.value_source(id));
            matches!(source.flatten(), Some(ValueSource::CommandLine | ValueSource::EnvVariable))
        };
        filed.retain(|(id, _, _)| {
            let twin = id.strip_suffix("_file").map_or_else(|| format!("{id}_file"), str::to_owned);
            !is_outer(id) && !is_outer(&twin)
        });
        let flags = filed.iter().map(|(_, flag, value)| format!("--{flag}={value}").into());
        let first = arguments.len().min(1);
        arguments.splice(first..first, flags.collect::<Vec<OsString>>());
        matches = command.clone().try_get_matches_from(&arguments).map_err(|error| Refusal::new(error, &command))?;
    }
    let cli = Cli::from_arg_matches(&matches).map_err(|error| Refusal::new(error, &command))?;
    let is_filed = |id: &str| filed.iter().any(|(filed, _, _)| filed == id);
    let settings = command.get_arguments().filter_map(|a| setting(a, &matches, is_filed)).collect();
    Ok(Invocation { command: cli.command.unwrap_or(Command::Serve), config: cli.config, settings })
}

/// The settings in a file, as id, flag and value.
fn file(path: &Path, command: &clap::Command) -> Result<Vec<(String, String, String)>, Refusal> {
    let shown = path.display();
    let refuse = |problem: String| Err(Refusal::Setting(format!("CONFIG_FILE: {shown} {problem}")));
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return refuse(format!("cannot be read: {error}")),
    };
    let mut settings = Vec::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // The line itself is not shown: it may hold a secret.
        let Some((key, value)) = line.split_once('=') else {
            return refuse(format!("is not VARIABLE=value in line {number}"));
        };
        let (key, value) = (key.trim(), unquoted(value.trim()));
        let known = command.get_arguments().find(|argument| variable(argument) == Some(key) && key != CONFIG_FILE);
        let Some((argument, flag)) = known.and_then(|known| Some((known, known.get_long()?))) else {
            return refuse(format!("sets {key}, which is no setting of this service: see `service config --template`"));
        };
        if !value.is_empty() {
            settings.push((argument.get_id().to_string(), flag.to_owned(), value.to_owned()));
        }
    }
    Ok(settings)
}

/// All after the `=` is the value, as it stands; quotes around it, which many are used to, are not.
fn unquoted(value: &str) -> &str {
    ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(value)
}

fn setting(argument: &Arg, matches: &ArgMatches, is_filed: impl Fn(&str) -> bool) -> Option<Setting> {
    let id = argument.get_id().as_str();
    let variable = variable(argument)?.to_owned();
    let raw = matches.try_get_raw(id).ok().flatten();
    let value = match raw {
        Some(_) if argument.is_hide_env_values_set() => "********".to_owned(),
        Some(values) => values.map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(","),
        None => String::new(),
    };
    let origin = match matches.value_source(id) {
        _ if is_filed(id) => "file",
        Some(ValueSource::CommandLine) => "flag",
        Some(ValueSource::EnvVariable) => "environment",
        Some(_) => "default",
        None => "not set",
    };
    Some(Setting { variable, value, origin })
}
