//! Taking an incident and noting something on it. Every form carries a signed permission that works once, so no other
//! site can send it; opening a link shows the form and changes nothing.
use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use super::{missing, pages, session, show, unreadable};
use crate::message::{clean, cut};
use crate::metrics::ACKNOWLEDGE_SECONDS;
use crate::server::Relay;
use crate::store::{Act, Acted};
use crate::time;

const NAME: usize = 60;
const NOTE: usize = 1000;

#[derive(Deserialize)]
pub(super) struct Form {
    who: String,
    #[serde(default)]
    note: String,
}

/// `GET /act/<permission>`: the form to which a link in a message leads.
pub(super) async fn ask(relay: web::Data<Relay>, token: web::Path<String>) -> HttpResponse {
    let Some(permission) = relay.actions.check(&token, time::now()) else { return expired() };
    let entry = relay.store.incident(&permission.code).await;
    show(entry.map(|entry| entry.map(|entry| pages::act(&entry.incident, &token))))
}

/// `POST /act/<permission>`: takes the incident, or notes something when there is a note.
pub(super) async fn act(
    relay: web::Data<Relay>,
    request: HttpRequest,
    token: web::Path<String>,
    form: web::Form<Form>,
) -> HttpResponse {
    let now = time::now();
    let Some(permission) = relay.actions.check(&token, now) else { return expired() };
    let who = cut(&clean(&form.who), NAME);
    let who = if who.is_empty() { "somebody".to_owned() } else { who };
    let note = cut(&clean(&form.note), NOTE);
    let act = if note.is_empty() { Act::Take } else { Act::Note(note) };
    match relay.store.act(&permission.code, &who, &act, &permission.nonce, now).await {
        Ok(acted @ (Acted::Done | Acted::FirstTaken(_))) => {
            if let Acted::FirstTaken(after) = acted {
                ACKNOWLEDGE_SECONDS.record([], time::seconds(after));
            }
            let from = request.peer_addr().map(|address| address.ip().to_string()).unwrap_or_default();
            tracing::info!(
                incident = permission.code,
                who,
                from,
                act = if matches!(act, Act::Take) { "take" } else { "note" },
                "somebody acted"
            );
            relay.bell.ring();
            session::see(&format!("/incidents/{}", permission.code))
        }
        Ok(Acted::Spent) => done("This form was sent before. Open the incident again to act once more."),
        Ok(Acted::TooLate) => done("The incident is over, so there is nothing to take."),
        Err(error) => unreadable(&error),
    }
}

fn expired() -> HttpResponse {
    missing("This link is not valid, or older than a day. Open the incident in the inbox.")
}

fn done(what: &'static str) -> HttpResponse {
    super::problem("spent", 409, "Nothing done", what)
}
