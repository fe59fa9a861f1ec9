//! What all pages share.

use maud::{DOCTYPE, Markup, html};

/// A whole page.
pub(super) fn page(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                link rel="stylesheet" href="/style.css";
                link rel="icon" href="/icon.svg";
            }
            body {
                nav { a href="/" { "Orders" } a href="/docs" { "Reference" } a href="/problems" { "Problems" } }
                main { (content) }
            }
        }
    }
}

/// Text in which backticks mark code.
pub(super) fn text(text: &str) -> Markup {
    html! {
        @for (number, part) in text.split('`').enumerate() {
            @if number % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}
