//! A collector to be treated badly: it takes OTLP on a port of its own, and remembers every span.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

/// What it does with a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Behaviour {
    Accept,
    Answer(u16),
    /// Takes the request, but not the first of its spans.
    Reject,
    /// Takes the request, and never answers.
    Swallow,
    Slow(Duration),
    /// Closes its port.
    Stop,
}

#[derive(Debug)]
pub(crate) struct Collector {
    port: u16,
    seen: Arc<Mutex<Seen>>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Seen {
    behaviour: Behaviour,
    requests: usize,
    spans: Vec<Span>,
    resources: Vec<String>,
    held: Vec<TcpStream>,
}

impl Collector {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Seen {
            behaviour: Behaviour::Accept,
            requests: 0,
            spans: Vec::new(),
            resources: Vec::new(),
            held: Vec::new(),
        };
        let mut collector = Self { port, seen: Arc::new(Mutex::new(seen)), listener: None };
        collector.listen(listener);
        collector
    }

    fn listen(&mut self, listener: TcpListener) {
        let seen = Arc::clone(&self.seen);
        self.listener = Some(std::thread::spawn(move || {
            for stream in listener.incoming() {
                if seen.lock().unwrap().behaviour == Behaviour::Stop {
                    return;
                }
                let (stream, seen) = (stream.unwrap(), Arc::clone(&seen));
                std::thread::spawn(move || while serve(&stream, &seen).is_some() {});
            }
        }));
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Behaves like this from the next request on. Closes connections that it has not answered, as a restart does.
    pub(crate) fn behave(&mut self, behaviour: Behaviour) {
        let mut seen = self.seen.lock().unwrap();
        seen.behaviour = behaviour;
        seen.held.clear();
        drop(seen);
        if behaviour == Behaviour::Stop {
            let _ = TcpStream::connect(("127.0.0.1", self.port));
            self.listener.take().unwrap().join().unwrap();
        } else if self.listener.is_none() {
            self.listen(TcpListener::bind(("127.0.0.1", self.port)).unwrap());
        }
    }

    pub(crate) fn requests(&self) -> usize {
        self.seen.lock().unwrap().requests
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.seen.lock().unwrap().spans.clone()
    }

    /// How many spans it has of this name.
    pub(crate) fn named(&self, name: &str) -> usize {
        self.seen.lock().unwrap().spans.iter().filter(|span| span.name == name).count()
    }

    /// The resource of each request it took, as text.
    pub(crate) fn resources(&self) -> Vec<String> {
        self.seen.lock().unwrap().resources.clone()
    }

    pub(crate) fn wait_for_spans(&self, number: usize) {
        wait_until("the spans are there", || self.seen.lock().unwrap().spans.len() >= number);
    }
}

/// Waits for a condition, half a minute at most.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// One request. None when the connection is to be closed.
fn serve(stream: &TcpStream, seen: &Mutex<Seen>) -> Option<()> {
    let body = read(stream)?;
    let behaviour = {
        let mut seen = seen.lock().unwrap();
        seen.requests += 1;
        seen.behaviour
    };
    let status = match behaviour {
        Behaviour::Accept | Behaviour::Reject => 200,
        Behaviour::Answer(status) => status,
        Behaviour::Slow(pause) => {
            std::thread::sleep(pause);
            200
        }
        Behaviour::Swallow => {
            seen.lock().unwrap().held.push(stream.try_clone().unwrap());
            return None;
        }
        Behaviour::Stop => return None,
    };
    let rejected = usize::from(behaviour == Behaviour::Reject);
    if status == 200 {
        let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
        let mut seen = seen.lock().unwrap();
        for resource_spans in request.resource_spans {
            seen.resources.push(format!("{:?}", resource_spans.resource));
            let spans = resource_spans.scope_spans.into_iter().flat_map(|scope| scope.spans);
            seen.spans.extend(spans.skip(rejected));
        }
    }
    let partial =
        (rejected > 0).then(|| ExportTracePartialSuccess { rejected_spans: 1, error_message: "too old".into() });
    let body = ExportTraceServiceResponse { partial_success: partial }.encode_to_vec();
    let mut stream = stream;
    // Where a redirection would lead, there is another answer.
    write!(stream, "HTTP/1.1 {status} Status\r\nlocation: /v1/traces\r\ncontent-length: {}\r\n\r\n", body.len())
        .ok()?;
    stream.write_all(&body).ok()
}

fn read(stream: &TcpStream) -> Option<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
