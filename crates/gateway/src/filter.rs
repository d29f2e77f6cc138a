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
    }
    text.into_bytes()
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
    fn what_stands_in_keeps_the_reply_json() {
        for (secret, place) in [("hunter22", "\"hunter22\""), ("123456", "123456"), ("-1.5e7", "-1.5e7")] {
            let text = format!("{{\"a\":{place}}}").replace(secret, &stand_in(secret));
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok() && !text.contains(secret), "{text}");
        }
    }
}
