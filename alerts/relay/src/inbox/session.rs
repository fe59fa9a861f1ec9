//! Who may look at the inbox: on this machine everybody, from elsewhere who has signed in with the token.
use std::time::Duration;

use actix_session::storage::CookieSessionStore;
use actix_session::{Session, SessionExt as _, SessionMiddleware};
use actix_web::body::MessageBody;
use actix_web::cookie::{Key, SameSite};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HeaderValue, LOCATION};
use actix_web::middleware::Next;
use actix_web::{HttpResponse, web};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

use super::{pages, show};
use crate::server::Relay;

const SIGNED_IN: &str = "signed_in";
/// Guessing takes its time.
const PENALTY: Duration = Duration::from_millis(500);

/// Whether somebody has to sign in, and with what.
#[derive(Debug)]
pub(crate) enum Door {
    Open,
    Token(SecretString),
    /// There is no token, so nobody can.
    Shut,
}

impl Door {
    fn fits(&self, given: &[u8]) -> bool {
        matches!(self, Self::Token(token) if bool::from(token.expose_secret().as_bytes().ct_eq(given)))
    }
}

/// Sessions live in an encrypted cookie that no other site can make the browser send.
pub(crate) fn sessions(key: &[u8], secure: bool) -> SessionMiddleware<CookieSessionStore> {
    SessionMiddleware::builder(CookieSessionStore::default(), Key::derive_from(key))
        .cookie_name("relay".to_owned())
        .cookie_same_site(SameSite::Strict)
        .cookie_secure(secure)
        .build()
}

/// Lets through who may see the inbox; programs send the token as a bearer.
pub(crate) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> actix_web::Result<ServiceResponse<actix_web::body::BoxBody>> {
    let door = request.app_data::<web::Data<Relay>>().map(|relay| &relay.door);
    let bearer = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    let bearer = bearer.strip_prefix(b"Bearer ").unwrap_or_default();
    let signed_in = || request.get_session().get::<bool>(SIGNED_IN).ok().flatten() == Some(true);
    // A signed link to one incident is a permission of its own; it must work from a chat.
    let public = matches!(request.path(), "/sign-in" | "/assets/inbox.css" | "/assets/icon.svg")
        || ["/act/", "/v1/alertmanager", "/v1/heartbeat"].iter().any(|path| request.path().starts_with(path));
    if public || door.is_some_and(|door| matches!(door, Door::Open) || door.fits(bearer) || signed_in()) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let response = if request.path().starts_with("/v1/") {
        super::problem(
            "unauthorized",
            401,
            "Not authorized",
            "Send `Authorization: Bearer` with the token of RELAY_SIGN_IN_TOKEN_FILE.",
        )
    } else {
        see("/sign-in")
    };
    Ok(request.into_response(response))
}

pub(super) async fn form(relay: web::Data<Relay>) -> HttpResponse {
    show(Ok(Some(pages::sign_in(matches!(relay.door, Door::Shut), false))))
}

#[derive(Deserialize)]
pub(super) struct Given {
    token: String,
}

pub(super) async fn sign_in(relay: web::Data<Relay>, session: Session, given: web::Form<Given>) -> HttpResponse {
    if relay.door.fits(given.token.trim().as_bytes()) && session.insert(SIGNED_IN, true).is_ok() {
        session.renew();
        return see("/");
    }
    tokio::time::sleep(PENALTY).await;
    tracing::warn!("somebody tried to sign in with a wrong token");
    show(Ok(Some(pages::sign_in(matches!(relay.door, Door::Shut), true))))
}

pub(super) async fn sign_out(session: Session) -> HttpResponse {
    session.purge();
    see("/sign-in")
}

pub(super) fn see(path: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, path)).finish()
}
