//! Clients on the network that are slow, excessive, or many.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use sqlx::{ConnectOptions as _, PgPool};

use crate::support::program::Program;

fn url(pool: &PgPool) -> String {
    pool.connect_options().to_url_lossy().to_string()
}

/// Sends these bytes and returns what comes back until the end.
fn raw(address: &str, bytes: &[u8]) -> (String, Duration) {
    let asked = Instant::now();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    (String::from_utf8_lossy(&answer).into_owned(), asked.elapsed())
}

#[sqlx::test]
async fn a_client_that_is_slow_or_excessive_is_let_go(pool: PgPool) {
    let limits = [("REQUEST_TIMEOUT", "1s"), ("PAYMENTS_TIMEOUT", "300ms"), ("DATABASE_ACQUIRE_TIMEOUT", "500ms")];
    let program = Program::serve(&url(&pool), &limits);
    program.line("started");
    let head = "POST /v1/orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n";
    let deep = format!("{}\r\n\r\n{}", head.trim_end().replace("100", "100000"), "[".repeat(100_000));
    let long = format!("GET /v1/orders?status={} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "x".repeat(3000));
    let wide = format!("GET /v1/orders HTTP/1.1\r\nhost: x\r\nx: {}\r\nconnection: close\r\n\r\n", "x".repeat(20_000));
    let threads = [
        // A body that never comes.
        (head.as_bytes().to_vec(), "HTTP/1.1 408", "/problems/slow_client"),
        // A head that never ends.
        (b"GET /v1/orders HTTP/1.1\r\nhost:".to_vec(), "HTTP/1.1 408", ""),
        (deep.replace("host: x", "host: x\r\nconnection: close").into_bytes(), "HTTP/1.1 4", "/problems/"),
        (long.into_bytes(), "HTTP/1.1 414", "/problems/query_too_long"),
        (wide.into_bytes(), "HTTP/1.1 431", "/problems/head_too_large"),
    ]
    .map(|(bytes, status, kind)| {
        let address = program.public.clone();
        std::thread::spawn(move || (raw(&address, &bytes), status, kind))
    });
    for thread in threads {
        let ((answer, took), status, kind) = thread.join().unwrap();
        assert!(answer.starts_with(status) && answer.contains(kind), "{status} {kind}: {answer}");
        assert!(took < Duration::from_secs(12), "{status}: {took:?}");
    }
}

/// Nothing of the service hears of these, so no body says what is wrong, and nothing is counted.
#[sqlx::test]
async fn a_head_that_cannot_be_read_is_refused_without_a_word(pool: PgPool) {
    let program = Program::serve(&url(&pool), &[]);
    let many = format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(200));
    for (bytes, status) in [("nonsense\r\n\r\n", "HTTP/1.1 400"), (many.as_str(), "HTTP/1.1 431")] {
        let (answer, _) = raw(&program.public, bytes.as_bytes());
        assert!(answer.starts_with(status) && answer.ends_with("\r\n\r\n"), "{answer}");
    }
    let metrics = program.probe("/metrics").1;
    assert!(!metrics.contains("http_server_request_duration_seconds_count"), "{metrics}");
}

/// A whole request, then half of another one; and whether the first was answered within this time.
fn hold(address: &str, patience: Duration) -> (TcpStream, bool) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(patience)).unwrap();
    stream.write_all(b"GET /problems HTTP/1.1\r\nhost: x\r\n\r\nGET /problems HTTP/1.1\r\n").unwrap();
    let answered = stream.read(&mut [0; 512]).is_ok_and(|length| length > 0);
    (stream, answered)
}

#[sqlx::test]
async fn clients_that_keep_connections_leave_some_files_to_the_rest_of_the_service(pool: PgPool) {
    let program = Program::serve(&url(&pool), &[("CONNECTION_LIMIT", "2")]);
    let mut held = Vec::new();
    let mut waiting = loop {
        let (stream, answered) = hold(&program.public, Duration::from_millis(500));
        if !answered {
            break stream;
        }
        held.push(stream);
        assert!(held.len() <= 2, "more connections are taken than may be");
    };
    drop(held);
    waiting.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert!(waiting.read(&mut [0; 512]).unwrap() > 0, "who waits is answered when others have gone");
}
