//! Makes text from alerts harmless: it must neither break a message, nor mention anybody, nor link anywhere.

/// Invisible, and enough to part what only together means something: `@everyone`, `https://`.
const PART: char = '\u{200b}';

/// One line without control, direction-changing or invisible characters.
pub(crate) fn clean(text: &str) -> String {
    let visible = text
        .chars()
        .filter(|char| !misleading(*char))
        .map(|char| if char.is_control() || char.is_whitespace() { ' ' } else { char });
    let spaced: String = visible.collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// At most `most` characters; a cut text ends with `…`.
pub(crate) fn cut(text: &str, most: usize) -> String {
    cut_by(text, most, |_| 1)
}

/// At most `most` of what a platform counts: characters, bytes, units of UTF-16. Never tears a character.
pub(crate) fn cut_by(text: &str, most: usize, size: impl Fn(char) -> usize) -> String {
    if text.chars().map(&size).sum::<usize>() <= most {
        return text.to_owned();
    }
    let mut left = most.saturating_sub(size('…'));
    let fits = |char: &char| {
        let rest = left.checked_sub(size(*char));
        left = rest.unwrap_or(0);
        rest.is_some()
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// Text that chats with Slack's or Markdown's markup show as it is: look-alikes take the place of markup characters,
/// and mentions and addresses are parted.
pub(crate) fn neutral(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    if text.starts_with(['#', '-', '+']) {
        out.push(PART);
    }
    for char in text.chars() {
        match char {
            '<' => out.push('‹'),
            '>' => out.push('›'),
            '&' => out.push('＆'),
            '*' => out.push('∗'),
            '~' => out.push('∼'),
            '`' => out.push('ˋ'),
            '|' => out.push('¦'),
            '[' => out.push('［'),
            ']' => out.push('］'),
            '\\' => out.push('＼'),
            '@' => out.extend([char, PART]),
            other => out.push(other),
        }
    }
    out.replace("://", ":\u{200b}//").replace("www.", "www\u{200b}.")
}

fn misleading(char: char) -> bool {
    matches!(char,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn mentions_markup_and_addresses_become_harmless() {
        let hostile = "<!channel> <@U1> @everyone *b* [x](https://evil.example) `c` &lt; ||s|| www.evil.example";
        let harmless = neutral(hostile);
        for trap in ["<", ">", "@everyone", "*", "](", "://", "`", "&", "|", "www.e"] {
            assert!(!harmless.contains(trap), "{trap} in {harmless}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_gone() {
        assert_eq!(clean("a\u{0}b\n\nc\u{202e}d\u{200b}e\u{1b}[31m"), "a b cde [31m");
    }

    proptest! {
        #[test]
        fn a_cut_text_is_never_longer_than_asked_nor_torn(text in "\\PC{0,200}|[你好🙂أب<@&]{0,200}", most in 1_usize..150) {
            let cut = cut(&text, most);
            prop_assert!(cut.chars().count() <= most);
            prop_assert!(cut == text || cut.ends_with('…'));
        }

        #[test]
        fn bytes_and_utf16_are_counted_exactly(text in "\\PC{0,200}|[你好🙂أب<@&]{0,200}", most in 3_usize..150) {
            prop_assert!(cut_by(&text, most, char::len_utf8).len() <= most);
            prop_assert!(cut_by(&text, most, char::len_utf16).encode_utf16().count() <= most);
        }

        #[test]
        fn clean_text_is_one_line_without_controls(text in any::<String>()) {
            let clean = clean(&text);
            prop_assert!(!clean.chars().any(char::is_control));
            prop_assert!(!clean.chars().any(misleading));
        }

        #[test]
        fn neutral_text_mentions_nobody_and_links_nowhere(text in "([<>@!&*`|\\[\\]()~:/.w\\\\]|everyone|here|channel|https://|\\PC){0,40}") {
            let neutral = neutral(&clean(&text));
            prop_assert!(!neutral.contains(['<', '>', '&', '*', '`', '|', '[', ']', '~', '\\']));
            for trap in ["@everyone", "@here", "@channel", "://", "www."] {
                prop_assert!(!neutral.contains(trap), "{} in {}", trap, neutral);
            }
        }
    }
}
