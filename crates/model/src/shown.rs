//! Texts of others as people may be shown them, on pages and terminals: whoever decides reads what is there, not what
//! somebody made it look like. A character that is not seen, or that turns the direction of writing, never gets through.
//!
//! Nothing is hidden by this either: a value stays the same value, in another spelling of JSON.

use std::fmt::Write as _;

use serde_json::Value;

/// Whether a reader would not see a character, or would see others in its place: controls, formats, every space but the plain
/// one, fillers that look like one, what has no meaning of its own.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || c.is_whitespace() && c != ' '
        || matches!(c,
            // Soft hyphen, joiners, marks of direction, vowels that are not drawn.
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            // Letters and signs that are drawn as nothing.
            | '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}'
            // Variations, byte order, annotations, formats of music and shorthand, tags.
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
            // Private use: what a font likes to draw.
            | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}')
}

/// Whether there is anything to read in a text. What looks empty says nothing, whatever it consists of.
pub fn says_something(text: &str) -> bool {
    text.chars().any(|c| c != ' ' && !is_hidden(c))
}

/// Whether a text says something on one line of at most so many characters.
pub fn is_a_line(text: &str, at_most: usize) -> bool {
    says_something(text) && text.chars().count() <= at_most && !text.chars().any(char::is_control)
}

/// A text on one line: breaks become spaces, and `·` stands for every other character that would not be seen.
pub fn plain(text: &str) -> String {
    let shown = |c| match c {
        '\n' | '\r' | '\t' => ' ',
        c if is_hidden(c) => '·',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// A value as JSON on several lines, where every character that would not be seen is written as `\u…`.
pub fn json_lines(value: &Value) -> String {
    escaped(&format!("{value:#}"))
}

/// The same on one line.
pub fn json_line(value: &Value) -> String {
    escaped(&value.to_string())
}

/// The JSON, with the characters of its strings that would not be seen as escapes: still the same value. Line breaks between
/// the strings are JSON's own; those inside are escapes already.
pub fn escaped(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && is_hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_cannot_steer_who_reads_it() {
        assert_eq!(plain("a\u{1b}[31mb\u{202e}c\u{e0041}\nd"), "a·[31mb·c· d");
        assert_eq!(plain("ü 漢 \u{a0}\u{200b}\u{ad}\u{3164}\u{fe0f}!"), "ü 漢 ·····!");
    }

    #[test]
    fn what_looks_empty_says_nothing() {
        for empty in ["", "  ", "\t\n", "\u{200b}\u{2060}", " \u{3164} \u{a0}", "\u{e000}"] {
            assert!(!says_something(empty), "{empty:?}");
        }
        assert!(says_something("\u{200b}x") && says_something("漢") && says_something("."));
        assert!(is_a_line("ab", 2) && !is_a_line("abc", 2) && !is_a_line("a\n", 2) && !is_a_line(" ", 2));
    }

    #[test]
    fn a_value_is_spelt_out() {
        let value = json!({"k\u{200b}": "ü\n", "path": "safe\u{202e}txt.exe\u{e0041}\u{7f}"});
        let line = json_line(&value);
        assert_eq!(line, r#"{"k\u200b":"ü\n","path":"safe\u202etxt.exe\udb40\udc41\u007f"}"#);
        // What is written out in the value itself does not look like what is hidden in another.
        assert_eq!(json_line(&json!("\\u202e")), r#""\\u202e""#);
    }

    proptest! {
        #[test]
        fn nothing_is_hidden_and_nothing_is_lost(text in any::<String>(), key in "[\\PC\\p{Cf}\\p{Zs}]{0,8}") {
            let value = json!({ key: [text.clone(), 1, null] });
            for shown in [json_line(&value), json_lines(&value)] {
                prop_assert!(shown.chars().all(|c| c == '\n' || !is_hidden(c)), "{shown:?}");
                prop_assert_eq!(&serde_json::from_str::<Value>(&shown).unwrap(), &value);
            }
            prop_assert!(!plain(&text).chars().any(is_hidden));
            prop_assert_eq!(plain(&text).chars().count(), text.chars().count());
        }
    }
}
