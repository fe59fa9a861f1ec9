//! Requests over connections that stay open.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};

pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    line: String,
    body: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { stream: BufReader::new(stream), line: String::new(), body: Vec::new() })
    }

    pub(crate) fn ask(&mut self, request: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.get_mut().write_all(request)?)
    }

    pub(crate) fn read(&mut self) -> anyhow::Result<()> {
        let mut length = 0;
        let mut first = true;
        loop {
            self.line.clear();
            if self.stream.read_line(&mut self.line)? == 0 {
                bail!("the server closed the connection");
            }
            if first && !self.line.starts_with("HTTP/1.1 200") {
                bail!("it answered {}", self.line.trim());
            }
            first = false;
            if let Some(value) = self.line.strip_prefix("content-length:") {
                length = value.trim().parse().context("content-length")?;
            }
            if self.line == "\r\n" {
                break;
            }
        }
        self.body.resize(length, 0);
        Ok(self.stream.read_exact(&mut self.body)?)
    }
}

pub(crate) fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n").into_bytes()
}

/// The same requests in the same order every time: all connections ask, then all are read.
pub(crate) fn in_lockstep(address: SocketAddr, path: &str, connections: usize, requests: usize) -> anyhow::Result<()> {
    let request = request(path);
    let mut open = (0..connections).map(|_| Connection::open(address)).collect::<anyhow::Result<Vec<_>>>()?;
    for _ in 0..requests / connections {
        for connection in &mut open {
            connection.ask(&request)?;
        }
        for connection in &mut open {
            connection.read()?;
        }
    }
    Ok(())
}
