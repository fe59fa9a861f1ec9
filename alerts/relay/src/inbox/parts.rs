//! The parts of pages that refresh themselves: the list, and one incident with its timeline.
use maud::{Markup, html};

use crate::incident::{Incident, State};
use crate::message::{LOG_LINES, Links, clean, cut};
use crate::runbooks;
use crate::store::{Delivery, Entry};
use crate::time;

const LINE: usize = 250;
const PARAGRAPH: usize = 1500;

/// Banners, open incidents, recent ones.
pub(crate) fn overview(banners: &[String], open: &[Entry], recent: &[Entry]) -> Markup {
    html! {
        @for banner in banners { p.banner role="note" { (banner) } }
        section aria-labelledby="open" {
            h2 #open data-open=(open.len()) { "Open (" (open.len()) ")" }
            @if open.is_empty() { p.quiet { "Nothing is broken that anybody has reported." } }
            ul.plain { @for entry in open { (card(entry)) } }
        }
        section aria-labelledby="recent" {
            h2 #recent { "Recently resolved" }
            @if recent.is_empty() { p.quiet { "Nothing yet." } }
            ul.plain { @for entry in recent { (card(entry)) } }
        }
    }
}

fn card(entry: &Entry) -> Markup {
    let incident = &entry.incident;
    html! {
        li { a.card.open[incident.state() != State::Resolved].critical[incident.severity == "critical"] href={ "/incidents/" (incident.code) } {
            strong { (line(incident.title())) }
            span.meta { span class={ "state " (incident.state().name()) } { (incident.state().name().replace('_', " ")) } " #" (incident.code) " · " (line(&incident.severity)) " · " (when(incident)) }
            span.meta { (told(&entry.deliveries)) }
        } }
    }
}

/// One incident.
pub(super) fn detail(entry: &Entry, links: &Links, token: &str, logs: bool) -> Markup {
    let incident = &entry.incident;
    html! {
        p.lead { (line(incident.title())) }
        p { span class={ "state " (incident.state().name()) } { (incident.state().name().replace('_', " ")) } " " (when(incident)) }
        @if incident.acked_at.is_some() { p { "Taken by " strong { (line(&incident.acked_by)) } "." } }
        @if incident.resolved_at.is_none() && incident.acked_at.is_none() { (take(token)) }
        @if !incident.impact.is_empty() { h2 { "What users notice" } p { (paragraph(&incident.impact)) } }
        @if let Some(step) = runbooks::first_look(&incident.failure_type) {
            h2 { "First thing to do" }
            p { (step) " " a href={ "/runbooks/" (incident.failure_type) } { "The whole runbook" } }
        }
        @if !incident.description.is_empty() { h2 { "What was measured" } p { (paragraph(&incident.description)) } }
        (look(incident, links))
        @if logs && links.of(incident).iter().all(|link| link.name != LOG_LINES) { p { a href={ "/incidents/" (incident.code) "/logs" } { "Log lines of that time" } } }
        h2 { "Channels" }
        (channels(&entry.deliveries))
        h2 { "Timeline" }
        (timeline(entry))
        (note(token))
        h2 { "Labels" }
        (labels(incident))
    }
}

/// The form with which somebody takes the incident.
pub(super) fn take(token: &str) -> Markup {
    html! {
        form.act method="post" action={ "/act/" (token) } {
            label { "Your name" input name="who" required maxlength="60" autocomplete="nickname"; }
            button.primary { "I take it" }
        }
    }
}

fn note(token: &str) -> Markup {
    html! {
        form.act method="post" action={ "/act/" (token) } {
            label { "Your name" input name="who" required maxlength="60" autocomplete="nickname"; }
            label { "Note" input name="note" required maxlength="1000" autocomplete="off"; }
            button { "Add the note" }
        }
    }
}

/// Links to elsewhere; the runbook and this page stand above already.
fn look(incident: &Incident, links: &Links) -> Markup {
    let links: Vec<_> =
        links.of(incident).into_iter().filter(|link| !matches!(link.name, "Runbook" | "Incident")).collect();
    html! {
        @if !links.is_empty() {
            h2 { "Where to look" }
            ul.plain { @for link in &links { li { a.card href=(link.url) rel="noreferrer" { (link.label()) } } } }
        }
    }
}

fn channels(deliveries: &[Delivery]) -> Markup {
    html! {
        table {
            thead { tr { th scope="col" { "Channel" } th scope="col" { "About" } th scope="col" { "State" } th scope="col" { "Attempts" } } }
            tbody { @for delivery in deliveries {
                tr class=(delivery.state) { td { (delivery.channel) } td { (delivery.transition) } td { (state(delivery)) } td { (delivery.attempts) } }
            } }
        }
    }
}

fn state(delivery: &Delivery) -> String {
    match (delivery.state.as_str(), delivery.delivered_at) {
        ("dead", _) => "given up".to_owned(),
        ("merged", _) => "told together with the end".to_owned(),
        (_, Some(at)) => format!("delivered {}", time::clock(at)),
        (_, None) => "not accepted yet".to_owned(),
    }
}

/// Everything that happened, oldest first.
fn timeline(entry: &Entry) -> Markup {
    let incident = &entry.incident;
    let mut events =
        vec![(incident.started_at, "began".to_owned()), (incident.received_at, "the relay heard of it".to_owned())];
    for delivery in &entry.deliveries {
        for attempt in &delivery.tries {
            let outcome = if attempt.accepted {
                "accepted".to_owned()
            } else {
                format!("not accepted: {}", line(&attempt.detail))
            };
            events.push((attempt.at, format!("{}, {}: {outcome}", delivery.channel, delivery.transition)));
        }
    }
    events.extend(entry.events.iter().map(|(at, what)| (*at, line(what))));
    events.extend(incident.resolved_at.map(|at| (at, "over".to_owned())));
    events.extend(incident.resolved_received_at.map(|at| (at, "the relay heard that it is over".to_owned())));
    events.sort_by_key(|(at, _)| *at);
    html! { ol.timeline { @for (at, what) in &events { li { time datetime=(time::rfc3339(*at)) { (time::stamp(*at)) } " " (what) } } } }
}

fn labels(incident: &Incident) -> Markup {
    let labels: std::collections::BTreeMap<String, String> = serde_json::from_str(&incident.labels).unwrap_or_default();
    html! { dl { @for (name, value) in &labels { div { dt { (line(name)) } dd { (line(value)) } } } } }
}

fn when(incident: &Incident) -> String {
    let since = time::stamp(incident.started_at);
    match incident.resolved_at {
        None => format!("since {since} ({})", time::spoken(time::now() - incident.started_at)),
        Some(end) => format!("{since} to {} ({})", time::clock(end), time::spoken(end - incident.started_at)),
    }
}

/// One line on who has been told and who has not.
fn told(deliveries: &[Delivery]) -> String {
    let names = |pending: bool| {
        let names: std::collections::BTreeSet<_> = deliveries
            .iter()
            .filter(|delivery| (delivery.state == "pending") == pending)
            .map(|delivery| delivery.channel.as_str())
            .collect();
        names.into_iter().collect::<Vec<_>>().join(", ")
    };
    match names(true) {
        waiting if waiting.is_empty() => format!("told: {}", names(false)),
        waiting => format!("waiting for: {waiting}"),
    }
}

pub(super) fn line(text: &str) -> String {
    cut(&clean(text), LINE)
}

pub(super) fn paragraph(text: &str) -> String {
    cut(&clean(text), PARAGRAPH)
}
