//! The words of a message, in the order in which they are read.
use super::{Message, PARAGRAPH, cut, cut_by};
use crate::incident::Subject;
use crate::time;

impl Message {
    /// The line that a locked phone shows. `what` is passed in, made neutral or not.
    pub(crate) fn headline(&self, what: &str) -> String {
        let (mark, word) = match self.subject {
            Subject::Firing if self.severity == "critical" => ("🔴", "FIRING"),
            Subject::Firing => ("🟠", "FIRING"),
            Subject::Escalated => ("🚨", "STILL FIRING"),
            Subject::Flapping => ("🔁", "FLAPPING"),
            Subject::Summary => ("🔁", "STILL FLAPPING"),
            Subject::Acknowledged => ("🙋", "TAKEN"),
            Subject::LostSight => ("❔", "LOST SIGHT OF"),
            Subject::Resolved | Subject::Outage => ("✅", "RESOLVED"),
            Subject::Digest => return format!("📚 {what}"),
            Subject::Test => ("🧪", "TEST"),
        };
        format!("{mark} {word} #{}: {what} — {}", self.code, self.when())
    }

    /// Since when, or from when to when and how long.
    fn when(&self) -> String {
        let since = time::stamp(self.started_at);
        let (end, took) = match self.resolved_at {
            Some(end) => (time::clock(end), time::spoken(end - self.started_at)),
            None => (String::new(), String::new()),
        };
        match self.subject {
            Subject::Outage => {
                let why = if self.late { "; this chat was unreachable meanwhile" } else { "; told afterwards" };
                format!("was down {since} to {end} ({took}){why}")
            }
            Subject::Resolved if self.resolved_at.is_some() => format!("over after {took}, {since} to {end}"),
            Subject::Escalated => format!("nobody has taken it, level {}; since {since}", self.level),
            Subject::Flapping | Subject::Summary => {
                format!(
                    "comes and goes, {} times since {since}; a summary every 10 min until it stays quiet",
                    self.times
                )
            }
            Subject::LostSight => format!("monitoring is blind, so this is no end; firing since {since}"),
            Subject::Firing if self.again => format!("again since {since}"),
            _ => format!("since {since}"),
        }
    }

    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.subject, Subject::Resolved | Subject::Outage | Subject::Test)
    }

    pub(crate) fn color(&self) -> &'static str {
        match (self.is_over(), self.severity.as_str()) {
            (true, _) => "#2e7d32",
            (false, "critical") => "#c62828",
            _ => "#ef6c00",
        }
    }

    /// What follows the headline, as label and text.
    pub(super) fn paragraphs(&self, neutral: impl Fn(&str) -> String) -> Vec<(&'static str, String)> {
        let impact = if self.is_over() { "What users noticed" } else { "What users notice" };
        let all = [
            (impact, neutral(&self.impact)),
            ("First thing to do", self.first_step.clone().unwrap_or_default()),
            ("Its own words", neutral(&self.own_words)),
            ("A second observer says", neutral(&self.observers)),
            ("Timeline", neutral(&self.timeline)),
        ];
        all.into_iter().filter(|(_, text)| !text.is_empty()).collect()
    }

    /// The paragraphs as lines; in a digest, the lines it consists of.
    pub(crate) fn body(&self, neutral: impl Fn(&str) -> String) -> String {
        let paragraphs = self.paragraphs(neutral).into_iter().map(|(label, text)| format!("{label}: {text}"));
        paragraphs.chain(self.lines.iter().cloned()).collect::<Vec<_>>().join("\n")
    }

    /// The same, and who has it.
    pub(crate) fn said(&self, neutral: impl Fn(&str) -> String) -> String {
        let body = self.body(&neutral);
        let holder =
            if self.holder.is_empty() { String::new() } else { format!("Who has it: {}", neutral(&self.holder)) };
        [body, holder].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
    }

    /// One line on where it belongs.
    pub(crate) fn footer(&self, neutral: impl Fn(&str) -> String) -> String {
        let parts = [&self.severity, &self.failure_type, &self.service, &self.env].map(|part| neutral(part));
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
    }

    /// Everything as plain lines behind `wake`, in at most `most` of what a platform counts. Where that is too little, the texts give
    /// way first: whoever reads the message needs the links more than the last words of a sentence.
    pub(crate) fn plain_within(
        &self,
        wake: &str,
        most: usize,
        size: impl Fn(char) -> usize + Copy,
        neutral: impl Fn(&str) -> String,
    ) -> String {
        let fits = |text: &String| text.chars().map(size).sum::<usize>() <= most;
        let texts = [PARAGRAPH, 300, 150, 80].into_iter();
        let shorter =
            texts.map(|longest| wake.to_owned() + &self.plain(|text| neutral(&cut(text, longest)))).find(fits);
        shorter.unwrap_or_else(|| cut_by(&(wake.to_owned() + &self.plain(&neutral)), most, size))
    }

    /// Everything as plain lines: for platforms that refused the full form, and as fallback text.
    pub(crate) fn plain(&self, neutral: impl Fn(&str) -> String) -> String {
        let mut lines = vec![self.headline(&neutral(&self.what)), self.body(&neutral)];
        lines.extend(self.links.iter().map(|link| format!("{}: {}", link.label(), link.url)));
        if !self.holder.is_empty() {
            lines.push(format!("Who has it: {}", neutral(&self.holder)));
        }
        lines.push(self.footer(&neutral));
        lines.retain(|line| !line.is_empty());
        lines.join("\n")
    }
}
