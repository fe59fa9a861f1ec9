//! Pages for people: where to begin, the reference of the API, what each problem means. They are made when the
//! first is asked for, and kept compressed.

mod docs;
mod layout;
mod problems;
mod start;

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::Write as _,
    sync::{Arc, OnceLock},
};

use actix_web::{
    HttpRequest, HttpResponse, guard,
    http::header::{
        AcceptEncoding, CACHE_CONTROL, CONTENT_ENCODING, ContentEncoding, ETag, Encoding, EntityTag, Header as _,
        IfNoneMatch, VARY,
    },
    web::{self, Bytes},
};
use flate2::{Compression, write::GzEncoder};

use crate::{
    error::{ApiError, PROBLEMS},
    openapi,
};

pub(crate) use start::{Link, links};

/// Puts the pages; expects [`Pages`] as app data.
pub(crate) fn register(service: &mut web::ServiceConfig) {
    let paths = ["/", "/docs", "/openapi.json", "/problems", "/problems/{kind}", "/style.css", "/icon.svg"];
    service.service(
        web::resource(paths)
            .route(web::route().guard(guard::Any(guard::Get()).or(guard::Head())).to(show))
            .default_service(web::to(async || Err::<HttpResponse, _>(ApiError::MethodNotAllowed("GET, HEAD")))),
    );
}

/// All pages, by their path.
#[derive(Clone, Debug)]
pub(crate) struct Pages {
    links: Vec<Link>,
    made: Arc<OnceLock<HashMap<String, Page>>>,
}

impl Pages {
    /// `links` are to the rest of the stack.
    pub(crate) fn new(links: Vec<Link>) -> Self {
        Self { links, made: Arc::default() }
    }

    fn find(&self, path: &str) -> Option<&Page> {
        self.made.get_or_init(|| make(&self.links)).get(path)
    }
}

fn make(links: &[Link]) -> HashMap<String, Page> {
    let html = |markup: maud::Markup| Page::new("text/html; charset=utf-8", markup.into_string());
    let mut pages = HashMap::from([
        ("/".to_owned(), html(start::page(links))),
        ("/docs".to_owned(), html(docs::page(openapi::COMMITTED))),
        ("/openapi.json".to_owned(), Page::new("application/json", openapi::COMMITTED)),
        ("/problems".to_owned(), html(problems::index())),
        ("/style.css".to_owned(), Page::new("text/css; charset=utf-8", include_str!("style.css"))),
        ("/icon.svg".to_owned(), Page::new("image/svg+xml", include_str!("icon.svg"))),
    ]);
    pages.extend(PROBLEMS.iter().map(|one| (format!("/problems/{}", one.kind), html(problems::page(one)))));
    pages
}

#[derive(Debug)]
struct Page {
    content_type: &'static str,
    tag: EntityTag,
    plain: Bytes,
    compressed: Bytes,
}

impl Page {
    fn new(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let plain = body.into();
        let mut hasher = DefaultHasher::new();
        plain.hash(&mut hasher);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        // Writing to memory cannot fail.
        let compressed = encoder.write_all(&plain).and_then(|()| encoder.finish()).unwrap_or_default().into();
        // Weak, as both forms share it.
        Self { content_type, tag: EntityTag::new_weak(format!("{:016x}", hasher.finish())), plain, compressed }
    }
}

/// A browser keeps a page and asks each time whether it still holds, so that nobody reads the one of before.
async fn show(request: HttpRequest, pages: web::Data<Pages>) -> Result<HttpResponse, ApiError> {
    let page = pages.find(request.path()).ok_or(ApiError::NoSuchRoute)?;
    let known = match IfNoneMatch::parse(&request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|tag| tag.weak_eq(&page.tag)),
        Err(_) => false,
    };
    let mut answer = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer.insert_header(ETag(page.tag.clone()));
    answer.insert_header((CACHE_CONTROL, "no-cache")).insert_header((VARY, "accept-encoding"));
    if known {
        return Ok(answer.finish());
    }
    answer.content_type(page.content_type);
    let forms = [Encoding::gzip(), Encoding::identity()];
    let encoding = AcceptEncoding::parse(&request).ok().and_then(|accepted| accepted.negotiate(forms.iter()));
    let body = if encoding == Some(Encoding::gzip()) {
        answer.insert_header((CONTENT_ENCODING, ContentEncoding::Gzip));
        &page.compressed
    } else {
        &page.plain
    };
    Ok(answer.body(body.clone()))
}
