//! The readable part of an error's body: short, visible characters only.

use super::blocks::decoded;
use crate::body::{essence, is_json, is_text};
use crate::text::clean;

/// The body as a person would read it, at most `limit` bytes; `None` for nothing or for bytes.
pub(super) fn shown(content_type: Option<&str>, body: &[u8], limit: usize) -> Option<String> {
    let media = content_type.map(essence).unwrap_or_default();
    let text = match std::str::from_utf8(body) {
        // More than is shown is needed only where markup goes away.
        Ok(text) => text.to_owned(),
        Err(_) if is_text(&media) || is_json(&media) => decoded(content_type.unwrap_or_default(), body),
        Err(_) => return None,
    };
    let text = if media == "text/html" || text.trim_start().starts_with("<!") { without_markup(&text) } else { text };
    let shown = clean(&text, limit);
    (!shown.is_empty()).then_some(shown)
}

/// The text of an HTML page in one line: no tags, scripts or styles.
fn without_markup(page: &str) -> String {
    let mut text = String::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        text.push(' ');
        let name: String =
            after.chars().take_while(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        let tag = after.split_once('>').map_or("", |(_, tail)| tail);
        rest = match name.as_str() {
            "script" | "style" => {
                tag.split_once("</").and_then(|(_, tail)| tail.split_once('>')).map_or("", |(_, tail)| tail)
            }
            _ => tag,
        };
    }
    text.push_str(rest);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
