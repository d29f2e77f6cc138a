//! Stage *filter*: what the upstream said becomes the reply, without the credential that was spent on it, and is closed.
//!
//! Everything else passes as it came: unknown members, their order, numbers. Size was bounded where it was read.

use std::borrow::Cow;

use ambit_live::credentials::Spendable;
use ambit_mcp::{Id, era::Era, reply};

use crate::{
    answer::{Note, Reply},
    trail::Closed,
    upstream::{Performed, Said},
};

/// What stands where a secret stood.
const REDACTED: &str = "[redacted]";

/// Secrets shorter than this are not looked for: they would be found everywhere.
const SHORTEST: usize = 4;

/// Turns what an upstream said into a closed reply.
pub(crate) async fn filter(performed: Performed, (id, era): (Id<'_>, Era), face: &reply::Server) -> Closed<Reply> {
    let Performed { said, note, credential, recorded } = performed;
    let mut body = write(said, (id, era), face);
    if let Some(credential) = &credential {
        body = without_secrets(body, credential);
    }
    recorded.close(Reply::result(body, note)).await
}

fn write(said: Said, (id, era): (Id<'_>, Era), face: &reply::Server) -> Vec<u8> {
    match said {
        Said::Tool(outcome) => {
            let outcome = if era.is_modern() { outcome } else { outcome.for_object_only_clients() };
            reply::tool_outcome(id, era, face, &outcome)
        }
        Said::Result(result) => reply::raw_result(id, result.as_raw()),
        Said::Failed(sentence) => reply::tool_result(id, era, face, reply::Outcome::Error, &sentence, None),
    }
}

/// Takes the spent credential out, in the spellings JSON has for it inside a string, and inside a string of a string.
fn without_secrets(body: Vec<u8>, credential: &Spendable) -> Vec<u8> {
    let mut text = match String::from_utf8(body) {
        Ok(text) => text,
        // We wrote it, so it is text.
        Err(error) => return error.into_bytes(),
    };
    for secret in credential.secrets() {
        let once = inside_string(secret.expose());
        let twice = inside_string(&once);
        for spelling in [&twice, &once].into_iter().take(if twice == once { 1 } else { 2 }) {
            if spelling.len() >= SHORTEST && text.contains(spelling.as_ref()) {
                tracing::warn!(credential = %credential.id, "an upstream sent back the credential: taken out of the reply");
                text = text.replace(spelling.as_ref(), &stand_in(spelling));
            }
        }
        if let Some(cleaned) = without_escaped(&text, secret.expose()) {
            tracing::warn!(credential = %credential.id, "an upstream sent back the credential: taken out of the reply");
            text = cleaned;
        }
    }
    text.into_bytes()
}

/// Encoders escape more than JSON asks for: PHP writes `\/`, .NET `\u002B`, and both stand in base64. `None` if no such
/// spelling is there.
fn without_escaped(text: &str, secret: &str) -> Option<String> {
    if secret.len() < SHORTEST || !(text.contains("\\u") || text.contains("\\/")) {
        return None;
    }
    let mut cleaned = String::new();
    let (mut kept, mut at) = (0, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        match spelled(rest, secret) {
            Some(length) => {
                cleaned.push_str(text.get(kept..at).unwrap_or_default());
                cleaned.push_str(&stand_in(secret));
                at += length;
                kept = at;
            }
            None => at += one_letter(rest),
        }
    }
    (kept > 0).then(|| cleaned + text.get(kept..).unwrap_or_default())
}

/// How many bytes at the start of a text spell the secret, with whatever escapes, in a string or a string of a string.
fn spelled(text: &str, secret: &str) -> Option<usize> {
    let mut rest = text;
    for wanted in secret.chars() {
        rest = match rest.strip_prefix(wanted) {
            // A backslash is itself escaped.
            Some(after) if wanted != '\\' => after,
            Some(_) | None => escaped(rest, wanted)?,
        };
    }
    Some(text.len() - rest.len())
}

/// How many bytes one letter has, or backslashes with what they escape: a match never begins inside of those.
fn one_letter(text: &str) -> usize {
    let after = text.trim_start_matches('\\');
    let backslashes = text.len() - after.len();
    let letter = after.chars().next().map_or(0, char::len_utf8);
    match backslashes {
        0 => letter,
        even if even % 2 == 0 => even,
        odd if after.starts_with('u') && after.is_char_boundary(5) => odd + 5,
        odd => odd + letter,
    }
}

/// What follows one escaped character.
fn escaped(text: &str, wanted: char) -> Option<&str> {
    let after = text.trim_start_matches('\\');
    let backslashes = text.len() - after.len();
    match backslashes {
        // Those of a backslash: two, or in a string of a string four.
        2 | 4 if wanted == '\\' => Some(after),
        1..=3 => match after.strip_prefix('u') {
            Some(code) => {
                let unit = u32::from_str_radix(code.get(..4)?, 16).ok()?;
                (char::from_u32(unit) == Some(wanted)).then(|| code.get(4..)).flatten()
            }
            None => after.strip_prefix(wanted).filter(|_| matches!(wanted, '"' | '/')),
        },
        _ => None,
    }
}

/// A text as it stands between the quotes of a JSON string. Most secrets stand there as they are.
fn inside_string(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
        return Cow::Borrowed(text);
    }
    let quoted = serde_json::Value::from(text).to_string();
    Cow::Owned(quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned())
}

/// A secret that could be a number may stand where only a number can.
fn stand_in(secret: &str) -> String {
    if secret.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte)) {
        return secret.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    }
    REDACTED.to_owned()
}

