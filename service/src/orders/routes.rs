//! Orders over HTTP: what is read from a request and what is answered.

use std::future::ready;

use actix_web::{HttpResponse, Resource, http::header::LOCATION, web};
use observability::context;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{NewOrder, Order, Status, store};
use crate::{database::Database, error::ApiError, metrics};

/// Puts the routes under `/v1`. Every earlier route costs a match, so the hot ones come first.
pub(crate) fn register(service: &mut web::ServiceConfig) {
    service
        .service(resource("/v1/orders", "GET, POST").get(list).post(create))
        .service(resource("/v1/orders/{id}", "GET").get(get))
        .service(resource("/v1/orders/{id}/cancellation", "POST").post(cancel));
}

/// A path with its methods; any other is answered with 405 and those.
fn resource(path: &'static str, allowed: &'static str) -> Resource {
    web::resource(path)
        .default_service(web::to(move || ready(Err::<HttpResponse, _>(ApiError::MethodNotAllowed(allowed)))))
}

async fn create(database: web::Data<Database>, body: web::Json<NewOrder>) -> Result<HttpResponse, ApiError> {
    let problems = body.problems();
    if !problems.is_empty() {
        return Err(ApiError::Invalid(problems));
    }
    let id = Uuid::now_v7();
    context::put("order_id", id.to_string());
    let order = database.run(async |connection| store::insert(connection, id, &body).await).await?;
    metrics::ORDERS_CREATED.increment([]);
    Ok(HttpResponse::Created().insert_header((LOCATION, format!("/v1/orders/{id}"))).json(order))
}

async fn get(database: web::Data<Database>, id: web::Path<Uuid>) -> Result<web::Json<Order>, ApiError> {
    context::put("order_id", id.to_string());
    let order = database.run(async |connection| store::find(connection, *id).await).await?;
    order.map(web::Json).ok_or(ApiError::NotFound)
}

async fn cancel(database: web::Data<Database>, id: web::Path<Uuid>) -> Result<web::Json<Order>, ApiError> {
    context::put("order_id", id.to_string());
    let cancelled = database.run(async |connection| store::cancel(connection, *id).await).await?;
    if let Some(order) = cancelled {
        return Ok(web::Json(order));
    }
    match database.run(async |connection| store::find(connection, *id).await).await? {
        Some(_) => Err(ApiError::Conflict("the order is already cancelled".into())),
        None => Err(ApiError::NotFound),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    status: Option<Status>,
    limit: Option<i64>,
    /// The `next_cursor` of the page before.
    cursor: Option<Uuid>,
}

#[derive(Debug, Serialize)]
struct Page {
    orders: Vec<Order>,
    /// Where the next page starts; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<Uuid>,
}

const DEFAULT_LIMIT: i64 = 20;
const MAX_LIMIT: i64 = 100;

/// Newest first. The cursor is the last id shown, so orders that arrive meanwhile move nothing.
async fn list(database: web::Data<Database>, query: web::Query<ListQuery>) -> Result<web::Json<Page>, ApiError> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        let need = format!("a number from 1 to {MAX_LIMIT}");
        return Err(ApiError::Invalid(vec![("limit", need)]));
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
