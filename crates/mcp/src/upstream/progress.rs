//! What an upstream tells of a call while it runs: `notifications/progress`.
//!
//! Only the members the specification names are read, each once, and only under the token the gateway gave this very
//! request. What goes on to a client is written here from nothing: numbers in the server's own spelling, its words shortened.

use std::borrow::Cow;

use super::answer::string;
use super::{quoted, scanner};
use crate::raw::{Kind, Raw};
use crate::scan::Fault;
use crate::write;

/// The method of the notification.
pub const METHOD: &str = "notifications/progress";

/// Longest spelling of a number that is passed on, in bytes.
const LONGEST_NUMBER: usize = 32;

/// So much of a server's words is looked at, in bytes; of what is left of it, [`LONGEST_MESSAGE`] goes on.
const LONGEST_READ: usize = 4096;

/// Longest message that is passed on, in characters.
const LONGEST_MESSAGE: usize = 500;

/// One notification of progress. Its words are untrusted.
#[derive(Debug)]
pub struct Progress<'a> {
    value: f64,
    spelled: &'a str,
    total: Option<&'a str>,
    message: Option<Cow<'a, str>>,
}

/// The known members of `params`.
#[derive(Default)]
struct Members<'a> {
    token: Option<&'a str>,
    progress: Option<&'a str>,
    total: Option<&'a str>,
    message: Option<&'a str>,
}

impl<'a> Progress<'a> {
    /// Reads `params`. None if they are not about the request whose token is `ours`, or hold no usable number.
    pub fn read(params: Raw<'a>, ours: u64) -> Option<Self> {
        let members = Members::read(params).ok().flatten()?;
        if members.token? != ours.to_string() {
            return None;
        }
        let (spelled, value) = number(members.progress?)?;
        let total = members.total.and_then(number).map(|(text, _)| text);
        let message = members.message.and_then(string).map(beginning).filter(|text| !text.is_empty());
        Some(Self { value, spelled, total, message })
    }

    /// How far the call has come.
    pub const fn value(&self) -> f64 {
        self.value
    }

    /// The numbers as the server spelled them.
    pub fn numbers(&self) -> impl Iterator<Item = &'a str> {
        [Some(self.spelled), self.total].into_iter().flatten()
    }

    /// The beginning of the server's words.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// The same without the server's words, or with those that are left of them.
    #[must_use]
    pub fn with_message(self, message: Option<String>) -> Self {
        Self { message: message.map(Cow::Owned), ..self }
    }

    /// The notification to a client, under the token that the client chose.
    pub fn to_notification(&self, token: Raw<'_>) -> String {
        let mut out = Vec::with_capacity(128 + token.as_str().len() + self.message.as_deref().map_or(0, str::len));
        out.extend_from_slice(b"{\"jsonrpc\":\"2.0\"");
        write::string_member(&mut out, "method", METHOD);
        write::key(&mut out, "params");
        out.push(b'{');
        write::raw_member(&mut out, "progressToken", token.as_str());
        write::raw_member(&mut out, "progress", self.spelled);
        if let Some(total) = self.total {
            write::raw_member(&mut out, "total", total);
        }
        if let Some(message) = &self.message {
            write::string_member(&mut out, "message", &quoted(message, LONGEST_MESSAGE));
        }
        out.extend_from_slice(b"}}");
        write::into_text(out)
    }
}

impl<'a> Members<'a> {
    /// None if a known member stands there twice.
    fn read(params: Raw<'a>) -> Result<Option<Self>, Fault> {
        let mut members = Self::default();
        let mut scanner = scanner(params.as_str());
        let mut object = scanner.open_object()?;
        while let Some(key) = scanner.next_key(&mut object)? {
            let value = scanner.value()?;
            let place = match key.name.as_ref() {
                "progressToken" => &mut members.token,
                "progress" => &mut members.progress,
                "total" => &mut members.total,
                "message" => &mut members.message,
                _ => continue,
            };
            if place.replace(value).is_some() {
                return Ok(None);
            }
        }
        Ok(Some(members))
    }
}

/// A number of reasonable length and finite value, as it is spelled.
fn number(value: &str) -> Option<(&str, f64)> {
    if value.len() > LONGEST_NUMBER || Raw::from_scanned(value).kind() != Kind::Number {
        return None;
    }
    let parsed: f64 = value.parse().ok()?;
    parsed.is_finite().then_some((value, parsed))
}

fn beginning(text: Cow<'_, str>) -> Cow<'_, str> {
    let end = text.floor_char_boundary(LONGEST_READ);
    if end == text.len() {
        return text;
    }
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(..end).unwrap_or_default()),
        Cow::Owned(mut text) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(params: &str) -> Option<String> {
        let progress = Progress::read(Raw::from_scanned(params), 7)?;
        Some(progress.to_notification(Raw::from_scanned("\"mine\"")))
    }

    #[test]
    fn only_what_the_specification_names_goes_on_under_the_clients_token() {
        let params =
            r#"{"own":1,"message":"half\n\u001b[2J","total":1.0e2,"progress":50.00,"progressToken":7,"_meta":{"a":1}}"#;
        let expected = concat!(
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"mine","#,
            r#""progress":50.00,"total":1.0e2,"message":"half \\u{1b}[2J"}}"#
        );
        assert_eq!(told(params).unwrap(), expected);
        let bare = told(r#"{"progressToken":7,"progress":0,"total":"x","message":7}"#).unwrap();
        assert!(bare.ends_with(r#"{"progressToken":"mine","progress":0}}"#), "{bare}");
    }

    #[test]
    fn what_is_not_about_this_request_or_no_number_is_nothing() {
        for params in [
            r#"{"progress":1}"#,
            r#"{"progressToken":8,"progress":1}"#,
            r#"{"progressToken":"7","progress":1}"#,
            r#"{"progressToken":7.0,"progress":1}"#,
            r#"{"progressToken":7,"progressToken":7,"progress":1}"#,
            r#"{"progressToken":7,"progress":1,"progress":2}"#,
            r#"{"progressToken":7}"#,
            r#"{"progressToken":7,"progress":"1"}"#,
            r#"{"progressToken":7,"progress":1e999}"#,
            r#"{"progressToken":7,"progress":0.0000000000000000000000000000000000001}"#,
            "[7,1]",
        ] {
            assert_eq!(told(params), None, "{params}");
        }
    }

    #[test]
    fn long_words_are_shortened() {
        let told = told(&format!(r#"{{"progressToken":7,"progress":1,"message":"{}"}}"#, "ä".repeat(100_000))).unwrap();
        assert_eq!(told.matches('ä').count(), LONGEST_MESSAGE);
        assert!(told.ends_with("…\"}}"));
    }
}
