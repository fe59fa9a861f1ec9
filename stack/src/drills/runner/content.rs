//! Whether a message tells a person what they need: what, what it means, what to do first, and links that open.

use anyhow::Context;
use reqwest::Url;

use super::observer::{Alert, Observer};
use crate::chat::Message;

/// What a Prometheus answers that was built, or unpacked, without its web pages.
const NO_WEB_PAGES: [&str; 2] = ["Error opening React index.html", "error reading base template"];

/// What a message announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is broken.
    Firing,
    /// What was announced is over.
    Resolved,
    /// It was broken and is over, told in one.
    WasDown,
    /// None of these.
    Unknown,
}

pub(super) fn kind(message: &Message) -> Kind {
    let headline = headline(message);
    if headline.contains("FIRING") {
        Kind::Firing
    } else if !headline.contains("RESOLVED") {
        Kind::Unknown
    } else if headline.contains("was down") {
        Kind::WasDown
    } else {
        Kind::Resolved
    }
}

/// The line that a locked phone shows.
pub(super) fn headline(message: &Message) -> String {
    message.text().lines().next().unwrap_or_default().to_owned()
}

/// The line that says where it belongs: severity, failure type, service, environment.
pub(super) fn footer(message: &Message) -> String {
    message.text().lines().next_back().unwrap_or_default().to_owned()
}

/// Whether a message says how long it lasted, such as `12 s` or `4 min 2 s`.
pub(super) fn tells_duration(message: &Message) -> bool {
    let headline = headline(message);
    let words: Vec<&str> = headline.split([' ', '(', ')', ',']).collect();
    words.windows(2).any(|pair| match pair {
        [number, unit] => number.parse::<u32>().is_ok() && matches!(*unit, "s" | "min" | "h"),
        _ => false,
    })
}

/// What there is to say about a message.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    pub(super) wrong: Vec<String>,
    pub(super) remarks: Vec<String>,
}

/// Judges a FIRING message of `failure_type`, about `alert` unless the relay noticed by itself.
pub(super) async fn judge(
    observer: &Observer,
    message: &Message,
    failure_type: &str,
    alert: Option<&Alert>,
) -> Judgement {
    let mut judgement = Judgement::default();
    let text = squeezed(&message.text());
    let annotations = alert
        .map(|alert| [("what is broken", alert.annotation("summary")), ("what it means", alert.annotation("impact"))]);
    for (what, expected) in annotations.into_iter().flatten() {
        if expected.is_empty() || !text.contains(&squeezed(expected)) {
            judgement.wrong.push(format!("the message does not say {what}: {expected:?}"));
        }
    }
    let runbook = format!("{}/runbooks/{failure_type}", observer.at.relay);
    judge_links(observer, message, &runbook, &mut judgement).await;
    if let Some(alert) = alert {
        judge_dashboard(message, alert, &mut judgement);
    }
    match first_step(observer, &runbook).await {
        Ok(step) if text.contains(&step) => {}
        Ok(step) => judgement.wrong.push(format!("the message does not say what to do first: {step:?}")),
        Err(error) => judgement.wrong.push(format!("the runbook names no first step: {error:#}")),
    }
    judgement
}

/// A link to Grafana opens the alert's own panel.
fn judge_dashboard(message: &Message, alert: &Alert, judgement: &mut Judgement) {
    let Some((uid, panel)) = alert.annotation("dashboard").split_once('/') else { return };
    for link in message.links().iter().filter(|link| link.contains("/d/")) {
        if !link.contains(&format!("/d/{uid}")) || !link.contains(&format!("viewPanel=panel-{panel}&")) {
            judgement.wrong.push(format!("the link {link} does not open panel {panel} of {uid}"));
        }
    }
}

