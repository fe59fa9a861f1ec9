//! The description of the API for machines. It is made from the code, committed as `openapi.json`, and served
//! from there: `cargo run --package service --example openapi` writes it anew.

#![expect(clippy::indexing_slicing, reason = "what a JSON value does not hold reads as null")]

use serde_json::{Map, Value, json};
use utoipa::OpenApi as _;

use crate::{
    SERVICE,
    error::{CONTENT, PROBLEMS, ProblemType},
    orders,
};

/// The document as it is served.
pub const COMMITTED: &str = include_str!("../openapi.json");

/// Errors that every operation can end in ...
const ALWAYS: [&str; 7] = ["400", "401", "414", "429", "431", "500", "503"];
/// ... and that one with a body can.
const WITH_BODY: [&str; 4] = ["408", "413", "415", "422"];

/// The document as the code makes it.
#[must_use]
pub fn document() -> String {
    let routes = json!(orders::routes::Documented::openapi());
    let mut schemas = routes["components"]["schemas"].as_object().cloned().unwrap_or_default();
    schemas.insert("Problem".into(), problem());
    let paths: Map<_, _> = routes["paths"].as_object().into_iter().flatten().map(with_errors).collect();
    let document = json!({
        "openapi": routes["openapi"],
        "info": {
            "title": "Orders",
            "version": SERVICE.version,
            "description": "Orders and their payment. Errors are problem details (RFC 9457); the `type` of one is the \
                            address of a page that says what it means and what to do.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "tags": routes["tags"],
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": responses(),
            "securitySchemes": {
                "bearer": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "A token that names the user in `sub`. Not asked for where `AUTH` is off.",
                },
            },
        },
    });
    format!("{document:#}\n")
}

/// A path whose operations refer to the errors they can end in.
fn with_errors((path, operations): (&String, &Value)) -> (String, Value) {
    let mut operations = operations.clone();
    for operation in operations.as_object_mut().into_iter().flat_map(Map::values_mut) {
        let more: &[_] = if operation.get("requestBody").is_some() { &WITH_BODY } else { &[] };
        let Some(responses) = operation["responses"].as_object_mut() else { continue };
        let own: Vec<_> = responses.keys().filter(|status| status.as_str() >= "400").cloned().collect();
        for status in own.iter().map(String::as_str).chain(ALWAYS).chain(more.iter().copied()) {
            responses.insert(status.into(), json!({ "$ref": format!("#/components/responses/{status}") }));
        }
        responses.sort_keys();
    }
    (path.clone(), operations)
}

/// One response for each status of the table, with an example of each problem.
fn responses() -> Map<String, Value> {
    let mut responses = Map::new();
    for ProblemType { kind, status, title, meaning, .. } in PROBLEMS {
        let response = responses.entry(status.as_str()).or_insert_with(|| {
            json!({
                "description": "",
                "content": { CONTENT: { "schema": { "$ref": "#/components/schemas/Problem" }, "examples": {} } },
            })
        });
        let before = response["description"].as_str().unwrap_or_default();
        response["description"] = format!("{before}\n- [{title}](/problems/{kind}): {meaning}").trim().into();
        let example = json!({
            "type": format!("/problems/{kind}"), "title": title, "status": status.as_u16(), "detail": meaning,
            "request_id": "4bf92f3577b34da6a3ce929d0e0e4736", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        });
        response["content"][CONTENT]["examples"][kind] = json!({ "value": example });
        match status.as_u16() {
            401 => response["headers"] = header("www-authenticate", "string", "`Bearer`."),
            405 => response["headers"] = header("allow", "string", "The methods that this path takes."),
            429 | 503 => response["headers"] = header("retry-after", "integer", "Seconds to wait before the next try."),
            _ => {}
        }
    }
    responses
}

fn header(name: &str, kind: &str, description: &str) -> Value {
    json!({ name: { "description": description, "required": true, "schema": { "type": kind } } })
}

fn problem() -> Value {
    let types: Vec<_> = PROBLEMS.iter().map(|problem| format!("/problems/{}", problem.kind)).collect();
    json!({
        "type": "object",
        "description": "What went wrong, as in RFC 9457.",
        "required": ["type", "title", "status", "detail", "request_id", "trace_id"],
        "properties": {
            "type": { "type": "string", "enum": types, "description": "Which problem; the address of its page." },
            "title": { "type": "string", "description": "Its name." },
            "status": { "type": "integer", "description": "The status of the answer." },
            "detail": { "type": "string", "description": "What is wrong this time." },
            "request_id": { "type": "string", "description": "Quote this when you ask for help." },
            "trace_id": { "type": "string", "description": "The trace of this request." },
            "errors": {
                "type": "object",
                "description": "With `/problems/invalid`: what each field needs.",
                "additionalProperties": { "type": "string" },
            },
        },
    })
}
