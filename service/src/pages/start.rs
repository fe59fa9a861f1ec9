//! Where to begin: the first page, with the ways to everything else.

use maud::{Markup, html};
use reqwest::Url;

use super::layout;
use crate::{SERVICE, config::Config};

/// A way to another part of the stack.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    name: &'static str,
    what: &'static str,
    url: Url,
}

/// The ways that are configured.
pub(crate) fn links(config: &Config) -> Vec<Link> {
    [
        ("Inbox", "What is broken now, and who has it", &config.public_url_relay),
        ("Dashboards", "Grafana", &config.public_url_grafana),
        ("Traces", "Jaeger", &config.public_url_jaeger),
        ("Metrics and alerts", "Prometheus", &config.public_url_prometheus),
    ]
    .into_iter()
    .filter_map(|(name, what, url)| Some(Link { name, what, url: url.clone()? }))
    .collect()
}

const FIRST_ORDER: &str = r#"curl --json '{"item": "coffee", "quantity": 2, "amount": 1998, "currency": "EUR"}' \
  "$HERE/v1/orders""#;

pub(super) fn page(links: &[Link]) -> Markup {
    let card = |href: &str, name: &str, what: &str| {
        html! { li { a.card href=(href) { strong { (name) } span { (what) } } } }
    };
    let content = html! {
        h1 { "Orders" }
        p { "The example service of Lookout. Place an order, break something, and watch it being told." }
        ul.cards {
            (card("/docs", "Reference", "Every operation, with its fields and errors"))
            (card("/openapi.json", "openapi.json", "The same for machines"))
            (card("/problems", "Problems", "What each error means, and what to do"))
        }
        @if !links.is_empty() {
            h2 { "Around it" }
            ul.cards { @for Link { name, what, url } in links { (card(url.as_str(), name, what)) } }
        }
        h2 { "A first order" }
        pre { code { (FIRST_ORDER) } }
        p.quiet { "with this page's address in " code { "HERE" } ". Version " (SERVICE.version) ", " (SERVICE.revision) "." }
    };
    layout::page("Orders", &content)
}
