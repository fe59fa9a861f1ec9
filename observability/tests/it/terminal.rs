//! `LOG_FORMAT=text` on a terminal.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::process::Command;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::program;

/// The first line of the example program on a terminal of its own.
fn first_line(settings: &[(&str, &str)]) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let screen = OpenOptions::new().read(true).write(true).open(name).unwrap();
    let mut command = Command::new(program::path());
    command.env_clear().env("LOG_FORMAT", "text").env("TERM", "xterm").envs(settings.iter().copied());
    let mut hello = command.stdout(screen).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(File::from(terminal)).read_line(&mut line).unwrap();
    hello.kill().unwrap();
    hello.wait().unwrap();
    line
}

#[test]
fn a_person_at_a_terminal_reads_coloured_lines_and_plain_ones_when_asked_for() {
    let coloured = first_line(&[]);
    assert!(coloured.contains("\u{1b}[") && coloured.contains("listening"), "{coloured:?}");
    let plain = first_line(&[("NO_COLOR", "1")]);
    assert!(!plain.contains('\u{1b}') && plain.contains("INFO") && plain.contains("listening"), "{plain:?}");
}
