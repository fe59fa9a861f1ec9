//! Finds the programs: in `STACK_BIN`, on `PATH`, in the cache; and fills the cache with what is missing.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::LazyLock,
    time::Duration,
};

use anyhow::bail;
use regex::Regex;
use tokio::{process::Command, time::timeout};

use crate::{config::Settings, obtain};

static NUMBER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(\d+)\.(\d+)").ok());

/// Long enough for a large program on a cold disk.
const PATIENCE: Duration = Duration::from_secs(20);

/// A program that the stack needs and does not build itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Postgres,
    Prometheus,
    Alertmanager,
}

/// Where it is, and which one it is.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) version: (u32, u32),
    /// `STACK_BIN`, `PATH` or `cache`.
    pub(crate) source: &'static str,
}

impl Program {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Prometheus => "Prometheus",
            Self::Alertmanager => "Alertmanager",
        }
    }

    /// Its files in a folder of programs. Debian calls Alertmanager by another name.
    fn files(self) -> &'static [&'static str] {
        match self {
            Self::Postgres => &["postgres/bin/postgres", "postgres"],
            Self::Prometheus => &["prometheus"],
            Self::Alertmanager => &["alertmanager", "prometheus-alertmanager"],
        }
    }

    /// How `--version` begins.
    fn introduction(self) -> &'static str {
        match self {
            Self::Postgres => "postgres (PostgreSQL) ",
            Self::Prometheus => "prometheus, version ",
            Self::Alertmanager => "alertmanager, version ",
        }
    }

    /// What has to lie beside it.
    fn company(self) -> &'static [&'static str] {
        match self {
            Self::Postgres => &["initdb", "pg_isready"],
            Self::Prometheus | Self::Alertmanager => &[],
        }
    }

    fn oldest(self) -> (u32, u32) {
        match self {
            Self::Postgres => (15, 0),
            Self::Prometheus => (2, 42),
            Self::Alertmanager => (0, 25),
        }
    }

    /// The version in what `--version` says, or why this is not the program.
    fn judge(self, text: &str) -> Result<(u32, u32), String> {
        let first = text.lines().next().unwrap_or_default();
        let Some(rest) = first.strip_prefix(self.introduction()) else {
            return Err(format!("is another program (it says \"{first}\")"));
        };
        let version = NUMBER.as_ref().and_then(|number| {
            let (_, [major, minor]) = number.captures(rest)?.extract();
            Some((major.parse().ok()?, minor.parse().ok()?))
        });
        let (major, minor) = self.oldest();
        match version {
            Some(version) if version >= self.oldest() => Ok(version),
            Some((a, b)) => Err(format!("is version {a}.{b}, and {major}.{minor} or later is needed")),
            None => Err(format!("says no version (\"{first}\")")),
        }
    }
}

/// Finds `program`, or obtains it; `say` is told before anything is fetched.
pub(crate) async fn find(
    settings: &Settings,
    program: Program,
    say: &(dyn Fn(String) + Sync),
) -> anyhow::Result<Found> {
    let mut refused = Vec::new();
    let mut places = Vec::new();
    places.extend(settings.stack_bin().map(|folder| ("STACK_BIN", folder)));
    places.extend(settings.path().into_iter().map(|folder| ("PATH", folder)));
    for (source, folder) in places {
        if let Some(found) = look(program, source, &folder, &mut refused).await {
            return Ok(found);
        }
    }
    cached(settings, program, refused, say).await
}

/// Finds `program` in the cache, or obtains it, whatever else this machine has.
pub(crate) async fn cached(
    settings: &Settings,
    program: Program,
    mut refused: Vec<String>,
    say: &(dyn Fn(String) + Sync),
) -> anyhow::Result<Found> {
    let cache = settings.cache().join("programs");
    let folder = obtain::folder(program, &cache);
    if let Some(found) = look(program, "cache", &folder, &mut refused).await {
        return Ok(found);
    }
    say(format!("{} is not here yet: obtaining it", program.name()));
    let problem = match obtain::obtain(program, &cache).await {
        Ok(()) => match look(program, "cache", &folder, &mut refused).await {
            Some(found) => return Ok(found),
            None => "what was obtained does not run".to_owned(),
        },
        Err(error) => format!("{error:#}"),
    };
    bail!(missing(program, &problem, &refused))
}

async fn look(program: Program, source: &'static str, folder: &Path, refused: &mut Vec<String>) -> Option<Found> {
    for path in program.files().iter().map(|file| folder.join(file)) {
        // A link on PATH leads to the folder where the rest is.
        let Some(path) = path.canonicalize().ok().filter(|path| path.is_file()) else {
            continue;
        };
        let missing = program.company().iter().find(|file| !path.with_file_name(file).is_file());
        if let Some(missing) = missing {
            refused.push(format!("{} has no {missing} beside it", path.display()));
            continue;
        }
        match ask(program, &path).await {
            Ok(version) => return Some(Found { path, version, source }),
            Err(problem) => refused.push(format!("{} {problem}", path.display())),
        }
    }
    None
}

async fn ask(program: Program, path: &Path) -> Result<(u32, u32), String> {
    let output = Command::new(path).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output();
    match timeout(PATIENCE, output).await {
        // Some versions answer on the error output.
        Ok(Ok(output)) if output.stdout.is_empty() => program.judge(&String::from_utf8_lossy(&output.stderr)),
        Ok(Ok(output)) => program.judge(&String::from_utf8_lossy(&output.stdout)),
        Ok(Err(error)) => Err(format!("cannot be started ({error})")),
        Err(_) => Err("does not answer --version".to_owned()),
    }
}

/// The sentence for a program that is neither here nor to be had.
fn missing(program: Program, problem: &str, refused: &[String]) -> String {
    let (major, minor) = program.oldest();
    let mut text = format!(
        "{} {major}.{minor} or later was not found, and could not be obtained: {problem}\n\
         Put it on PATH, or in a folder named by STACK_BIN.",
        program.name()
    );
    for reason in refused {
        text.push_str("\nNot taken: ");
        text.push_str(reason);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_accepted_by_what_it_says_about_itself() {
        let judge = |program: Program, text: &str| program.judge(text);

        assert_eq!(judge(Program::Postgres, "postgres (PostgreSQL) 18.6\n"), Ok((18, 6)));
        assert_eq!(judge(Program::Postgres, "postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)"), Ok((15, 8)));
        assert_eq!(
            judge(Program::Prometheus, "prometheus, version 2.42.0+ds (branch: debian/sid, revision: 2.42.0+ds-5)"),
            Ok((2, 42))
        );
        assert_eq!(judge(Program::Alertmanager, "alertmanager, version 0.34.2 (branch: HEAD)"), Ok((0, 34)));
    }

    #[test]
    fn a_namesake_or_an_old_version_is_refused_with_the_reason() {
        let refused = Program::Prometheus.judge("Prometheus 1.0, a text-to-speech engine").unwrap_err();
        assert!(refused.contains("another program"), "{refused}");

        let refused = Program::Postgres.judge("postgres (PostgreSQL) 13.16").unwrap_err();
        assert_eq!(refused, "is version 13.16, and 15.0 or later is needed");

        assert!(Program::Alertmanager.judge("").is_err());
    }

    #[test]
    fn a_missing_program_is_said_with_the_way_to_get_it() {
        let text = missing(Program::Postgres, "pip is missing", &["/usr/bin/postgres is version 13.2".to_owned()]);

        for part in ["PostgreSQL 15.0", "pip is missing", "STACK_BIN", "Not taken: /usr/bin/postgres"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
