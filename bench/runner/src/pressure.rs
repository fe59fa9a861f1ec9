//! As many requests as a server takes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::load::{Connection, request};

/// As many requests as go through in `time`; returns their latencies, sorted.
pub(crate) fn for_a_while(
    address: SocketAddr,
    path: &str,
    connections: usize,
    time: Duration,
) -> anyhow::Result<Vec<Duration>> {
    let end = Instant::now() + time;
    let threads: Vec<_> = (0..connections)
        .map(|_| {
            let request = request(path);
            std::thread::spawn(move || -> anyhow::Result<Vec<Duration>> {
                let mut connection = Connection::open(address)?;
                let mut latencies = Vec::new();
                while Instant::now() < end {
                    let asked = Instant::now();
                    connection.ask(&request)?;
                    connection.read()?;
                    latencies.push(asked.elapsed());
                }
                Ok(latencies)
            })
        })
        .collect();
    let mut all = Vec::new();
    for thread in threads {
        all.extend(thread.join().map_err(|_| anyhow::anyhow!("a connection's thread panicked"))??);
    }
    all.sort_unstable();
    Ok(all)
}
