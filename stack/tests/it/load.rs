//! The light traffic.

use std::{io::Write, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::Command,
    time::timeout,
};

const STARTED_WITHIN: Duration = Duration::from_secs(30);
/// The first request of any rate comes at once.
const QUIET_FOR: Duration = Duration::from_secs(2);

#[tokio::test]
async fn at_no_requests_a_second_it_idles_and_does_not_end() {
    if stack::missing().await.unwrap().contains(&"load") {
        // Past the harness, which shows the output of failed tests only.
        writeln!(std::io::stdout(), "SKIPPED: needs k6").unwrap();
        return;
    }
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("BASE_URL=http://{}", service.local_addr().unwrap());
    let run = r#"PATH="${STACK_BIN:+$STACK_BIN:}$PATH" exec k6 run --verbose --no-usage-report --address= "$@" ../load/orders.js"#;
    let mut command = Command::new("sh");
    command.args(["-c", run, "k6", "--env", &base, "--env", "LOAD_RPS=0"]).kill_on_drop(true);
    let mut k6 = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(k6.stderr.take().unwrap()).lines();
    let started = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("Starting executor run") {
                return true;
            }
        }
        false
    };
    assert!(timeout(STARTED_WITHIN, started).await.unwrap());

    let anything = async {
        tokio::select! {
            status = k6.wait() => format!("it ended: {status:?}"),
            _ = service.accept() => "it sent a request".to_owned(),
        }
    };
    let happened = timeout(QUIET_FOR, anything).await;

    assert!(happened.is_err(), "{happened:?}");
}