async fn judge_links(observer: &Observer, message: &Message, runbook: &str, judgement: &mut Judgement) {
    let links = message.links();
    if !links.iter().any(|link| link.starts_with(runbook)) {
        judgement.wrong.push(format!("the message has no link to the runbook {runbook}"));
    }
    for link in links.iter().filter(|link| on_loopback(link)) {
        match open(observer, link).await {
            Ok(remark) => judgement.remarks.extend(remark.map(str::to_owned)),
            Err(error) => judgement.wrong.push(format!("the link {link} does not open: {error:#}")),
        }
    }
}

/// Opens a link as a browser would; the remark says what could not be seen.
async fn open(observer: &Observer, link: &str) -> anyhow::Result<Option<&'static str>> {
    let to_prometheus = link.starts_with(&observer.at.prometheus);
    if to_prometheus {
        ask_expression(observer, link).await?;
    }
    let (status, _, page) = observer.page(link).await?;
    if to_prometheus && NO_WEB_PAGES.iter().any(|text| page.starts_with(text)) {
        return Ok(Some("this Prometheus has no web pages; it was asked for the graph's expression instead"));
    }
    anyhow::ensure!(status.as_u16() == 200, "it answers {status}");
    Ok(None)
}

/// The graph behind the link must show the fault.
async fn ask_expression(observer: &Observer, link: &str) -> anyhow::Result<()> {
    let url = Url::parse(link)?;
    let expression = url.query_pairs().find(|(key, _)| key == "g0.expr");
    let (_, expression) = expression.context("it has no expression")?;
    let value = observer.query(&expression).await.context("Prometheus does not understand its expression")?;
    anyhow::ensure!(value.is_some(), "its expression shows nothing");
    Ok(())
}

fn on_loopback(link: &str) -> bool {
    Url::parse(link).is_ok_and(|url| matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]")))
}

/// The sentence that the rendered runbook has below "First look".
async fn first_step(observer: &Observer, runbook: &str) -> anyhow::Result<String> {
    let (status, kind, page) = observer.page(runbook).await?;
    anyhow::ensure!(status.as_u16() == 200 && kind.starts_with("text/html"), "{runbook} answers {status} {kind}");
    anyhow::ensure!(page.contains("<h1"), "{runbook} is not rendered");
    let below = page.split_once("First look</h2>").map(|(_, below)| below);
    let paragraph = below.and_then(|below| below.split_once("<p>")?.1.split_once("</p>")).map(|(inner, _)| inner);
    let step = squeezed(&without_markup(paragraph.unwrap_or_default()));
    anyhow::ensure!(!step.is_empty(), "nothing stands below \"First look\" on {runbook}");
    Ok(step)
}

fn without_markup(html: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for character in html.chars() {
        match character {
            '<' => inside = true,
            '>' => inside = false,
            _ if !inside => text.push(character),
            _ => {}
        }
    }
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&")
}

/// Words only, since each chat has its own idea of code marks and line breaks.
fn squeezed(text: &str) -> String {
    text.replace('`', "").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message { at_ms: 0, received_at: chrono::Utc::now(), body: serde_json::json!({ "text": text }) }
    }

    #[test]
    fn the_headline_says_what_is_announced_and_how_long_it_lasted() {
        let over = message("✅ RESOLVED #K7QF: gone — over after 12 s, 10:00 to 10:01\nFIRING");
        assert_eq!((kind(&over), tells_duration(&over)), (Kind::Resolved, true));
        let told = message("✅ RESOLVED #K7QF: gone — was down 10:00 to 10:01 (1 min 2 s); told afterwards");
        assert_eq!((kind(&told), tells_duration(&told)), (Kind::WasDown, true));
        let firing = message("🔴 FIRING #K7QF: gone — since 10:00");
        assert_eq!((kind(&firing), tells_duration(&firing)), (Kind::Firing, false));
    }

    #[test]
    fn a_paragraph_reads_as_its_words() {
        let html = "Ask <code>pg_isready</code>\n what it &quot;says&quot; &amp; wait.";
        assert_eq!(squeezed(&without_markup(html)), "Ask pg_isready what it \"says\" & wait.");
    }
}
