//! Who asks: a bearer JWT, signed with a shared secret or with a key from a JWKS URL. The token itself
//! is never logged; a wrong one gets 401, and no hint why.

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

use crate::{error::ApiError, failure::FailureType};

/// Keys are asked for again after this time ...
const FRESH: Duration = Duration::from_mins(5);
/// ... and for a token with an unknown key, but not more often than this: anybody can send such tokens.
const AT_MOST_EVERY: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(2);

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
    Url(Jwks),
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
    pub fn jwks(url: Url, issuer: Option<String>, audience: Option<String>) -> reqwest::Result<Self> {
        let mut builder = client::builder().redirect(Policy::none()).timeout(PATIENCE);
        if url.scheme() == "http" {
            builder = builder.no_proxy().tls_certs_only([]);
        }
        let keys = Keys::Url(Jwks { url, client: builder.build()?, held: RwLock::default() });
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
    held: RwLock<Option<(Instant, Arc<JwkSet>)>>,
}

impl Jwks {
    async fn find(&self, kid: &str) -> Result<Jwk, ApiError> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner).clone();
        let known = held.as_ref().and_then(|(_, set)| set.find(kid).cloned());
        let age = held.as_ref().map(|(asked, _)| asked.elapsed());
        let good_for = if known.is_some() { FRESH } else { AT_MOST_EVERY };
        if age.is_some_and(|age| age < good_for) {
            return known.ok_or(ApiError::Unauthorized);
        }
        let set = match self.fetch().await {
            Ok(set) => Arc::new(set),
            // The keys of before are better than none.
            Err(error) => match held {
                Some((_, set)) => {
                    let failure_type = FailureType::Dependency.as_str();
                    tracing::warn!(failure_type, cause = error.to_string(), "keys for tokens cannot be renewed");
                    set
                }
                None => return Err(ApiError::KeysMissing(error)),
            },
        };
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), Arc::clone(&set)));
        set.find(kid).cloned().ok_or(ApiError::Unauthorized)
    }

    async fn fetch(&self) -> reqwest::Result<JwkSet> {
        client::send("jwks", self.client.get(self.url.clone())).await?.error_for_status()?.json().await
    }
}
