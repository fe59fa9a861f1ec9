//! Whole pages, around the parts that refresh themselves.
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{Narrow, parts};
use crate::incident::Incident;
use crate::runbooks;

/// The list of incidents.
pub(super) fn inbox(narrow: &Narrow, overview: &Markup) -> Markup {
    let query: String =
        form_urlencoded(&[("state", &narrow.state), ("failure_type", &narrow.failure_type), ("q", &narrow.q)]);
    let filters = html! {
        form.filters method="get" action="/" role="search" {
            label { "Words" input type="search" name="q" value=(narrow.q) placeholder="orders critical"; }
            label { "State" (select("state", &narrow.state, ["open", "acknowledged", "flapping", "lost_sight", "resolved"].map(|name| (name, name)))) }
            label { "Failure type" (select("failure_type", &narrow.failure_type, runbooks::all().into_iter().map(|(name, _)| (name, name)))) }
            button { "Filter" }
        }
    };
    live("Inbox", "Incidents", &format!("/fragments/incidents?{query}"), &filters, overview)
}

fn select<'a>(name: &str, chosen: &str, all: impl IntoIterator<Item = (&'a str, &'a str)>) -> Markup {
    html! {
        select name=(name) {
            option value="" { "any" }
            @for (value, text) in all { option value=(value) selected[value == chosen] { (text.replace('_', " ")) } }
        }
    }
}

fn form_urlencoded(pairs: &[(&str, &String)]) -> String {
    let mut url = reqwest::Url::parse("http://x/").ok();
    if let Some(url) = &mut url {
        url.query_pairs_mut().extend_pairs(pairs);
    }
    url.and_then(|url| url.query().map(str::to_owned)).unwrap_or_default()
}

/// What a link in a message leads to. Only the button acts.
pub(super) fn act(incident: &Incident, token: &str) -> Markup {
    let title = format!("Take #{}", incident.code);
    let body = html! {
        h1 { (title) }
        p.lead { (parts::line(incident.title())) }
        p { "Who takes an incident stops its escalation for an hour. Messages about it go on." }
        (parts::take(token))
        p { a href={ "/incidents/" (incident.code) } { "See the incident" } }
    };
    page(&title, &body)
}

pub(super) fn sign_in(shut: bool, wrong: bool) -> Markup {
    let body = html! {
        h1 { "Sign in" }
        @if shut { p.banner role="alert" { "Nobody can sign in: RELAY_SIGN_IN_TOKEN_FILE is not set." } }
        @if wrong { p.banner role="alert" { "That is not the token." } }
        form.act method="post" action="/sign-in" {
            label { "Token" input type="password" name="token" required autocomplete="current-password" autofocus; }
            button { "Sign in" }
        }
    };
    page("Sign in", &body)
}

/// An incident's log lines.
pub(super) fn logs(incident: &Incident, lines: &Result<Vec<(String, String)>, String>) -> Markup {
    let title = format!("Log lines of #{}", incident.code);
    let body = html! {
        h1 { (title) }
        p { a href={ "/incidents/" (incident.code) } { (parts::line(incident.title())) } }
        @match lines {
            Err(why) => p.banner role="alert" { (why) },
            Ok(lines) if lines.is_empty() => p.quiet { "Loki has no line for it." },
            Ok(lines) => pre { @for (at, line) in lines { span.quiet { (at) " " } (parts::paragraph(line)) "\n" } },
        }
    };
    page(&title, &body)
}

/// One incident.
pub(crate) fn incident(code: &str, detail: &Markup) -> Markup {
    live(&format!("#{code}"), &format!("Incident #{code}"), &format!("/fragments/incidents/{code}"), &html! {}, detail)
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
fn live(title: &str, heading: &str, source: &str, above: &Markup, content: &Markup) -> Markup {
    let body = html! {
        h1 { (heading) }
        // Spoken by screen readers when its text changes; the list itself would be read out as a whole.
        p #status role="status" aria-live="polite" { "Updates by itself." }
        (above)
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
