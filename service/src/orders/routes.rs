//! Orders over HTTP: what is read from a request and what is answered.

use std::future::ready;

use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, Resource, http::header::LOCATION, web};
use observability::context;
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

use super::{
    NewOrder, Order, Status, Step,
    payment::{self, Outcome},
    store::{self, Once},
};
use crate::{
    auth::User,
    database::Database,
    error::{ApiError, Needs},
    metrics,
    payments::Payments,
};

/// What `openapi.json` says of them. Of errors only those that not every operation has; the table of problems
/// describes all.
#[derive(OpenApi)]
#[openapi(paths(list, create, get, pay, cancel), tags((name = "orders", description = "Orders and their payment.")))]
pub(crate) struct Documented;

/// Puts the routes under `/v1`. Every earlier route costs a match, so the hot ones come first.
pub(crate) fn register(service: &mut web::ServiceConfig) {
    service
        .service(resource("/v1/orders", "GET, POST").get(list).post(create))
        .service(resource("/v1/orders/{id}", "GET").get(get))
        .service(resource("/v1/orders/{id}/payment", "POST").post(pay))
        .service(resource("/v1/orders/{id}/cancellation", "POST").post(cancel));
}

/// A path with its methods; any other is answered with 405 and those.
fn resource(path: &'static str, allowed: &'static str) -> Resource {
    web::resource(path)
        .default_service(web::to(move || ready(Err::<HttpResponse, _>(ApiError::MethodNotAllowed(allowed)))))
}

/// Place an order
///
/// With an `Idempotency-Key` it can be sent again, after a timeout for example: for 24 hours the same key and body
/// get the same answer, and make no second order.
#[utoipa::path(
    post, path = "/v1/orders", operation_id = "placeOrder", tag = "orders", request_body = NewOrder,
    params(("Idempotency-Key" = Option<String>, Header, description = "Any text of your own, new for each order.",
        min_length = 1, max_length = 255, pattern = "^[!-~]([ -~]*[!-~])?$", example = "8f14e45f-ceea-467f")),
    responses((status = 201, description = "The order, open.", body = Order,
        headers(("location" = String, description = "Where the order is from now on."))))
)]
async fn create(
    request: HttpRequest,
    database: web::Data<Database>,
    body: web::Json<NewOrder>,
) -> Result<HttpResponse, ApiError> {
    let needs = body.needs();
    if !needs.is_empty() {
        return Err(ApiError::Invalid(Needs(needs)));
    }
    let id = Uuid::now_v7();
    let user = request.extensions().get::<User>().cloned();
    let owner = user.as_ref().map_or("", |user| user.0.as_str());
    let once = match idempotency_key(&request)? {
        None => Once::Created(database.run(async |connection| store::insert(connection, id, &body).await).await?),
        Some(key) => {
            database.run(async |connection| store::insert_once(connection, (owner, key), id, &body).await).await?
        }
    };
    let order = match once {
        Once::Created(order) => {
            metrics::ORDERS_CREATED.increment([]);
            order
        }
        Once::Repeated(order) => order,
        Once::Different => return Err(ApiError::KeyReused),
    };
    context::put("order_id", order.id.to_string());
    Ok(HttpResponse::Created().insert_header((LOCATION, format!("/v1/orders/{}", order.id))).json(order))
}

/// The key under which a caller may send the same order again.
fn idempotency_key(request: &HttpRequest) -> Result<Option<&str>, ApiError> {
    let Some(value) = request.headers().get("idempotency-key") else { return Ok(None) };
    let fits = |key: &&str| (1..=255).contains(&key.len());
    value
        .to_str()
        .ok()
        .filter(fits)
        .map(Some)
        .ok_or_else(|| ApiError::Malformed("idempotency-key: 1 to 255 printable ASCII characters".into()))
}

/// Get an order
#[utoipa::path(
    get, path = "/v1/orders/{id}", operation_id = "getOrder", tag = "orders",
    params(("id" = Uuid, Path, description = "The order's id.")),
    responses((status = 200, description = "The order as it is now.", body = Order), (status = 404))
)]
async fn get(database: web::Data<Database>, id: web::Path<Uuid>) -> Result<web::Json<Order>, ApiError> {
    context::put("order_id", id.to_string());
    let order = database.run(async |connection| store::find(connection, *id).await).await?;
    order.map(web::Json).ok_or(ApiError::NotFound)
}

