//! What one worker knows: its routes, and for each kind of request it has seen, the parts that are the
//! same every time. So a request neither looks up a metric nor formats its route.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::dev::ResourceMap;
use actix_web::http::Method;
use metrics::{Gauge, Histogram};
use serde_json::json;
use tracing::Level;

use super::ending::CLIENT_CLOSED_REQUEST;
use super::ending::Trouble;
use super::{ACTIVE_REQUESTS, REQUEST_DURATION, Severity};
use crate::layer::{self, Core};
use crate::line::{TARGET, Template};
use crate::metrics::{intern, intern_up_to};
use crate::subscriber;

/// The methods that are label values; a client can send any word, which is the last.
const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", OTHER_METHOD];
const OTHER_METHOD: &str = "_OTHER";

/// Kinds kept. Routes, statuses and failure types are few; this is against a program that makes them up.
const MAX_KINDS: usize = 1024;
/// Routes are the program's own, so there may be many, each with any method.
const MAX_ROUTES: usize = 1024;

pub(super) struct Worker {
    generation: u32,
    filter_version: usize,
    pub(super) core: Option<Arc<Core>>,
    pub(super) routes: ResourceMap,
    active: [Gauge; METHODS.len()],
    kinds: RefCell<Vec<Rc<Kind>>>,
}

/// Requests that end alike: same method, route, status and error.
pub(super) struct Kind {
    method: usize,
    trouble: Option<(Option<&'static str>, Severity)>,
    pub(super) status: u16,
    pub(super) error_type: &'static str,
    pub(super) route: &'static str,
    pub(super) span_name: &'static str,
    pub(super) duration: Histogram,
    /// Absent where the log filter is against it.
    pub(super) template: Option<Template>,
}

impl Worker {
    pub(super) fn new(routes: ResourceMap) -> Self {
        let active = METHODS.map(|method| ACTIVE_REQUESTS.handle([method]));
        let (generation, core) = (layer::generation(), subscriber::current(Arc::clone));
        let filter_version = core.as_ref().map_or(0, |core| core.filter.version());
        Self { generation, filter_version, core, routes, active, kinds: RefCell::default() }
    }

    pub(super) fn is_current(&self) -> bool {
        let version = self.core.as_ref().map_or(0, |core| core.filter.version());
        self.generation == layer::generation() && self.filter_version == version
    }

    pub(super) fn active(&self, method: usize) -> Option<&Gauge> {
        self.active.get(method)
    }

    /// What is known of such a request. `route` is the pattern, none for a path that nothing serves.
    pub(super) fn kind(&self, method: usize, route: Option<&str>, status: u16, trouble: Option<&Trouble>) -> Rc<Kind> {
        let route = route.unwrap_or("unmatched");
        let trouble = trouble.map(|trouble| (trouble.failure_type, trouble.severity));
        let alike = |kind: &&Rc<Kind>| {
            kind.status == status && kind.method == method && kind.trouble == trouble && kind.route == route
        };
        if let Some(kind) = self.kinds.borrow().iter().find(alike) {
            return Rc::clone(kind);
        }
        let kind = Rc::new(self.describe(method, intern_up_to(MAX_ROUTES, "http_route", route), status, trouble));
        let mut kinds = self.kinds.borrow_mut();
        if kinds.len() < MAX_KINDS {
            kinds.push(Rc::clone(&kind));
        }
        kind
    }

    fn describe(
        &self,
        method: usize,
        route: &'static str,
        status: u16,
        trouble: Option<(Option<&'static str>, Severity)>,
    ) -> Kind {
        let word = method_word(method);
        let status_text = intern("http_response_status_code", &status.to_string());
        let error_type = match trouble.and_then(|(failure_type, _)| failure_type) {
            Some(failure_type) => failure_type,
            None if status == CLIENT_CLOSED_REQUEST => "cancelled",
            None if status >= 500 => status_text,
            None => "",
        };
        let level = match trouble.map(|(_, severity)| severity) {
            Some(Severity::Error) => Level::ERROR,
            Some(Severity::Warning) => Level::WARN,
            None if status == CLIENT_CLOSED_REQUEST => Level::WARN,
            None => Level::INFO,
        };
        let gone = if status == CLIENT_CLOSED_REQUEST { ", client gone" } else { "" };
        let fields = [
            ("http.request.method", json!(word)),
            ("http.route", json!(route)),
            ("http.response.status_code", json!(status)),
        ];
        let message = format!("{word} {route} → {status}{gone}");
        let core = self.core.as_ref().filter(|core| core.filter.allows(TARGET, level));
        // OpenTelemetry's names for spans of requests: the route, where there is one, and HTTP for any other method.
        let verb = if word == OTHER_METHOD { "HTTP" } else { word };
        let named = || intern_up_to(MAX_ROUTES * METHODS.len(), "span_name", &format!("{verb} {route}"));
        let span_name = if route == "unmatched" { verb } else { named() };
        Kind {
            method,
            trouble,
            status,
            error_type,
            route,
            span_name,
            duration: REQUEST_DURATION.handle([word, route, status_text, error_type]),
            template: core.map(|core| Template::new(core, level, message, &fields)),
        }
    }
}

pub(super) fn method_word(method: usize) -> &'static str {
    METHODS.get(method).copied().unwrap_or(OTHER_METHOD)
}

pub(super) fn is_other(method: usize) -> bool {
    method == METHODS.len() - 1
}

pub(super) fn method_index(method: &Method) -> usize {
    let word = method.as_str();
    METHODS.iter().position(|known| *known == word).unwrap_or(METHODS.len() - 1)
}
