//! Who asks: a bearer JWT, signed with a shared secret or with a key from a JWKS URL. The token itself
//! is never logged; a wrong one gets 401, and no hint why. What a user may do is not decided here.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use jsonwebtoken::{
    AlgorithmFamily, DecodingKey, Validation, decode, decode_header,
    jwk::{Jwk, JwkSet},
};
use observability::client;
use reqwest::{Client, Url, redirect::Policy};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::{
    error::{ApiError, chain},
    failure::FailureType,
};

/// How long one call for keys may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often keys are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Renewal {
    /// Those that are held for longer are renewed; the requests do not wait for that.
    pub after: Duration,
    /// For a token with an unknown key, they are asked for again, but not more often than this: anybody can send such
    /// tokens.
    pub pause: Duration,
}

impl Default for Renewal {
    fn default() -> Self {
        Self { after: Duration::from_mins(5), pause: Duration::from_secs(10) }
    }
}

/// The user a request's token names.
#[derive(Clone, Debug)]
pub(crate) struct User(pub(crate) String);

/// How tokens are checked.
#[derive(Clone, Debug)]
pub struct Auth(Option<Arc<Verifier>>);

#[derive(Debug)]
struct Verifier {
    keys: Keys,
    issuer: Option<String>,
    audience: Option<String>,
}

enum Keys {
    Secret(DecodingKey),
    Url(Arc<Jwks>),
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Self::Secret(_)) { "Secret" } else { "Url" })
    }
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
}

impl Auth {
    /// Nobody is asked who they are.
    #[must_use]
    pub fn off() -> Self {
        Self(None)
    }

    /// Tokens signed with HS256.
    #[must_use]
    pub fn secret(secret: &SecretString, issuer: Option<String>, audience: Option<String>) -> Self {
        let keys = Keys::Secret(DecodingKey::from_secret(secret.expose_secret().as_bytes()));
        Self(Some(Arc::new(Verifier { keys, issuer, audience })))
    }

    /// Tokens signed with one of the keys found at `url`.
    pub fn jwks(url: Url, renewal: Renewal, issuer: Option<String>, audience: Option<String>) -> reqwest::Result<Self> {
        let mut builder = client::builder().redirect(Policy::none()).timeout(PATIENCE);
        if url.scheme() == "http" {
            builder = builder.no_proxy().tls_certs_only([]);
        }
        let client = builder.build()?;
        let jwks = Jwks { url, client, renewal, held: RwLock::default(), asking: Mutex::default() };
        let keys = Keys::Url(Arc::new(jwks));
        Ok(Self(Some(Arc::new(Verifier { keys, issuer, audience }))))
    }

    /// The user that a request's token names; `None` when nobody is asked.
    pub(crate) async fn user(&self, headers: &HeaderMap) -> Result<Option<User>, ApiError> {
        let Some(verifier) = &self.0 else { return Ok(None) };
        let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|header| header.split_once(' '));
        let Some((_, token)) = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) else {
            return Err(ApiError::Unauthorized);
        };
        verifier.verify(token.trim()).await.map(Some)
    }
}

impl Verifier {
    async fn verify(&self, token: &str) -> Result<User, ApiError> {
        let refuse = |_| ApiError::Unauthorized;
        let (key, family) = match &self.keys {
            Keys::Secret(key) => (key.clone(), AlgorithmFamily::Hmac),
            Keys::Url(jwks) => {
                let kid = decode_header(token).map_err(refuse)?.kid.ok_or(ApiError::Unauthorized)?;
                let key = DecodingKey::from_jwk(&jwks.find(&kid).await?).map_err(refuse)?;
                let family = key.family();
                // Else who knows the public keys could sign with one as if it were a secret.
                if family == AlgorithmFamily::Hmac {
                    return Err(ApiError::Unauthorized);
                }
                (key, family)
            }
        };
        let mut validation = Validation::new_for_family(family);
        validation.set_required_spec_claims(&["exp", "sub"]);
        validation.validate_nbf = true;
        validation.validate_aud = self.audience.is_some();
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".into());
        }
        if let Some(audience) = &self.audience {
            validation.set_audience(&[audience]);
            validation.required_spec_claims.insert("aud".into());
        }
        let Claims { sub } = decode(token, &key, &validation).map_err(refuse)?.claims;
        if sub.is_empty() || sub.len() > 128 {
            return Err(ApiError::Unauthorized);
        }
        Ok(User(sub))
    }
}

struct Jwks {
    url: Url,
    client: Client,
    renewal: Renewal,
    held: RwLock<Held>,
    /// Held by who asks.
    asking: Mutex<()>,
}

/// What the one who has the keys has said.
#[derive(Clone, Default)]
struct Held {
    keys: Option<Arc<JwkSet>>,
    /// When it was asked last, whatever came of it.
    asked: Option<Instant>,
    /// Why it has never given any.
    trouble: String,
}

impl Held {
    fn find(&self, kid: &str) -> Option<Jwk> {
        self.keys.as_ref()?.find(kid).cloned()
    }

    fn was_asked_within(&self, time: Duration) -> bool {
        self.asked.is_some_and(|asked| asked.elapsed() < time)
    }
}

impl Jwks {
    async fn find(self: &Arc<Self>, kid: &str) -> Result<Jwk, ApiError> {
        let held = self.held();
        if let Some(key) = held.find(kid) {
            if !held.was_asked_within(self.renewal.after) {
                observability::spawn(Arc::clone(self).renew(self.renewal.after));
            }
            return Ok(key);
        }
        // In a task, which goes on for those who wait for the same when this request is cut off.
        let _ = observability::spawn(Arc::clone(self).renew(self.renewal.pause)).await;
        let held = self.held();
        match held.keys {
            Some(_) => held.find(kid).ok_or(ApiError::Unauthorized),
            None => Err(ApiError::KeysMissing(held.trouble)),
        }
    }

    /// Asks for the keys, unless somebody has within `time`; waits for who does so now.
    async fn renew(self: Arc<Self>, time: Duration) {
        let _turn = self.asking.lock().await;
        if self.held().was_asked_within(time) {
            return;
        }
        self.change(|held| held.asked = Some(Instant::now()));
        match self.fetch().await {
            Ok(keys) => self.change(|held| held.keys = Some(Arc::new(keys))),
            // Without any, each request that needs one says so.
            Err(error) if self.held().keys.is_none() => self.change(|held| held.trouble = chain(&error)),
            // The keys of before are better than none.
            Err(error) => {
                let failure_type = FailureType::Dependency.as_str();
                tracing::warn!(failure_type, cause = chain(&error), "keys for tokens cannot be renewed");
            }
        }
    }

    fn held(&self) -> Held {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Held)) {
        change(&mut self.held.write().unwrap_or_else(PoisonError::into_inner));
    }

    async fn fetch(&self) -> reqwest::Result<JwkSet> {
        client::send("jwks", self.client.get(self.url.clone())).await?.error_for_status()?.json().await
    }
}