/// Cancel an order
///
/// Possible while it is open, and final.
#[utoipa::path(
    post, path = "/v1/orders/{id}/cancellation", operation_id = "cancelOrder", tag = "orders",
    params(("id" = Uuid, Path, description = "The order's id.")),
    responses((status = 200, description = "The order, cancelled.", body = Order), (status = 404), (status = 409))
)]
async fn cancel(database: web::Data<Database>, id: web::Path<Uuid>) -> Result<web::Json<Order>, ApiError> {
    context::put("order_id", id.to_string());
    let cancelled = database.run(async |connection| store::step(connection, *id, Step::Cancel).await).await?;
    match cancelled {
        Some(order) => Ok(web::Json(order)),
        None => Err(out_of_turn(&database, *id).await?),
    }
}

/// Pay for an order
///
/// Possible while it is open. When the payments provider does not decide in time, the order is `payment_pending`
/// and is settled in the background: get it again later.
#[utoipa::path(
    post, path = "/v1/orders/{id}/payment", operation_id = "payOrder", tag = "orders",
    params(("id" = Uuid, Path, description = "The order's id.")),
    responses(
        (status = 200, description = "The order, paid.", body = Order),
        (status = 202, description = "The order, with its payment pending.", body = Order),
        (status = 402), (status = 404), (status = 409),
    )
)]
async fn pay(
    database: web::Data<Database>,
    payments: web::Data<Payments>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, ApiError> {
    context::put("order_id", id.to_string());
    match payment::pay(&database, &payments, *id).await? {
        Some(Outcome::Paid(order)) => Ok(HttpResponse::Ok().json(order)),
        Some(Outcome::Declined) => Err(ApiError::PaymentDeclined),
        // Not this service's failure, and nothing is lost: a warning.
        Some(Outcome::Pending(order, error)) => {
            let failure = error.failure_type().with(error.to_string());
            Ok(failure.attach(HttpResponse::Accepted().json(order)))
        }
        None => Err(out_of_turn(&database, *id).await?),
    }
}

/// Why an order did not take a step.
async fn out_of_turn(database: &Database, id: Uuid) -> Result<ApiError, ApiError> {
    let order = database.run(async |connection| store::find(connection, id).await).await?;
    Ok(order.map_or(ApiError::NotFound, |order| {
        ApiError::Conflict(format!("the order is {}", order.status.as_str().replace('_', " ")))
    }))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Only orders of this status.
    status: Option<Status>,
    /// Orders on a page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<i64>,
    /// The `next_cursor` of the page before.
    cursor: Option<Uuid>,
}

/// A part of the list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderPage)]
struct Page {
    /// Newest first.
    orders: Vec<Order>,
    /// Where the next page starts; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<Uuid>,
}

const DEFAULT_LIMIT: i64 = 20;
const MAX_LIMIT: i64 = 100;

/// List orders
///
/// Newest first. Orders that arrive while you go through the pages move nothing: none is skipped or repeated.
#[utoipa::path(
    get, path = "/v1/orders", operation_id = "listOrders", tag = "orders", params(ListQuery),
    responses((status = 200, description = "A page.", body = Page), (status = 422))
)]
async fn list(database: web::Data<Database>, query: web::Query<ListQuery>) -> Result<web::Json<Page>, ApiError> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        let need = format!("a number from 1 to {MAX_LIMIT}");
        return Err(ApiError::Invalid(Needs(vec![("limit", need)])));
    }
    let before = query.cursor.unwrap_or(Uuid::max());
    // One more than asked for tells whether there is a next page.
    let mut orders =
        database.run(async |connection| store::page(connection, query.status, before, limit + 1).await).await?;
    let full = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = orders.len() > full;
    orders.truncate(full);
    let next_cursor = orders.last().filter(|_| more).map(|order| order.id);
    Ok(web::Json(Page { orders, next_cursor }))
}
