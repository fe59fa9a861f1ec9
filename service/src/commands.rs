//! What the command line offers besides serving. The image has no shell: operators, runbooks and
//! container probes reach a running service through these.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::Context as _;

use crate::{
    SERVICE,
    config::{Command, Config, Invocation, RunTimeSetting, show},
    database::{
        check,
        migrations::{self, Roles},
    },
    metrics,
    payments::stub,
    server,
};

/// How long `service migrate` waits for a database that is not there yet.
const MIGRATE_PATIENCE: Duration = Duration::from_mins(1);
/// How long the admin listener may take to answer.
const ADMIN_PATIENCE: Duration = Duration::from_secs(2);

/// Does what the command line says.
pub fn run(invocation: &Invocation) -> anyhow::Result<()> {
    let config = &invocation.config;
    match &invocation.command {
        Command::Serve => {
            config.validate()?;
            let telemetry = observability::init(SERVICE, &config.telemetry, metrics::ALL)?;
            actix_web::rt::System::new().block_on(server::serve(config, telemetry.report()))
        }
        Command::Migrate => {
            config.validate()?;
            let _telemetry = observability::init(SERVICE, &config.telemetry, metrics::ALL)?;
            let roles = Roles::new(config)?;
            actix_web::rt::System::new()
                .block_on(migrations::migrate(&roles, MIGRATE_PATIENCE))
                .context("the migration failed: correct it, or the database, and run this again")
        }
        Command::Config { template: true } => print(&show::template()),
        Command::Config { template: false } => print(&show::effective(&invocation.settings)),
        Command::Check { offline } => {
            config.validate()?;
            print("the configuration is good\n")?;
            if *offline {
                return Ok(());
            }
            let roles = Roles::new(config)?;
            let owner = config.migrate.then_some(&roles.owner);
            let found = actix_web::rt::System::new().block_on(check::check(&config.connect_options()?, owner))?;
            print(&format!("{found}\n"))
        }
        Command::PaymentsStub => {
            let service = observability::Service { name: "payments-stub", ..SERVICE };
            let _telemetry = observability::init(service, &config.telemetry, &[])?;
            let listener = server::bind(config.payments_listen, "PAYMENTS_LISTEN")?;
            tracing::info!(listen = %listener.local_addr()?, "listening");
            actix_web::rt::System::new().block_on(stub::serve(listener)).context("the stub failed")
        }
        Command::Health => ask(config.admin_listen, "GET", "/health/ready", "").map(|_| ()),
        Command::Admin { setting } => print(&format!("{}\n", administer(config, setting)?)),
    }
}

/// Shows or changes what can be changed while the service runs; returns what then holds.
fn administer(config: &Config, setting: &RunTimeSetting) -> anyhow::Result<String> {
    let (listener, path, value) = match setting {
        RunTimeSetting::LogLevel { directives } => (config.admin_listen, "/log-level".to_owned(), directives.clone()),
        RunTimeSetting::Sampling { ratio } => (config.admin_listen, "/sampling".to_owned(), ratio.clone()),
        RunTimeSetting::Payments { behaviour } => (config.payments_listen, "/behaviour".to_owned(), behaviour.clone()),
        RunTimeSetting::Fault { kind, end, how } => {
            let path = kind.map_or_else(|| "/faults".to_owned(), |kind| format!("/faults/{}", kind.as_str()));
            if *end {
                return ask(config.admin_listen, "DELETE", &path, "");
            }
            let how = kind.map(|_| serde_json::to_string(how)).transpose()?;
            (config.admin_listen, path, how)
        }
    };
    match value {
        Some(value) => ask(listener, "PUT", &path, &value),
        None => ask(listener, "GET", &path, ""),
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    io::stdout().write_all(text.as_bytes()).context("cannot write to stdout")
}

/// Asks the admin listener of the service that runs here. Plain HTTP/1.0 by hand: a probe runs every
/// few seconds, and a client with TLS would need a certificate store that the image may lack.
fn ask(admin: SocketAddr, method: &str, path: &str, body: &str) -> anyhow::Result<String> {
    let address = reachable(admin);
    let answer = exchange(address, method, path, body).with_context(|| {
        format!("no service answers on {address}: is it running, with this ADMIN_LISTEN or PAYMENTS_LISTEN?")
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is not HTTP")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    anyhow::ensure!(status == "200", "{method} {path} was answered with {status}: {body}");
    Ok(body.to_owned())
}

fn exchange(address: SocketAddr, method: &str, path: &str, body: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ADMIN_PATIENCE)?;
    stream.set_read_timeout(Some(ADMIN_PATIENCE))?;
    let length = body.len();
    write!(stream, "{method} {path} HTTP/1.0\r\nhost: {address}\r\ncontent-length: {length}\r\n\r\n{body}")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Where to connect to reach a listener that listens everywhere.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
