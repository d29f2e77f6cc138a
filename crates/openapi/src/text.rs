//! Text taken from documents and replies, made fit for a person and a model to read.
//!
//! Used for titles, descriptions and error bodies. It removes what is invisible (control, bidirectional, zero-width and tag
//! characters, HTML comments): such characters carry instructions that a reviewer does not see. It never looks at meaning.

/// Cleans and cuts a text to at most `limit` bytes, at a character boundary, marking a cut with `…`.
pub(crate) fn clean(raw: &str, limit: usize) -> String {
    let visible = without_comments(raw);
    let mut out = String::with_capacity(visible.len().min(limit));
    for character in visible.trim().chars().filter(|c| !is_invisible(*c)) {
        if out.len() + character.len_utf8() > limit {
            while out.len() + '…'.len_utf8() > limit && out.pop().is_some() {}
            let kept = out.trim_end().len();
            out.truncate(kept);
            out.push('…');
            return out;
        }
        out.push(character);
    }
    out
}

/// The first sentence or line of a text, for titles and for reading an effect from prose.
pub(crate) fn first_sentence(text: &str) -> &str {
    let text = text.trim();
    let line = text.split('\n').next().unwrap_or(text);
    let end = line
        .match_indices(". ")
        .map(|(at, _)| at)
        .find(|at| !line.get(..*at).is_some_and(ends_in_abbreviation))
        .unwrap_or(line.len());
    line.get(..end).unwrap_or(line).trim_end_matches('.')
}

fn ends_in_abbreviation(head: &str) -> bool {
    ["e.g", "i.e", "etc", "vs"].iter().any(|abbreviation| head.ends_with(abbreviation))
}

fn without_comments(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once("<!--") {
        out.push_str(before);
        rest = after.split_once("-->").map_or("", |(_, tail)| tail);
    }
    out.push_str(rest);
    out
}

const fn is_invisible(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => true,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' => true,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
        '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e01ef}' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_removed() {
        let tags: String = "read".chars().filter_map(|c| char::from_u32(0xe_0000 + c as u32)).collect();
        assert_eq!(clean(&format!("a{tags}b\u{202e}c\u{200b}\r\0"), 100), "abc");
        assert_eq!(clean("one <!-- do this first --> two <!-- open", 100), "one  two");
    }

    #[test]
    fn a_cut_is_marked_and_stays_inside_the_limit() {
        for limit in 3..12 {
            let cut = clean("ääääääää", limit);
            assert!(cut.len() <= limit && cut.ends_with('…'), "{limit}: {cut}");
        }
        assert_eq!(clean("short", 5), "short");
    }

    #[test]
    fn the_first_sentence_ends_at_its_stop() {
        assert_eq!(first_sentence("Creates a rendition (e.g. MP4). Then more."), "Creates a rendition (e.g. MP4)");
        assert_eq!(first_sentence("  One line\nanother"), "One line");
    }
}
