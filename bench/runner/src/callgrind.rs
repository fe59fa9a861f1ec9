//! Instructions per request, counted by callgrind from after the warm-up until the last span has left.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context as _, ensure};

use crate::load;
use crate::profile::Profile;
use crate::server::{Server, Subject};

const CONNECTIONS: usize = 16;
const WARM_UP: usize = 1_600;
const REQUESTS: usize = 9_600;
/// Longer than spans and lines wait for others of their kind.
const SETTLE: Duration = Duration::from_millis(1_200);

/// No database, no span but the request's.
pub(crate) const PATH: &str = "/v1/ping/7";
/// The same with one more span.
pub(crate) const CHILD: &str = "/v1/child/7";

/// User instructions of one request, by function; the export of its spans is among them.
pub(crate) fn profile(subject: Subject, path: &str, collector: &str) -> anyhow::Result<Profile> {
    let out = env::temp_dir().join(format!("callgrind-{}.out", std::process::id()));
    let wrapper = ["valgrind", "--tool=callgrind", "--quiet", "--compress-strings=no", "--compress-pos=no"];
    let wrapper = wrapper.map(str::to_owned).into_iter().chain([format!("--callgrind-out-file={}", out.display())]);
    let server = Server::start(subject, collector, &wrapper.collect::<Vec<_>>())?;
    load::in_lockstep(server.address, path, CONNECTIONS, WARM_UP)?;
    sleep(SETTLE);
    say(&server, "zero")?;
    load::in_lockstep(server.address, path, CONNECTIONS, REQUESTS)?;
    sleep(SETTLE);
    say(&server, "dump")?;
    server.stop()?;
    let dumped = Path::new(&format!("{}.1", out.display())).to_owned();
    let text = fs::read_to_string(&dumped).context("callgrind wrote nothing")?;
    fs::remove_file(dumped)?;
    fs::remove_file(out)?;
    Profile::read(&text, u64::try_from(REQUESTS)?)
}

/// Speaks to callgrind while it runs.
fn say(server: &Server, word: &str) -> anyhow::Result<()> {
    let mut vgdb = Command::new("vgdb");
    let status =
        vgdb.args([&format!("--pid={}", server.pid), word]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    ensure!(status.context("vgdb is needed: install valgrind")?.success(), "vgdb could not {word}");
    Ok(())
}
