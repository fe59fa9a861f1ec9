//! Who may ask, how often, how much at a time, and how slowly.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    num::NonZeroU32,
    time::{Duration, Instant},
};

use actix_web::{http::StatusCode, test::TestRequest};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp, jwk::Jwk};
use observability::testing::Capture;
use serde_json::{Value, json};
use service::{app::Parts, auth::Auth, database::Database, gate::Limits};
use sqlx::{ConnectOptions as _, PgPool};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use crate::support::{
    api::{LIMITS, an_order, no_payments, start, start_with},
    program::Program,
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

#[sqlx::test]
async fn keys_from_a_url_are_kept_and_asked_for_again_when_one_is_unknown(pool: PgPool) {
    // A new key: what PKCS #8 writes before one of Ed25519, then 32 random bytes.
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    der.extend([uuid::Uuid::now_v7().into_bytes(), uuid::Uuid::now_v7().into_bytes()].concat());
    let key = EncodingKey::from_ed_der(&der);
    let mut jwk = Jwk::from_encoding_key(&key, Algorithm::EdDSA).unwrap();
    jwk.common.key_id = Some("k-1".into());
    let keys = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "keys": [jwk] })))
        .expect(1)
        .mount(&keys)
        .await;
    let auth = Auth::jwks(keys.uri().parse().unwrap(), None, None).unwrap();
    let api = start_with(Parts::new(Database::fixed(pool), no_payments(), LIMITS, auth, vec![])).await;

    let header = |kid: Option<&str>| Header { kid: kid.map(Into::into), ..Header::new(Algorithm::EdDSA) };
    let sign = |kid| format!("Bearer {}", encode(&header(kid), &claims("u-1"), &key).unwrap());
    for _ in 0..3 {
        assert_eq!(api.send(asking(Some(&sign(Some("k-1"))))).await.status, StatusCode::OK);
    }
    // Anybody can send these: they must not become requests to the one who has the keys.
    for kid in [Some("k-2"), None, Some("k-3")] {
        assert_eq!(api.send(asking(Some(&sign(kid)))).await.status, StatusCode::UNAUTHORIZED);
    }
    let forged = Header { kid: Some("k-1".into()), ..Header::new(Algorithm::HS256) };
    let forged = encode(&forged, &claims("u-1"), &EncodingKey::from_secret(b"the public key")).unwrap();
    assert_eq!(api.send(asking(Some(&format!("Bearer {forged}")))).await.status, StatusCode::UNAUTHORIZED);
}

#[sqlx::test]
async fn without_keys_nobody_gets_in_and_it_is_no_alarm(pool: PgPool) {
    let capture = Capture::start();
    let auth = Auth::jwks("http://127.0.0.1:1/keys".parse().unwrap(), None, None).unwrap();
    let api = start_with(Parts::new(Database::fixed(pool), no_payments(), LIMITS, auth, vec![])).await;
    let header = Header { kid: Some("k-1".into()), ..Header::default() };
    let token = encode(&header, &claims("u-1"), &EncodingKey::from_secret(b"x")).unwrap();
    let answer = api.send(asking(Some(&format!("Bearer {token}")))).await;
    assert_eq!(
        (answer.status, &answer.body["type"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("/problems/dependency"))
    );
    assert_eq!(capture.lines().last().unwrap()["level"], "WARN");
}

#[sqlx::test]
async fn a_client_that_sends_too_much_is_told_when_to_come_back(pool: PgPool) {
    let limits = Limits { rate: NonZeroU32::new(3), ..LIMITS };
    let api = start(Database::fixed(pool), limits).await;
    let from = |address: &str| asking(None).peer_addr(format!("{address}:5").parse().unwrap());
    for _ in 0..3 {
        assert_eq!(api.send(from("10.0.0.1")).await.status, StatusCode::OK);
    }
    let refused = api.send(from("10.0.0.1")).await;
    assert_eq!((refused.status, refused.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "1"));
    assert_eq!(refused.body["type"], "/problems/too_many_requests");
    assert_eq!(api.send(from("10.0.0.2")).await.status, StatusCode::OK);
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

/// Sends these bytes and returns what comes back until the end.
fn raw(address: &str, bytes: &[u8]) -> (String, Duration) {
    let asked = Instant::now();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    (String::from_utf8_lossy(&answer).into_owned(), asked.elapsed())
}

#[sqlx::test]
async fn a_client_that_is_slow_or_excessive_is_let_go(pool: PgPool) {
    let url = pool.connect_options().to_url_lossy().to_string();
    let limits = [("REQUEST_TIMEOUT", "1s"), ("PAYMENTS_TIMEOUT", "300ms"), ("DATABASE_ACQUIRE_TIMEOUT", "500ms")];
    let program = Program::serve(&url, &limits);
    program.line("started");
    let head = "POST /v1/orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n";
    let deep = format!("{}\r\n\r\n{}", head.trim_end().replace("100", "100000"), "[".repeat(100_000));
    let long = format!("GET /v1/orders?status={} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "x".repeat(3000));
    let wide = format!("GET /v1/orders HTTP/1.1\r\nhost: x\r\nx: {}\r\nconnection: close\r\n\r\n", "x".repeat(20_000));
    let threads = [
        // A body that never comes.
        (head.as_bytes().to_vec(), "HTTP/1.1 408", "/problems/slow_client"),
        // A head that never ends.
        (b"GET /v1/orders HTTP/1.1\r\nhost:".to_vec(), "HTTP/1.1 408", ""),
        (deep.replace("host: x", "host: x\r\nconnection: close").into_bytes(), "HTTP/1.1 4", "/problems/"),
        (long.into_bytes(), "HTTP/1.1 414", "/problems/query_too_long"),
        (wide.into_bytes(), "HTTP/1.1 431", "/problems/head_too_large"),
    ]
    .map(|(bytes, status, kind)| {
        let address = program.public.clone();
        std::thread::spawn(move || (raw(&address, &bytes), status, kind))
    });
    for thread in threads {
        let ((answer, took), status, kind) = thread.join().unwrap();
        assert!(answer.starts_with(status) && answer.contains(kind), "{status} {kind}: {answer}");
        assert!(took < Duration::from_secs(12), "{status}: {took:?}");
    }
}
