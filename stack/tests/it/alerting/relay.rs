//! Plays the relay, and the chat around it: takes everything, in whatever path, and remembers it.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::Duration,
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, web};
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

/// Longer than the slow lane takes from one look to the next.
const PATIENCE: Duration = Duration::from_mins(1);

/// One request of Alertmanager's.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    pub(crate) at: Instant,
    pub(crate) path: String,
    pub(crate) body: Value,
}

impl Notice {
    /// Such as `firing DatabaseDown of orders in local`.
    pub(crate) fn headline(&self) -> String {
        let label = |name: &str| self.body["groupLabels"][name].as_str().unwrap_or_default();
        let status = self.body["status"].as_str().unwrap_or_default();
        headline(status, label("alertname"), label("service"), label("env"))
    }

    /// How many alerts it is about.
    pub(crate) fn size(&self) -> usize {
        self.body["alerts"].as_array().map_or(0, Vec::len)
    }
}

pub(crate) fn headline(status: &str, name: &str, service: &str, env: &str) -> String {
    format!("{status} {name} of {service} in {env}")
}

pub(super) struct Relay {
    pub(super) address: SocketAddr,
    /// Of the Alertmanager that speaks to it, for the reader of a failure.
    pub(super) version: String,
    notices: watch::Sender<Vec<Notice>>,
    server: ServerHandle,
}

impl Relay {
    pub(super) fn start(version: String) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let notices = watch::Sender::new(Vec::new());
        let kept = web::Data::new(notices.clone());
        let server =
            HttpServer::new(move || App::new().app_data(web::Data::clone(&kept)).default_service(web::to(keep)))
                .workers(1)
                .disable_signals()
                .listen(listener)
                .unwrap()
                .run();
        let handle = server.handle();
        #[expect(clippy::disallowed_methods, reason = "the player has no request context that a task could lose")]
        drop(tokio::spawn(server));
        Self { address, version, notices, server: handle }
    }

    pub(super) async fn heard(&self, what: &str, mut enough: impl FnMut(&[Notice]) -> bool) -> Vec<Notice> {
        let mut notices = self.notices.subscribe();
        let heard = timeout(PATIENCE, notices.wait_for(|notices| enough(notices))).await;
        let heard = heard.unwrap_or_else(|_| panic!("Alertmanager {}: waited in vain for {what}", self.version));
        heard.unwrap().clone()
    }

    pub(super) async fn hears_only(&self, expected: &[String]) {
        let mut notices = self.notices.subscribe();
        let complete = notices.wait_for(|notices| compare(notices, expected).0.is_empty());
        drop(timeout(PATIENCE, complete).await);
        let (missing, surplus) = compare(&self.notices.borrow(), expected);
        assert!(
            missing.is_empty() && surplus.is_empty(),
            "Alertmanager {}: missing {missing:#?}, told without need {surplus:#?}",
            self.version
        );
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // The order is given at once; the future would only wait for its end.
        drop(self.server.stop(false));
    }
}

/// What the relay was not told although it is `expected`, and the other way round.
fn compare(notices: &[Notice], expected: &[String]) -> (Vec<String>, Vec<String>) {
    let told = notices.iter().filter(|notice| notice.path == "/v1/alertmanager").map(Notice::headline);
    let mut surplus: Vec<_> = told.collect();
    let mut missing = Vec::new();
    for headline in expected {
        match surplus.iter().position(|told| told == headline) {
            Some(place) => drop(surplus.swap_remove(place)),
            None => missing.push(headline.clone()),
        }
    }
    (missing, surplus)
}

async fn keep(request: HttpRequest, body: web::Bytes, notices: web::Data<watch::Sender<Vec<Notice>>>) -> HttpResponse {
    let (at, path) = (Instant::now(), request.path().to_owned());
    let body = serde_json::from_slice(&body).unwrap();
    notices.send_modify(|notices| notices.push(Notice { at, path, body }));
    // As Slack does; of the relay only the status is read.
    HttpResponse::Ok().content_type("text/html").body("ok")
}