impl Note {
    /// Whether anything went wrong.
    pub(crate) fn is_ok(&self) -> bool {
        self.result == "ok"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_spelled_as_json_spells_it() {
        assert_eq!(inside_string("plain"), "plain");
        assert_eq!(inside_string(r#"a"b\c"#), r#"a\"b\\c"#);
        assert_eq!(inside_string(&inside_string("a\"b")), r#"a\\\"b"#);
    }

    #[test]
    fn escapes_nobody_needs_hide_no_secret() {
        let secret = "ab/c+d\"e\\f";
        for spelling in [
            r#"ab\/c+d\"e\\f"#,
            r#"ab/c\u002bd\"e\\f"#,
            r"ab\u002Fc\u002Bd\u0022e\u005cf",
            r#"ab\\/c+d\\\"e\\\\f"#,
            r#"ab/c\\u002bd\\\"e\\\\f"#,
            r#"\u0061b/c+d\"e\\f"#,
        ] {
            let cleaned = without_escaped(&format!(r#"{{"a":"x{spelling}y","b":"\/"}}"#), secret).unwrap();
            assert_eq!(cleaned, r#"{"a":"x[redacted]y","b":"\/"}"#, "{spelling}");
        }
        let many = r#"{"a":"\\\\u0061b/c+d\"e\\f","b":"\nab"}"#;
        let cleaned = without_escaped(many, secret).unwrap_or_else(|| many.to_owned());
        assert!(serde_json::from_str::<serde_json::Value>(&cleaned).is_ok(), "{cleaned}");
        for other in [r"ab\/c+e", r"\u", r"ab\/", "ü\\/ab", r"\u00", r"ab\/c\u00ü"] {
            assert_eq!(without_escaped(other, secret), None, "{other}");
        }
    }

    #[test]
    fn what_stands_in_keeps_the_reply_json() {
        for (secret, place) in [("hunter22", "\"hunter22\""), ("123456", "123456"), ("-1.5e7", "-1.5e7")] {
            let text = format!("{{\"a\":{place}}}").replace(secret, &stand_in(secret));
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok() && !text.contains(secret), "{text}");
        }
    }
}
