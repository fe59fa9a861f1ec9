//! What the runbook says to do first: the sentence that chat quotes, and the command below it, run as it is written; and
//! those that follow and read the logs, or ask Postgres, of processes.

use std::{
    fmt,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::Context;
use regex::Regex;
use reqwest::Url;
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
    more: Vec<String>,
}

impl FirstLook {
    /// From the page that a reader sees; the command's output is to match `shows` while the fault lasts, and only then.
    pub(super) async fn read(observer: &Observer, failure_type: &str, shows: &str) -> anyhow::Result<Self> {
        let runbook = format!("{}/runbooks/{failure_type}", observer.at.relay);
        let (status, kind, page) = observer.page(&runbook).await?;
        anyhow::ensure!(status.as_u16() == 200 && kind.starts_with("text/html"), "{runbook} answers {status} {kind}");
        anyhow::ensure!(page.contains("<h1"), "{runbook} is not rendered");
        let (step, command) = parse(&page).with_context(|| format!("{runbook} does not say what to do first"))?;
        let more = more(&page).with_context(|| format!("{runbook} has no commands"))?;
        Ok(Self { step, command: with_ports(&command, &observer.at), shows: Regex::new(shows)?, more })
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

    /// Waits until the commands that follow have succeeded for the processes of `folder`, without a word on their error
    /// output, and returns what the others say. One that looks for lines of the failure type `lines` must find some.
    pub(super) async fn complaints(&self, folder: &Path, database_url: &str, lines: Option<&str>) -> Vec<String> {
        let port = Url::parse(database_url).ok().and_then(|url| url.port()).unwrap_or_default().to_string();
        let of_fault = lines.map(|failure_type| format!(r#""failure_type":"{failure_type}""#));
        let mut complaints = Vec::new();
        for written in &self.more {
            let strict = if of_fault.as_ref().is_some_and(|of_fault| written.contains(of_fault)) {
                "set -o pipefail\n"
            } else {
                ""
            };
            let moved = format!("{strict}{}", written.replace(".lookout/", &format!("{}/", folder.display())));
            let run = async || run(Command::new("bash").args(["-c", &moved]).env("PGPORT", &port)).await;
            let fine = async || run().await.is_ok_and(|said| said.succeeded && said.error.is_empty()).then_some(());
            if until(Instant::now() + SHOWN_WITHIN, PAUSE, fine).await.is_none() {
                let said = run().await.map_or_else(|problem| problem, |said| said.to_string());
                complaints.push(format!("the runbook's command {written} says {said}"));
            }
        }
        complaints
    }

    /// What it says, and how it ends.
    async fn run(&self) -> String {
        let said = run(Command::new("bash").args(["-c", &self.command])).await;
        said.map_or_else(|problem| problem, |said| said.to_string())
    }
}

/// What a command has said.
struct Said {
    output: String,
    error: String,
    code: i32,
    succeeded: bool,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nexit {}", [self.output.trim(), self.error.trim()].concat(), self.code)
    }
}

/// Or why it has said nothing.
async fn run(command: &mut Command) -> Result<Said, String> {
    match tokio::time::timeout(PATIENCE, command.stdin(Stdio::null()).kill_on_drop(true).output()).await {
        Err(_) => Err(format!("nothing within {} s", PATIENCE.as_secs())),
        Ok(Err(error)) => Err(format!("it does not start: {error}")),
        Ok(Ok(output)) => Ok(Said {
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
            error: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code().unwrap_or_default(),
            succeeded: output.status.success(),
        }),
    }
}

/// The commands below "First look" that read the logs of processes, or ask their Postgres, each with the variable it uses.
fn more(page: &str) -> Option<Vec<String>> {
    let (_, below) = page.split_once("First look</h2>")?;
    let (section, _) = below.split_once("<h2")?;
    let comment = Regex::new(r"\s{2,}# .*").ok()?;
    let blocks =
        section.split(r#"<code class="language-sh">"#).skip(1).filter_map(|block| block.split("</code>").next());
    let text = without_markup(&blocks.collect::<Vec<_>>().join("\n"));
    let mut variable = "";
    let mut more = Vec::new();
    for line in text.lines() {
        if line.starts_with("Q=") {
            variable = line;
        } else if line.starts_with("grep ") || line.contains("psql ") && !line.starts_with("docker ") {
            more.push(format!("{variable}\n{}", comment.replace(line, "")).trim().to_owned());
        }
    }
    Some(more)
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

    #[test]
    fn those_that_follow_are_those_for_processes() {
        let page = "<h2>First look</h2><pre><code class=\"language-sh\">curl -s http://127.0.0.1:9090\n\
                    Q=&quot;SELECT 1&quot;\npsql -c &quot;$Q&quot;   # native\ndocker compose exec postgres psql -c &quot;$Q&quot;\n\
                    </code></pre><pre><code class=\"language-sh\">grep x .lookout/logs/service.log   # native\n</code></pre>\
                    <h2>Likely causes</h2><pre><code class=\"language-sh\">psql -c nothing\n</code></pre>";

        let more = more(page).unwrap();

        assert_eq!(more, ["Q=\"SELECT 1\"\npsql -c \"$Q\"", "Q=\"SELECT 1\"\ngrep x .lookout/logs/service.log"]);
    }
}
