//! The log file: tracing-appender's, which begins a new one every hour. Around it, what it has not: a
//! limit on all bytes, and care for a file that somebody has moved or deleted.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use tracing_appender::rolling::{RollingFileAppender, Rotation};

use super::{Undelivered, write_lines};

/// Files kept, the current one included.
const FILES_KEPT: usize = 24;
/// A file that holds this part of all bytes allowed is full: what is deleted for room is a part, not all.
const PARTS: u64 = 8;

#[derive(Debug)]
pub(super) struct LogFile {
    directory: PathBuf,
    service: String,
    max_bytes: u64,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    appender: RollingFileAppender,
    /// What follows the hour in the name: `jsonl`, or `1.jsonl` where the first was full.
    suffix: String,
    path: PathBuf,
    inode: Option<u64>,
    /// The hour has passed: the next line is the first of a new file.
    turns: bool,
}

impl LogFile {
    /// Opens the file of this hour, and creates its folder.
    pub(super) fn open(directory: &Path, service: &str, max_bytes: u64) -> io::Result<Self> {
        let mut file = Self { directory: directory.into(), service: service.into(), max_bytes, open: None };
        file.current()?;
        Ok(file)
    }

    /// Appends whole lines. Where the disk takes only a part, the torn line is taken back.
    pub(super) fn write(&mut self, lines: &[u8]) -> Result<(), Undelivered> {
        let open = self.current().map_err(|error| Undelivered::all(lines, error))?;
        let result = write_lines(&mut open.appender, lines);
        if let Err(undelivered) = &result
            && let Ok(file) = OpenOptions::new().write(true).open(&open.path)
            && let Ok(held) = file.metadata()
        {
            // Fails where nothing can be written at all; then nothing was torn either.
            let _ = file.set_len(held.len().saturating_sub(undelivered.torn));
        }
        if std::mem::take(&mut open.turns) {
            open.inode = inode(&open.path);
        }
        result
    }

    /// The file that is to be written now.
    fn current(&mut self) -> io::Result<&mut Open> {
        let hour = DateTime::<Utc>::from(SystemTime::now()).format("%Y-%m-%d-%H").to_string();
        let part = self.max_bytes / PARTS;
        if let Some(open) = &mut self.open {
            let path = self.directory.join(format!("{}.{hour}.{}", self.service, open.suffix));
            if path != open.path {
                // The appender turns the hour itself, with the next line.
                open.path = path;
                open.turns = true;
                self.prune();
            }
        }
        if self.open.as_ref().is_none_or(|open| !open.is_in_place(part)) {
            // Closed first: its space is free for the next only then.
            self.open = None;
            fs::create_dir_all(&self.directory)?;
            self.prune();
            self.open = Some(self.begin(&hour, part)?);
        }
        self.open.as_mut().ok_or_else(|| io::Error::other("no log file"))
    }

    /// Opens the first file of the hour that is not full.
    fn begin(&self, hour: &str, part: u64) -> io::Result<Open> {
        let named = |suffix: &str| self.directory.join(format!("{}.{hour}.{suffix}", self.service));
        let is_full = |suffix: &String| fs::metadata(named(suffix)).is_ok_and(|held| held.len() >= part);
        let mut suffix = "jsonl".to_owned();
        let mut number = 0;
        while is_full(&suffix) {
            number += 1;
            suffix = format!("{number}.jsonl");
        }
        let appender = RollingFileAppender::builder()
            .rotation(Rotation::HOURLY)
            .filename_prefix(&self.service)
            .filename_suffix(&suffix)
            .build(&self.directory)
            .map_err(io::Error::other)?;
        let path = named(&suffix);
        Ok(Open { appender, suffix, inode: inode(&path), path, turns: false })
    }

    /// Deletes the oldest files of this service, until there is room for another.
    fn prune(&self) {
        let prefix = format!("{}.", self.service);
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten().map(|entry| entry.path());
        let ours = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(&prefix)) && path.extension().is_some_and(|end| end == "jsonl")
        };
        let mut files: Vec<_> = entries
            .filter(ours)
            .filter_map(|path| fs::metadata(&path).ok().map(|held| (held.modified().ok(), held.len(), path)))
            .collect();
        files.sort();
        let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        let mut left = files.len();
        for (_, size, path) in files {
            if left < FILES_KEPT && bytes + self.max_bytes / PARTS <= self.max_bytes {
                return;
            }
            let _ = fs::remove_file(path);
            bytes -= size;
            left -= 1;
        }
    }
}

impl Open {
    /// Whether its name still leads to the file that was opened, and that is not full.
    fn is_in_place(&self, part: u64) -> bool {
        self.turns || fs::metadata(&self.path).is_ok_and(|held| Some(held.ino()) == self.inode && held.len() < part)
    }
}

fn inode(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|held| held.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own, which goes with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("log-file-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn files(&self) -> Vec<(String, u64)> {
            let entries = fs::read_dir(&self.0).unwrap().map(Result::unwrap);
            let entries =
                entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len()));
            entries.collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn all_files_together_stay_below_the_limit_and_the_newest_lines_are_there() {
        let folder = Folder::new("limit");
        let mut file = LogFile::open(&folder.0, "orders", 8000).unwrap();
        for number in 0..1000 {
            file.write(format!("{{\"number\":{number},\"filler\":\"{}\"}}\n", "x".repeat(60)).as_bytes()).unwrap();
            let bytes: u64 = folder.files().iter().map(|(_, bytes)| bytes).sum();
            assert!(bytes <= 8000 + 100, "{bytes} bytes in {:?}", folder.files());
        }
        let files = folder.files();
        let texts: String = files.iter().map(|(name, _)| fs::read_to_string(folder.0.join(name)).unwrap()).collect();
        assert!(
            (900..1000).all(|number| texts.contains(&format!("\"number\":{number},"))) || texts.lines().count() > 60
        );
        assert!(texts.contains("\"number\":999,"));
    }

    #[test]
    fn files_of_others_are_left_alone_and_no_more_than_two_dozen_of_ours_are_kept() {
        let folder = Folder::new("kept");
        for number in 10..50 {
            fs::write(folder.0.join(format!("orders.2026-01-{number}.jsonl")), "{}\n").unwrap();
            fs::write(folder.0.join(format!("relay.2026-01-{number}.jsonl")), "{}\n").unwrap();
        }
        LogFile::open(&folder.0, "orders", 1 << 30).unwrap();
        let count = |service: &str| folder.files().iter().filter(|(name, _)| name.starts_with(service)).count();
        assert_eq!((count("orders"), count("relay")), (FILES_KEPT, 40));
    }

    #[test]
    fn a_file_that_was_deleted_or_moved_is_opened_anew() {
        let folder = Folder::new("moved");
        let mut file = LogFile::open(&folder.0, "orders", 1 << 30).unwrap();
        file.write(b"{\"a\":1}\n").unwrap();
        let name = folder.0.join(&folder.files()[0].0);
        fs::rename(&name, folder.0.join("orders.old")).unwrap();
        file.write(b"{\"a\":2}\n").unwrap();
        assert_eq!(fs::read_to_string(&name).unwrap(), "{\"a\":2}\n");
        fs::remove_file(&name).unwrap();
        file.write(b"{\"a\":3}\n").unwrap();
        assert_eq!(fs::read_to_string(&name).unwrap(), "{\"a\":3}\n");
        fs::remove_dir_all(&folder.0).unwrap();
        file.write(b"{\"a\":4}\n").unwrap();
        assert_eq!(fs::read_to_string(&name).unwrap(), "{\"a\":4}\n");
    }
}
