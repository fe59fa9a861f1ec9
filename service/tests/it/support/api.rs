//! The public listener's application, spoken to without a network.

use std::time::Duration;

use actix_http::Request;
use actix_web::{
    Error,
    body::MessageBody,
    dev::{Service, ServiceResponse},
    error::{ErrorBadRequest, ErrorInternalServerError},
    http::{
        Method, StatusCode,
        header::{HeaderMap, HeaderName},
    },
    test::{TestRequest, init_service, read_body},
    web::{self, Bytes},
};
use serde_json::{Value, json};
use service::{
    app::{Parts, app},
    auth::Auth,
    database::Database,
    gate::Limits,
    payments::Payments,
};

pub(crate) const LIMITS: Limits = Limits { body: 4096, time: Duration::from_secs(5), at_once: 256, rate: None };

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        let name: HeaderName = name.parse().unwrap();
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub(crate) struct Api<S>(S);

/// A provider that nobody plays.
pub(crate) fn no_payments() -> Payments {
    provider("http://127.0.0.1:1")
}

/// The provider at an address, with little patience.
pub(crate) fn provider(url: &str) -> Payments {
    Payments::new(&url.parse().unwrap(), Duration::from_millis(300), Duration::ZERO, 64).unwrap()
}

/// An application that asks nobody who they are.
pub(crate) fn parts(database: Database, payments: Payments, limits: Limits) -> Parts {
    Parts::new(database, payments, limits, Auth::off(), vec![])
}

pub(crate) async fn start(
    database: Database,
    limits: Limits,
) -> Api<impl Service<Request, Response = ServiceResponse<impl MessageBody + use<>>, Error = Error>> {
    start_with(parts(database, no_payments(), limits)).await
}

pub(crate) async fn start_with(
    parts: Parts,
) -> Api<impl Service<Request, Response = ServiceResponse<impl MessageBody + use<>>, Error = Error>> {
    let app = app(parts)
        .route("/test/panic", web::get().to(panics))
        .route("/test/anything", web::post().to(async |_: web::Json<Value>| ""))
        .route("/test/refused", web::post().to(async || Err::<&str, _>(ErrorBadRequest("refused elsewhere"))))
        .route("/test/broken", web::post().to(async || Err::<&str, _>(ErrorInternalServerError("broken elsewhere"))));
    Api(init_service(app).await)
}

async fn panics() -> &'static str {
    panic!("as asked for")
}

impl<S, B> Api<S>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    pub(crate) async fn send(&self, request: TestRequest) -> Answer {
        self.send_request(request.to_request()).await
    }

    pub(crate) async fn send_request(&self, request: Request) -> Answer {
        let response = match self.0.call(request).await {
            Ok(response) => response.map_into_boxed_body(),
            // What the server does with a middleware's error.
            Err(error) => {
                let request = TestRequest::default().to_http_request();
                ServiceResponse::new(request, error.error_response()).map_into_boxed_body()
            }
        };
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = read_body(response).await;
        let (text, body) = (String::from_utf8_lossy(&bytes).into(), serde_json::from_slice(&bytes).unwrap_or_default());
        Answer { status, headers, bytes, text, body }
    }

    pub(crate) async fn call(&self, method: Method, path: &str) -> Answer {
        self.send(TestRequest::default().method(method).uri(path)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path).await
    }

    pub(crate) async fn create(&self, order: &Value) -> Answer {
        self.send(TestRequest::post().uri("/v1/orders").set_json(order)).await
    }

    /// Creates an ordinary order and returns its id.
    pub(crate) async fn an_order(&self) -> String {
        let answer = self.create(&an_order()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        answer.body["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn pay(&self, id: &str) -> Answer {
        self.call(Method::POST, &format!("/v1/orders/{id}/payment")).await
    }

    pub(crate) async fn create_once(&self, key: &str, order: &Value) -> Answer {
        self.send(TestRequest::post().uri("/v1/orders").insert_header(("idempotency-key", key)).set_json(order)).await
    }

    pub(crate) async fn cancel(&self, id: &str) -> Answer {
        self.call(Method::POST, &format!("/v1/orders/{id}/cancellation")).await
    }
}

/// An order nothing is wrong with.
pub(crate) fn an_order() -> Value {
    json!({ "item": "coffee", "quantity": 2, "amount": 1998, "currency": "EUR" })
}
