//! Server-sent events: open pages hear that something changed, and fetch it.
use std::convert::Infallible;
use std::time::Duration;

use actix_web::web::{self, Bytes};
use actix_web::{HttpResponse, http::header::CONTENT_TYPE};
use futures_util::stream;
use tokio::sync::watch::Receiver;

use crate::bell::Signal;
use crate::server::Relay;

/// Keeps the connection open through proxies, and the ages on the page true.
const TICK: Duration = Duration::from_secs(15);
/// A page that comes back after a break fetches what it missed.
const HELLO: &str = "retry: 2000\nevent: change\ndata: hello\n\n";

/// `GET /events`: `change` when an incident or a delivery changed, `tick` now and then.
pub(crate) async fn stream(relay: web::Data<Relay>) -> HttpResponse {
    let first = (relay.bell.listen(), Some(HELLO));
    let events = stream::unfold(first, async |(mut bell, hello): (Receiver<Signal>, Option<&'static str>)| {
        let event = match hello {
            Some(hello) => hello,
            None => next(&mut bell).await?,
        };
        Some((Ok::<_, Infallible>(Bytes::from_static(event.as_bytes())), (bell, None)))
    });
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/event-stream")).streaming(events)
}

async fn next(bell: &mut Receiver<Signal>) -> Option<&'static str> {
    let event = tokio::select! {
        changed = bell.changed() => changed.ok().map(|()| "event: change\ndata: \n\n"),
        () = tokio::time::sleep(TICK) => Some("event: tick\ndata: \n\n"),
    };
    event.filter(|_| !bell.borrow().stopping)
}
