//! Who may ask, how often, and how much at a time.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use actix_web::{http::StatusCode, test::TestRequest};
use futures_util::future::join_all;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp, jwk::Jwk};
use observability::testing::Capture;
use serde_json::{Value, json};
use service::{
    app::Parts,
    auth::{Auth, Renewal},
    database::Database,
    gate::Limits,
};
use sqlx::PgPool;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use crate::support::{
    api::{LIMITS, an_order, no_payments, start, start_with},
    eventually,
};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn token(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

fn claims(user: &str) -> Value {
    json!({ "sub": user, "exp": get_current_timestamp() + 60, "iss": "login", "aud": "orders" })
}

fn asking(authorization: Option<&str>) -> TestRequest {
    let request = TestRequest::get().uri("/v1/orders");
    match authorization {
        Some(value) => request.insert_header(("authorization", value)),
        None => request,
    }
}

#[sqlx::test]
async fn only_a_token_that_holds_gets_in_and_its_user_is_on_the_line(pool: PgPool) {
    let auth = Auth::secret(&SECRET.into(), Some("login".into()), Some("orders".into()));
    let parts = Parts::new(Database::fixed(pool), no_payments(), LIMITS, auth, vec![]);
    let api = start_with(parts).await;
    let with = |change: &dyn Fn(&mut Value)| {
        let mut claims = claims("u-1");
        change(&mut claims);
        format!("Bearer {}", token(Algorithm::HS256, SECRET, &claims))
    };
    let good = with(&|_| ());
    let bad = [
        None,
        Some(String::new()),
        Some("Bearer".into()),
        Some("Bearer x.y.z".into()),
        Some(good.replace("Bearer", "Basic")),
        Some(good[..good.len() - 2].into()),
        Some(with(&|claims| claims["exp"] = (get_current_timestamp() - 3600).into())),
        Some(with(&|claims| claims["nbf"] = (get_current_timestamp() + 3600).into())),
        Some(with(&|claims| claims["iss"] = "elsewhere".into())),
        Some(with(&|claims| claims["aud"] = "invoices".into())),
        Some(with(&|claims| drop(claims.as_object_mut().unwrap().remove("exp")))),
        Some(with(&|claims| drop(claims.as_object_mut().unwrap().remove("sub")))),
        Some(with(&|claims| drop(claims.as_object_mut().unwrap().remove("aud")))),
        Some(format!("Bearer {}", token(Algorithm::HS256, "another secret", &claims("u-1")))),
        Some(format!("Bearer {}", token(Algorithm::HS512, "another secret", &claims("u-1")))),
        // {"alg":"none"}, unsigned.
        Some("Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1LTEiLCJleHAiOjk5OTk5OTk5OTl9.".into()),
    ];
    for authorization in bad {
        let capture = Capture::start();
        let answer = api.send(asking(authorization.as_deref())).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{authorization:?}");
        assert_eq!(
            (answer.header("www-authenticate"), &answer.body["type"]),
            ("Bearer", &json!("/problems/unauthorized"))
        );
        assert_eq!(capture.lines()[0]["level"], "INFO");
    }

    let capture = Capture::start();
    assert_eq!(api.send(asking(Some(&good))).await.status, StatusCode::OK);
    let lines = capture.lines();
    assert_eq!(lines[0]["user_id"], "u-1");
    assert!(!format!("{lines:?}{:?}", capture.spans()).contains(&good[10..]), "the token itself is nowhere");
}

/// A key that signs, with the way in that it opens.
struct Key {
    id: &'static str,
    private: EncodingKey,
    public: Jwk,
}

impl Key {
    fn new(id: &'static str) -> Self {
        // What PKCS #8 writes before a key of Ed25519, then 32 random bytes.
        let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
        der.extend([uuid::Uuid::now_v7().into_bytes(), uuid::Uuid::now_v7().into_bytes()].concat());
        let private = EncodingKey::from_ed_der(&der);
        let mut public = Jwk::from_encoding_key(&private, Algorithm::EdDSA).unwrap();
        public.common.key_id = Some(id.into());
        Self { id, private, public }
    }

    fn sign_as(&self, id: Option<&str>) -> String {
        let header = Header { kid: id.map(Into::into), ..Header::new(Algorithm::EdDSA) };
        format!("Bearer {}", encode(&header, &claims("u-1"), &self.private).unwrap())
    }

    fn sign(&self) -> String {
        self.sign_as(Some(self.id))
    }
}

/// What the one who has the keys answers from now on.
async fn publish(server: &MockServer, keys: &[&Key]) {
    server.reset().await;
    let keys: Vec<_> = keys.iter().map(|key| &key.public).collect();
    let answer = ResponseTemplate::new(200).set_body_json(json!({ "keys": keys }));
    Mock::given(any()).respond_with(answer).mount(server).await;
}

fn keys_of(server: &MockServer, pool: PgPool, renewal: Renewal) -> Parts {
    let auth = Auth::jwks(server.uri().parse().unwrap(), renewal, None, None).unwrap();
    Parts::new(Database::fixed(pool), no_payments(), LIMITS, auth, vec![])
}

async fn asked(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

#[sqlx::test]
async fn keys_from_a_url_are_kept_and_nobody_can_make_this_service_ask_all_the_time(pool: PgPool) {
    let (server, key) = (MockServer::start().await, Key::new("k-1"));
    publish(&server, &[&key]).await;
    let api = start_with(keys_of(&server, pool, Renewal::default())).await;
    for _ in 0..3 {
        assert_eq!(api.send(asking(Some(&key.sign()))).await.status, StatusCode::OK);
    }
    for kid in [Some("k-2"), None, Some("k-3")] {
        assert_eq!(api.send(asking(Some(&key.sign_as(kid)))).await.status, StatusCode::UNAUTHORIZED);
    }
    let forged = Header { kid: Some("k-1".into()), ..Header::new(Algorithm::HS256) };
    let forged = encode(&forged, &claims("u-1"), &EncodingKey::from_secret(b"the public key")).unwrap();
    assert_eq!(api.send(asking(Some(&format!("Bearer {forged}")))).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(asked(&server).await, 1);
}

#[sqlx::test]
async fn a_new_key_is_asked_for_and_one_that_is_withdrawn_is_forgotten(pool: PgPool) {
    let (server, old, new) = (MockServer::start().await, Key::new("k-1"), Key::new("k-2"));
    publish(&server, &[&old]).await;
    let renewal = Renewal { after: Duration::from_hours(1), pause: Duration::ZERO };
    let api = start_with(keys_of(&server, pool, renewal)).await;
    assert_eq!(api.send(asking(Some(&old.sign()))).await.status, StatusCode::OK);
    publish(&server, &[&new]).await;
    assert_eq!(api.send(asking(Some(&new.sign()))).await.status, StatusCode::OK);
    assert_eq!(api.send(asking(Some(&old.sign()))).await.status, StatusCode::UNAUTHORIZED);
}

#[sqlx::test]
async fn keys_of_before_hold_while_they_cannot_be_renewed_and_nobody_waits(pool: PgPool) {
    let capture = Capture::start();
    let (server, old, new) = (MockServer::start().await, Key::new("k-1"), Key::new("k-2"));
    publish(&server, &[&old]).await;
    let renewal = Renewal { after: Duration::ZERO, pause: Duration::ZERO };
    let api = start_with(keys_of(&server, pool, renewal)).await;
    let ask = async || api.send(asking(Some(&old.sign()))).await.status;
    assert_eq!(ask().await, StatusCode::OK);

    server.reset().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(500).set_delay(Duration::from_mins(1))).mount(&server).await;
    for _ in 0..3 {
        let asked = Instant::now();
        assert_eq!(ask().await, StatusCode::OK);
        assert!(asked.elapsed() < Duration::from_millis(1500), "{:?}", asked.elapsed());
    }
    eventually("a line says so", Duration::from_secs(5), async || {
        capture.lines().iter().any(|line| line["message"] == "keys for tokens cannot be renewed")
    })
    .await;

    publish(&server, &[&new]).await;
    eventually("the old key is forgotten", Duration::from_secs(5), async || ask().await == StatusCode::UNAUTHORIZED)
        .await;
}

#[sqlx::test]
async fn without_keys_nobody_gets_in_and_it_is_no_alarm(pool: PgPool) {
    let capture = Capture::start();
    let (server, key) = (MockServer::start().await, Key::new("k-1"));
    Mock::given(any()).respond_with(ResponseTemplate::new(500)).mount(&server).await;
    let api = start_with(keys_of(&server, pool, Renewal::default())).await;
    let tokens: Vec<_> = (0..10).map(|number| key.sign_as(Some(&format!("k-{number}")))).collect();
    let answers = tokens.iter().map(|token| api.send(asking(Some(token))));
    for answer in join_all(answers).await {
        let found = (answer.status, &answer.body["type"]);
        assert_eq!(found, (StatusCode::SERVICE_UNAVAILABLE, &json!("/problems/dependency")));
    }
    assert_eq!(asked(&server).await, 1, "all of them together");
    assert!(capture.lines().iter().all(|line| line["level"] == "WARN"), "{:?}", capture.lines());
}

#[sqlx::test]
async fn a_client_that_sends_too_much_is_told_when_to_come_back(pool: PgPool) {
    let limits = Limits { rate: NonZeroU32::new(3), ..LIMITS };
    let api = start(Database::fixed(pool), limits).await;
    let from = |address: &str| asking(None).peer_addr(format!("{address}:5").parse().unwrap());
    let answers = join_all((0..4).map(|_| api.send(from("10.0.0.1")))).await;
    let (refused, taken) = answers.split_last().unwrap();
    assert!(taken.iter().all(|answer| answer.status == StatusCode::OK), "{taken:?}");
    assert_eq!((refused.status, refused.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "1"));
    assert_eq!(refused.body["type"], "/problems/too_many_requests");
    assert_eq!(api.send(from("10.0.0.2")).await.status, StatusCode::OK);
}

#[sqlx::test]
async fn users_are_counted_each_and_wrong_tokens_by_their_address(pool: PgPool) {
    let limits = Limits { rate: NonZeroU32::new(1), ..LIMITS };
    let auth = Auth::secret(&SECRET.into(), None, None);
    let api = start_with(Parts::new(Database::fixed(pool), no_payments(), limits, auth, vec![])).await;
    let good = |user: &str| format!("Bearer {}", token(Algorithm::HS256, SECRET, &claims(user)));
    // Three at a time, from one address.
    let ask = async |authorization: String| {
        let ask = || asking(Some(&authorization)).peer_addr("10.0.0.1:5".parse().unwrap());
        join_all((0..3).map(|_| api.send(ask()))).await.iter().map(|answer| answer.status.as_u16()).collect::<Vec<_>>()
    };
    assert_eq!(ask("Bearer x.y.z".into()).await, [401, 429, 429]);
    let capture = Capture::start();
    assert_eq!(ask(good("u-1")).await, [200, 429, 429], "who shares an address with a guesser is another one");
    assert!(capture.lines().iter().all(|line| line["user_id"] == "u-1"), "{:?}", capture.lines());
    assert_eq!(ask(good("u-2")).await, [200, 429, 429]);
}

#[sqlx::test]
async fn more_requests_at_a_time_than_are_taken_are_saturation(pool: PgPool) {
    let capture = Capture::start();
    let mut lock = pool.begin().await.unwrap();
    sqlx::query("lock table orders").execute(&mut *lock).await.unwrap();
    let api = start(Database::fixed(pool.clone()), Limits { at_once: 2, ..LIMITS }).await;
    let order = an_order();
    let refused = async {
        let answer = api.create(&order).await;
        lock.rollback().await.unwrap();
        answer
    };
    let (first, second, refused) = futures_util::future::join3(api.create(&order), api.create(&order), refused).await;
    assert_eq!((first.status, second.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!((refused.status, refused.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
    assert_eq!(refused.body["type"], "/problems/saturation");
    assert!(capture.lines().iter().any(|line| line["failure_type"] == "saturation" && line["level"] == "ERROR"));
    assert_eq!(api.create(&order).await.status, StatusCode::CREATED, "places are given back");
}

#[sqlx::test]
async fn browsers_may_call_from_configured_origins_only_and_get_headers_that_protect(pool: PgPool) {
    let origins = vec!["https://shop.example".to_owned()];
    let parts = Parts::new(Database::fixed(pool), no_payments(), LIMITS, Auth::off(), origins);
    let api = start_with(parts).await;
    for (origin, allowed) in [("https://shop.example", "https://shop.example"), ("https://evil.example", "")] {
        for path in ["/v1/orders", "/nowhere"] {
            let answer = api.send(TestRequest::get().uri(path).insert_header(("origin", origin))).await;
            assert_eq!(answer.header("access-control-allow-origin"), allowed, "{origin} {path}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            assert_eq!(answer.header("cache-control"), "no-store");
            assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"));
        }
    }
}
