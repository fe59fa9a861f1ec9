//! What the runbook says to do first: the sentence that chat quotes, and the command below it, run as it is written.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::Context;
use regex::Regex;
use tokio::process::Command;

use super::observer::{Observer, until};
use crate::Endpoints;

/// Longer than the `-m 3` of a command that meets silence.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a command reads may be scraped a little after the alert.
const SHOWN_WITHIN: Duration = Duration::from_secs(20);
/// The windows of most commands are no longer.
const OVER_WITHIN: Duration = Duration::from_mins(2);
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Clone, Debug)]
pub(super) struct FirstLook {
    /// Words only.
    pub(super) step: String,
    command: String,
    shows: Regex,
}

impl FirstLook {
    /// From the page that a reader sees; the command's output is to match `shows` while the fault lasts, and only then.
    pub(super) async fn read(observer: &Observer, failure_type: &str, shows: &str) -> anyhow::Result<Self> {
        let runbook = format!("{}/runbooks/{failure_type}", observer.at.relay);
        let (status, kind, page) = observer.page(&runbook).await?;
        anyhow::ensure!(status.as_u16() == 200 && kind.starts_with("text/html"), "{runbook} answers {status} {kind}");
        anyhow::ensure!(page.contains("<h1"), "{runbook} is not rendered");
        let (step, command) = parse(&page).with_context(|| format!("{runbook} does not say what to do first"))?;
        Ok(Self { step, command: with_ports(&command, &observer.at), shows: Regex::new(shows)? })
    }

    /// Waits until the command shows nothing, as it must in health.
    pub(super) async fn silent(&self) -> anyhow::Result<()> {
        let ask = async || (!self.shows.is_match(&self.run().await)).then_some(());
        let silent = until(Instant::now() + OVER_WITHIN, PAUSE, ask).await;
        silent
            .with_context(|| format!("the runbook's first command shows a fault before there is one: {}", self.command))
    }

    /// Waits until the command shows the fault, and returns what it says otherwise.
    pub(super) async fn shown(&self) -> Result<(), String> {
        let ask = async || self.shows.is_match(&self.run().await).then_some(());
        match until(Instant::now() + SHOWN_WITHIN, PAUSE, ask).await {
            Some(()) => Ok(()),
            None => Err(format!("the runbook's first command, {}, says {}", self.command, self.run().await)),
        }
    }

    /// What it says, and how it ends.
    async fn run(&self) -> String {
        let mut command = Command::new("bash");
        command.args(["-c", &self.command]).stdin(Stdio::null()).kill_on_drop(true);
        match tokio::time::timeout(PATIENCE, command.output()).await {
            Err(_) => format!("nothing within {} s", PATIENCE.as_secs()),
            Ok(Err(error)) => format!("it does not start: {error}"),
            Ok(Ok(output)) => {
                let said = [output.stdout, output.stderr].concat();
                let code = output.status.code().unwrap_or_default();
                format!("{}\nexit {code}", String::from_utf8_lossy(&said).trim())
            }
        }
    }
}

/// The first sentence and the first command that a rendered runbook has below "First look".
fn parse(page: &str) -> Option<(String, String)> {
    let (_, below) = page.split_once("First look</h2>")?;
    let (paragraph, _) = below.split_once("<p>")?.1.split_once("</p>")?;
    let (commands, _) = below.split_once(r#"<code class="language-sh">"#)?.1.split_once("</code>")?;
    let step = squeezed(&without_markup(paragraph));
    let command = without_markup(commands.lines().next()?);
    let command = Regex::new(r"\s{2,}#.*").ok()?.replace(&command, "").into_owned();
    (!step.is_empty() && !command.is_empty()).then_some((step, command))
}

/// The runbook names the usual ports; of a drill's own stack each part has another.
fn with_ports(command: &str, at: &Endpoints) -> String {
    let usual = [(8080, &at.service), (8090, &at.relay), (9090, &at.prometheus), (9093, &at.alertmanager)];
    usual.iter().fold(command.to_owned(), |command, (port, url)| {
        command.replace(&format!("http://127.0.0.1:{port}/"), &format!("{url}/"))
    })
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
pub(super) fn squeezed(text: &str) -> String {
    text.replace('`', "").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sentence_and_the_first_command_are_read_as_a_person_reads_them() {
        let page = "<h2>First look</h2>\n<p>Ask <code>pg_isready</code>\n what it &quot;says&quot; &amp; wait.</p>\n<pre>\
                    <code class=\"language-sh\">curl 'http://127.0.0.1:9090/?query=a &gt; 1'   # not now\nmake doctor\n</code></pre>";

        let (step, command) = parse(page).unwrap();

        assert_eq!(step, "Ask pg_isready what it \"says\" & wait.");
        let at = Endpoints { prometheus: "http://127.0.0.1:1".to_owned(), ..Endpoints::default() };
        assert_eq!(with_ports(&command, &at), "curl 'http://127.0.0.1:1/?query=a > 1'");
    }
}
