//! The runbooks, part of the program: they can be read when everything else is down.
use include_dir::{Dir, include_dir};
use pulldown_cmark::{Event, Options, Parser, html};

static RUNBOOKS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../runbooks");

/// The runbook of a failure type, as Markdown.
pub(crate) fn find(failure_type: &str) -> Option<&'static str> {
    RUNBOOKS.get_file(format!("{failure_type}.md"))?.contents_utf8()
}

/// The failure types that have a runbook, each with the runbook's title.
pub(crate) fn all() -> Vec<(&'static str, &'static str)> {
    let mut all: Vec<_> = RUNBOOKS
        .files()
        .filter(|file| file.path().extension().is_some_and(|extension| extension == "md"))
        .filter_map(|file| Some((file.path().file_stem()?.to_str()?, title(file.contents_utf8()?))))
        .collect();
    all.sort_unstable();
    all
}

/// The first thing to do: the first paragraph under `## First look`.
pub(crate) fn first_look(failure_type: &str) -> Option<String> {
    first_paragraph(find(failure_type)?, "## First look")
}

pub(crate) fn title(markdown: &str) -> &str {
    markdown.lines().find_map(|line| line.strip_prefix("# ")).map_or("Runbook", str::trim)
}

/// As HTML. What looks like HTML in the Markdown is shown, not obeyed.
pub(crate) fn render(markdown: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let inert = Parser::new_ext(markdown, options).map(|event| match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        other => other,
    });
    let mut out = String::new();
    html::push_html(&mut out, inert);
    out
}

fn first_paragraph(markdown: &str, heading: &str) -> Option<String> {
    let below = markdown.lines().map(str::trim).skip_while(|line| *line != heading).skip(1);
    let paragraph =
        below.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty() && !line.starts_with('#'));
    let text = paragraph.collect::<Vec<_>>().join(" ");
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_paragraph_under_the_heading_is_quoted() {
        let markdown = "# T\n\n## First look\n\nRun `x`,\nthen look.\n\nMore.\n\n## Likely causes\n";
        assert_eq!(first_paragraph(markdown, "## First look").as_deref(), Some("Run `x`, then look."));
        assert_eq!(first_paragraph("## First look\n\n## Next\n", "## First look"), None);
    }

    #[test]
    fn html_in_markdown_is_shown_as_text() {
        let html = render("a <script>alert(1)</script>\n\n<iframe src=x></iframe>\n");
        assert!(!html.contains("<script") && !html.contains("<iframe"), "{html}");
    }

    #[test]
    fn no_path_leads_out_of_the_runbooks() {
        assert!(find("../relay/Cargo").is_none() && find("../../README").is_none());
    }
}
