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

/// A program that is not built here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Postgres,
    Prometheus,
    Alertmanager,
    Loki,
    Jaeger,
    Collector,
    PostgresExporter,
    K6,
}

/// How a program is recognised.
struct Signs {
    name: &'static str,
    /// Its files in a folder of programs.
    files: &'static [&'static str],
    /// How a line of `--version` begins.
    introduction: &'static str,
    /// What has to lie beside it.
    company: &'static [&'static str],
    /// 0.0: a build that says no version is welcome, too.
    oldest: (u32, u32),
}

/// Where it is, and which one it is.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) version: (u32, u32),
    /// `STACK_BIN`, `PATH` or `cache`.
    pub(crate) source: &'static str,
}

impl Found {
    /// As a person reads it.
    pub(crate) fn describe(&self, program: Program) -> String {
        let (major, minor) = self.version;
        let version = if self.version == (0, 0) { String::new() } else { format!(" {major}.{minor}") };
        format!("{}{version} ({}: {})", program.name(), self.source, self.path.display())
    }
}

impl Program {
    pub(crate) fn name(self) -> &'static str {
        self.signs().name
    }

    fn signs(self) -> Signs {
        let (name, files, introduction, oldest): (_, &[_], _, _) = match self {
            Self::Postgres => ("PostgreSQL", &["postgres/bin/postgres", "postgres"], "postgres (PostgreSQL) ", (15, 0)),
            Self::Prometheus => ("Prometheus", &["prometheus"], "prometheus, version ", (2, 42)),
            // Debian calls it by another name.
            Self::Alertmanager => {
                ("Alertmanager", &["alertmanager", "prometheus-alertmanager"], "alertmanager, version ", (0, 25))
            }
            Self::Loki => ("Loki", &["loki"], "loki, version ", (0, 0)),
            Self::Jaeger => ("Jaeger", &["jaeger"], "jaeger version v", (2, 0)),
            Self::Collector => ("the collector", &["otelcol-contrib"], "otelcol-contrib version ", (0, 120)),
            Self::PostgresExporter => (
                "postgres_exporter",
                &["postgres_exporter", "prometheus-postgres-exporter"],
                "postgres_exporter, version ",
                (0, 15),
            ),
            Self::K6 => ("k6", &["k6"], "k6 v", (1, 0)),
        };
        let company: &[_] = if self == Self::Postgres { &["initdb", "pg_isready"] } else { &[] };
        Signs { name, files, introduction, company, oldest }
    }

    /// The version in what `--version` says, or why this is not the program.
    fn judge(self, text: &str) -> Result<(u32, u32), String> {
        let Signs { introduction, oldest, .. } = self.signs();
        let first = text.lines().next().unwrap_or_default();
        let Some(rest) = text.lines().find_map(|line| line.strip_prefix(introduction)) else {
            return Err(format!("is another program (it says \"{first}\")"));
        };
        let version = NUMBER.as_ref().and_then(|number| {
            let (_, [major, minor]) = number.captures(rest)?.extract();
            Some((major.parse().ok()?, minor.parse().ok()?))
        });
        match version {
            Some(version) if version >= oldest => Ok(version),
            Some((a, b)) => Err(format!("is version {a}.{b}, and {}.{} or later is needed", oldest.0, oldest.1)),
            None if oldest == (0, 0) => Ok(oldest),
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
    match present(settings, program).await {
        Ok(found) => Ok(found),
        Err(refused) => cached(settings, program, refused, say).await,
    }
}

/// Finds `program` on this machine, or says why what bears its name was not taken.
pub(crate) async fn present(settings: &Settings, program: Program) -> Result<Found, Vec<String>> {
    let mut refused = Vec::new();
    let mut places = Vec::new();
    places.extend(settings.stack_bin().map(|folder| ("STACK_BIN", folder)));
    places.extend(settings.path().into_iter().map(|folder| ("PATH", folder)));
    for (source, folder) in places {
        if let Some(found) = look(program, source, &folder, &mut refused).await {
            return Ok(found);
        }
    }
    Err(refused)
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
    for path in program.signs().files.iter().map(|file| folder.join(file)) {
        // A link on PATH leads to the folder where the rest is.
        let Some(path) = path.canonicalize().ok().filter(|path| path.is_file()) else {
            continue;
        };
        let missing = program.signs().company.iter().find(|file| !path.with_file_name(file).is_file());
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
        // Some answer on the error output, and some say something else before.
        Ok(Ok(output)) => program.judge(&String::from_utf8_lossy(&[output.stdout, output.stderr].concat())),
        Ok(Err(error)) => Err(format!("cannot be started ({error})")),
        Err(_) => Err("does not answer --version".to_owned()),
    }
}

/// The sentence for a program that is neither here nor to be had.
fn missing(program: Program, problem: &str, refused: &[String]) -> String {
    let (major, minor) = program.signs().oldest;
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
    use std::{fs, os::unix::fs::PermissionsExt};

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
        assert_eq!(judge(Program::Loki, "loki, version  (branch: , revision: unknown)\n"), Ok((0, 0)));
        assert_eq!(judge(Program::Jaeger, "2026/11/20 application version\njaeger version v2.17.0\n"), Ok((2, 17)));
    }

    #[test]
    fn a_namesake_or_an_old_version_is_refused_with_the_reason() {
        let refused = Program::Prometheus.judge("Prometheus 1.0, a text-to-speech engine").unwrap_err();
        assert!(refused.contains("another program"), "{refused}");

        let refused = Program::Postgres.judge("postgres (PostgreSQL) 13.16").unwrap_err();
        assert_eq!(refused, "is version 13.16, and 15.0 or later is needed");

        assert!(Program::Alertmanager.judge("").is_err());
        assert!(Program::Loki.judge("Loki 2.4.7: linkage analysis on general pedigrees").is_err());
    }

    #[tokio::test]
    async fn a_namesake_on_the_path_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let namesake = folder.path().join("loki");
        fs::write(&namesake, "#!/bin/sh\necho linkage analysis on general pedigrees\n").unwrap();
        fs::set_permissions(&namesake, fs::Permissions::from_mode(0o755)).unwrap();
        let mut refused = Vec::new();

        assert!(look(Program::Loki, "PATH", folder.path(), &mut refused).await.is_none());

        assert!(refused.concat().ends_with("is another program (it says \"linkage analysis on general pedigrees\")"));
    }

    #[test]
    fn a_missing_program_is_said_with_the_way_to_get_it() {
        let text = missing(Program::Postgres, "pip is missing", &["/usr/bin/postgres is version 13.2".to_owned()]);

        for part in ["PostgreSQL 15.0", "pip is missing", "STACK_BIN", "Not taken: /usr/bin/postgres"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
