//! The reference of the API, made from `openapi.json` without a script or anything from elsewhere.

#![expect(clippy::indexing_slicing, reason = "what a JSON value does not hold reads as null")]

use maud::{Markup, html};
use serde_json::{Map, Value};

use super::layout::{self, text};

pub(super) fn page(document: &str) -> Markup {
    let document: Value = serde_json::from_str(document).unwrap_or_default();
    let operations: Vec<_> = fields(&document["paths"])
        .flat_map(|(path, item)| fields(item).map(move |(method, operation)| (path, method.to_uppercase(), operation)))
        .collect();
    let content = html! {
        h1 { (word(&document["info"]["title"])) " " small { (word(&document["info"]["version"])) } }
        p { (text(word(&document["info"]["description"]))) }
        p { "Send " code { "authorization: Bearer <token>" } ". "
            (text(word(&document["components"]["securitySchemes"]["bearer"]["description"]))) }
        ul.plain {
            @for (path, method, operation) in &operations {
                li { a href={ "#" (word(&operation["operationId"])) } { code { (method) " " (path) } } " "
                     (word(&operation["summary"])) }
            }
        }
        @for (path, method, operation) in &operations { (section(&document, path, method, operation)) }
        h2 { "Schemas" }
        @for (name, schema) in fields(&document["components"]["schemas"]) {
            h3 id=(name) { (name) }
            p { (text(word(&schema["description"]))) }
            (members(schema))
        }
    };
    layout::page("Reference", &content)
}

fn section(document: &Value, path: &str, method: &str, operation: &Value) -> Markup {
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    html! {
        section id=(word(&operation["operationId"])) {
            h2 { (word(&operation["summary"])) }
            p { code { (method) " " (path) } }
            p { (text(word(&operation["description"]))) }
            @if let Some(parameters) = operation["parameters"].as_array() {
                table {
                    @for parameter in parameters {
                        tr {
                            td { code { (word(&parameter["name"])) } br; span.quiet { (word(&parameter["in"])) } }
                            td { (kind(&parameter["schema"])) }
                            td { (text(word(&parameter["description"])))
                                 @if parameter["required"] != true { span.quiet { " Optional." } } }
                        }
                    }
                }
            }
            @if !body.is_null() {
                p { "Body: " (kind(body)) }
                pre { code { (format!("{:#}", example(document, body))) } }
            }
            table {
                @for (status, response) in fields(&operation["responses"]) {
                    @let response = resolved(document, response);
                    tr { td { (status) } td { (answer(response)) } }
                }
            }
        }
    }
}

/// An error's description is a list with a link for each problem; others are a sentence.
fn answer(response: &Value) -> Markup {
    let content = fields(&response["content"]).next().map(|(_, content)| content);
    let examples = content.map(|content| &content["examples"]).filter(|examples| examples.is_object());
    html! {
        @if let Some(examples) = examples {
            @for (number, (_, example)) in fields(examples).enumerate() {
                @if number > 0 { ", " }
                a href=(word(&example["value"]["type"])) { (word(&example["value"]["title"])) }
            }
        } @else {
            (text(word(&response["description"]))) " "
            @if let Some(content) = content { (kind(&content["schema"])) }
        }
        @for (name, header) in fields(&response["headers"]) {
            br; span.quiet { "Header " code { (name) } ": " (text(word(&header["description"]))) }
        }
    }
}

fn members(schema: &Value) -> Markup {
    let required = |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|one| one == name));
    html! {
        @if schema["properties"].is_object() {
            table {
                @for (name, member) in fields(&schema["properties"]) {
                    tr {
                        td { code { (name) } @if !required(name) { br; span.quiet { "optional" } } }
                        td { (kind(member)) }
                        td { (text(word(&member["description"]))) }
                    }
                }
            }
        } @else { p { (kind(schema)) } }
    }
}

/// A schema in a few words, with its limits.
fn kind(schema: &Value) -> Markup {
    if let Some(name) = word(&schema["$ref"]).strip_prefix("#/components/schemas/") {
        return html! { a href={ "#" (name) } { (name) } };
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().map(word).filter(|one| *one != "null").collect(),
        one => vec![word(one)],
    };
    let limit = |name: &str| schema.get(name).map(|value| format!("{} {value}", name.to_lowercase()));
    let limits: Vec<_> =
        ["minimum", "maximum", "minLength", "maxLength", "pattern", "default"].into_iter().filter_map(limit).collect();
    html! {
        @if let Some(one) = schema["oneOf"].as_array().and_then(|all| all.iter().find(|one| one["type"] != "null")) {
            (kind(one))
        }
        (types.join(" or "))
        @if schema["items"].is_object() { " of " (kind(&schema["items"])) }
        @if let Some(format) = schema["format"].as_str() { " (" (format) ")" }
        @for value in schema["enum"].as_array().into_iter().flatten() { " " code { (word(value)) } }
        @if !limits.is_empty() { br; span.quiet { (limits.join(", ")) } }
    }
}

/// An object of this schema, from the examples of its fields.
fn example(document: &Value, schema: &Value) -> Value {
    let members = fields(&resolved(document, schema)["properties"]);
    Value::Object(members.map(|(name, member)| (name.clone(), member["example"].clone())).collect::<Map<_, _>>())
}

fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let target = word(&value["$ref"]).strip_prefix('#').and_then(|pointer| document.pointer(pointer));
    target.unwrap_or(value)
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
