//! Pages for people and the description for machines: whole, current, compressed, and asked for again only
//! when they have changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read as _,
};

use actix_web::{
    http::{Method, StatusCode},
    test::TestRequest,
};
use serde_json::Value;
use service::{auth::Auth, database::Database, error::PROBLEMS, openapi};

use crate::support::api::{LIMITS, no_payments, start, start_with};

fn document() -> Value {
    serde_json::from_str(openapi::COMMITTED).unwrap()
}

#[test]
fn the_committed_document_is_what_the_code_makes() {
    let current = openapi::document();
    assert!(
        openapi::COMMITTED == current,
        "openapi.json is not current: cargo run --package service --example openapi"
    );
}

#[actix_web::test]
async fn what_is_documented_is_what_is_served() {
    let api = start(Database::unknown(), LIMITS).await;
    for (path, item) in document()["paths"].as_object().unwrap() {
        let documented: BTreeSet<_> = item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        let answer = api.call(Method::DELETE, &path.replace("{id}", "7")).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        let served: BTreeSet<_> = answer.header("allow").split(", ").map(String::from).collect();
        assert_eq!(served, documented, "{path}");
    }
}

#[test]
fn every_operation_and_field_is_described_with_an_example_of_each_error() {
    let document = document();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for member in ["summary", "operationId", "responses"] {
                assert!(!operation[member].is_null(), "{method} {path} has no {member}");
            }
            for response in operation["responses"].as_object().unwrap().values() {
                let target = response["$ref"].as_str().map_or(response, |to| document.pointer(&to[1..]).unwrap());
                assert!(!target["description"].as_str().unwrap().is_empty(), "{method} {path}: {response}");
            }
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        for (field, member) in schema["properties"].as_object().into_iter().flatten() {
            assert!(member.get("description").or(member.get("$ref")).is_some(), "{name}.{field}");
        }
    }
    let responses = &document["components"]["responses"];
    for problem in PROBLEMS {
        let example = &responses[problem.status.as_str()]["content"]["application/problem+json"]["examples"];
        assert_eq!(example[problem.kind]["value"]["type"], format!("/problems/{}", problem.kind));
    }
}

/// The targets of a page's links.
fn links(html: &str) -> Vec<String> {
    html.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn every_page_is_asked_of_nobody_and_its_links_lead_somewhere() {
    let auth = Auth::secret(&"0123456789abcdef0123456789abcdef".into(), None, None);
    let parts = service::app::Parts::new(Database::unknown(), no_payments(), LIMITS, auth, vec![]);
    let api = start_with(parts).await;
    let mut paths = vec!["/".to_owned()];
    let mut bodies = BTreeMap::new();
    while let Some(path) = paths.pop() {
        if bodies.contains_key(&path) {
            continue;
        }
        let answer = api.send(TestRequest::get().uri(&path)).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(!answer.header("content-type").is_empty());
        assert!(answer.header("content-security-policy").starts_with("default-src 'self'"), "{path}");
        for link in links(&answer.text) {
            match link.strip_prefix('#') {
                Some(id) => assert!(answer.text.contains(&format!("id=\"{id}\"")), "{path}#{id}"),
                None => paths.push(link.split('#').next().unwrap().to_owned()),
            }
        }
        // Nothing that the policy would refuse, and nothing from elsewhere.
        for refused in ["<script", "style=", "<style", "src=", "//cdn"] {
            assert!(!answer.text.contains(refused), "{path}: {refused}");
        }
        bodies.insert(path, answer.text);
    }
    for problem in PROBLEMS {
        let page = &bodies[&format!("/problems/{}", problem.kind)];
        let start = problem.meaning.split('`').next().unwrap();
        assert!(page.contains(problem.title) && page.contains(start), "{}", problem.kind);
    }
    assert!(bodies["/docs"].contains("/v1/orders/{id}/payment"));
    assert_eq!(bodies["/openapi.json"], openapi::COMMITTED);
}

#[actix_web::test]
async fn a_page_is_compressed_and_sent_again_only_when_it_has_changed() {
    let api = start(Database::unknown(), LIMITS).await;
    for path in ["/", "/docs", "/openapi.json", "/problems/db_down", "/style.css"] {
        let plain = api.get(path).await;
        assert_eq!(plain.header("content-encoding"), "");
        assert!(plain.header("vary").starts_with("accept-encoding"), "{plain:?}");
        let request = TestRequest::get().uri(path).insert_header(("accept-encoding", "br, gzip;q=0.8"));
        let packed = api.send(request).await;
        assert_eq!(packed.header("content-encoding"), "gzip", "{path}");
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*packed.bytes).read_to_string(&mut text).unwrap();
        assert_eq!(text, plain.text);
        assert!(packed.bytes.len() < plain.bytes.len(), "{path}");

        let tag = plain.header("etag");
        for (known, status) in [(tag, 304), (&*format!("\"x\", {tag}"), 304), ("*", 304), ("W/\"x\"", 200)] {
            let answer = api.send(TestRequest::get().uri(path).insert_header(("if-none-match", known))).await;
            assert_eq!(answer.status.as_u16(), status, "{path} {known}");
            assert_eq!(answer.bytes.is_empty(), status == 304);
            assert_eq!((answer.header("etag"), answer.header("cache-control")), (tag, "no-cache"));
        }
    }
}

#[actix_web::test]
async fn the_first_page_leads_to_what_is_configured() {
    let program = crate::support::program::Program::serve(
        "postgres://nobody@127.0.0.1:1/x",
        &[("PUBLIC_URL_RELAY", "https://inbox.example"), ("PUBLIC_URL_GRAFANA", "")],
    );
    let page = crate::support::program::exchange(&program.public, "GET", "/", "").unwrap().1;
    assert!(page.contains("href=\"https://inbox.example/\""), "{page}");
    assert!(!page.contains("Grafana"), "{page}");
    let head = crate::support::program::exchange(&program.public, "HEAD", "/docs", "").unwrap();
    assert_eq!(head, (200, String::new()));
}
