//! Whole pages, around the parts that refresh themselves.
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::runbooks;

/// The list of incidents.
pub(crate) fn inbox(overview: &Markup) -> Markup {
    live("Inbox", "Incidents", "/fragments/incidents", overview)
}

/// One incident.
pub(crate) fn incident(code: &str, detail: &Markup) -> Markup {
    live(&format!("#{code}"), &format!("Incident #{code}"), &format!("/fragments/incidents/{code}"), detail)
}

/// All runbooks.
pub(crate) fn runbooks(all: &[(&str, &str)]) -> Markup {
    let list = html! {
        h1 { "Runbooks" }
        @if all.is_empty() { p { "This build has no runbooks." } }
        ul.plain { @for (failure_type, title) in all { li { a.card href={ "/runbooks/" (failure_type) } { (title) " " code { (failure_type) } } } } }
    };
    page("Runbooks", &list)
}

/// One runbook, from our own Markdown.
pub(crate) fn runbook(markdown: &str) -> Markup {
    let text = html! { article.prose { (PreEscaped(runbooks::render(markdown))) } };
    page(runbooks::title(markdown), &text)
}

/// A page whose content is fetched again from `source` when something changed.
fn live(title: &str, heading: &str, source: &str, content: &Markup) -> Markup {
    let body = html! {
        h1 { (heading) }
        // Spoken by screen readers when its text changes; the list itself would be read out as a whole.
        p #status role="status" aria-live="polite" { "Updates by itself." }
        div #live data-source=(source) { (content) }
        script src="/assets/inbox.js" defer {}
    };
    page(title, &body)
}

fn page(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · relay" }
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/assets/inbox.css";
            }
            body {
                a.skip href="#main" { "Skip to content" }
                header { nav aria-label="Main" { a href="/" { "Inbox" } a href="/runbooks" { "Runbooks" } } }
                main #main tabindex="-1" { (body) }
            }
        }
    }
}
