//! The components' own output, and what in it tells a person why something failed.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::LazyLock,
};

use regex::Regex;

/// Enough for the last words of any component.
const TAIL: u64 = 64 * 1024;
/// Longer output of earlier runs is set aside.
const KEPT: u64 = 8 * 1024 * 1024;

static ERROR: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?i:\b(level|error_severity)"?[=:] ?"?(error|fatal|panic)\b)|\b(ERROR|FATAL|PANIC): |^[Ee]rror\b|panicked at"#).ok()
});

/// Opens the log for a process that starts now.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|file| file.len() > KEPT) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    File::options().create(true).append(true).open(path)
}

/// How much there is already, for [`tail`].
pub(crate) fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

/// The last `count` lines of those behind `start`.
pub(crate) fn tail(path: &Path, start: u64, count: usize) -> Vec<String> {
    let text = end_of(path, start).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let start = lines.len().saturating_sub(count);
    lines.iter().skip(start).map(|line| (*line).to_owned()).collect()
}

/// The last line that reports an error. A part may write into a folder named like its log instead.
pub(crate) fn last_error(path: &Path) -> Option<String> {
    let written = |path: &PathBuf| fs::metadata(path).and_then(|file| file.modified()).ok();
    let beside = fs::read_dir(path.with_extension("")).into_iter().flatten().flatten().map(|entry| entry.path());
    let newest = beside.chain([path.to_owned()]).max_by_key(written)?;
    last_error_in(&end_of(&newest, 0).ok()?)
}

/// The last line of a log's text that reports an error.
pub(crate) fn last_error_in(text: &str) -> Option<String> {
    let error = ERROR.as_ref()?;
    text.lines().rev().find(|line| error.is_match(line)).map(str::to_owned)
}

fn end_of(path: &Path, start: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    // Shorter than before: it was set aside meanwhile.
    let start = if start > length { 0 } else { start };
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL).max(start)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_every_component_are_recognised() {
        let error = ERROR.as_ref().unwrap();
        for line in [
            r#"time=2026-11-20T10:00:00Z level=ERROR source=main.go:1 msg="Unable to start web listener""#,
            r#"ts=2026-11-20T10:00:00Z caller=main.go:1 level=error component=dispatcher msg="Notify failed""#,
            r#"{"timestamp":"2026-11-20T10:00:00Z","level":"ERROR","message":"the database does not answer"}"#,
            "2026-11-20 10:00:00 UTC [12] FATAL:  could not create any TCP/IP sockets",
            r#"{"timestamp":"2026-11-20 10:00:00.000 UTC","error_severity":"FATAL","message":"the port is taken"}"#,
            "Error: DATABASE_URL is not set",
        ] {
            assert!(error.is_match(line), "{line}");
        }
        for line in [
            r#"{"level":"INFO","message":"no error: all is well"}"#,
            "2026-11-20 10:00:00 UTC [12] LOG:  database system is ready",
        ] {
            assert!(!error.is_match(line), "{line}");
        }
    }
}
