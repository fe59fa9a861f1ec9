//! Instructions per request: the difference of two runs, so that start and end do not count.

use std::fs;

use anyhow::Context as _;

use crate::load;
use crate::server::{Server, Subject};

const CONNECTIONS: usize = 16;
const FEW: usize = 1_600;
const MANY: usize = 11_200;
pub(crate) const PATH: &str = "/v1/ping/7";

/// User instructions of one request, the export of its span included.
pub(crate) fn instructions(subject: Subject, collector: &str) -> anyhow::Result<u64> {
    let few = total(subject, collector, FEW)?;
    let many = total(subject, collector, MANY)?;
    Ok((many - few) / u64::try_from(MANY - FEW)?)
}

fn total(subject: Subject, collector: &str, requests: usize) -> anyhow::Result<u64> {
    let name = format!("callgrind-{}-{}-{requests}.out", subject.program, subject.sampled);
    let out = std::env::temp_dir().join(name);
    let wrapper = ["valgrind", "--tool=callgrind", "--quiet"].map(str::to_owned);
    let wrapper = [wrapper.as_slice(), &[format!("--callgrind-out-file={}", out.display())]].concat();
    let server = Server::start(subject, collector, &wrapper)?;
    load::in_lockstep(server.address, PATH, CONNECTIONS, requests)?;
    server.stop()?;
    let profile = fs::read_to_string(&out)?;
    let totals = profile.lines().find_map(|line| line.strip_prefix("totals:").or(line.strip_prefix("summary:")));
    let total = totals.context("callgrind wrote no totals")?.trim().parse()?;
    if std::env::var_os("KEEP_CALLGRIND").is_none() {
        fs::remove_file(out)?;
    }
    Ok(total)
}
