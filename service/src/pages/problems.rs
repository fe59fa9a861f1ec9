//! What each problem means and what to do: where the `type` of an error's answer leads.

use maud::{Markup, html};

use super::layout::{self, text};
use crate::error::{PROBLEMS, ProblemType};

pub(super) fn index() -> Markup {
    let content = html! {
        h1 { "Problems" }
        p { "Each answer that is an error says in its " code { "type" } " which of these it is." }
        table {
            @for ProblemType { kind, status, title, meaning, .. } in PROBLEMS {
                tr {
                    td { (status.as_u16()) }
                    td { a href={ "/problems/" (kind) } { (title) } br; code { (kind) } }
                    td { (text(meaning)) }
                }
            }
        }
    };
    layout::page("Problems", &content)
}

pub(super) fn page(ProblemType { kind, status, title, meaning, advice }: &ProblemType) -> Markup {
    let content = html! {
        h1 { (title) }
        p.quiet { "Status " (status.as_u16()) ", type " code { "/problems/" (kind) } }
        h2 { "What has happened" }
        p { (text(meaning)) }
        h2 { "What to do" }
        p { (text(advice)) }
        p.quiet {
            "The answer's " code { "request_id" } " is on every line that this service has written about the request."
        }
    };
    layout::page(title, &content)
}
