//! The parameters of a request, from its query or its form body: bounded, and none read from between two of one name.

use ambit_model::shown::is_hidden;

/// Most parameters of a request.
const MOST: usize = 128;

/// Parameters, decoded.
pub(crate) struct Fields(Vec<(String, String)>);

/// Why parameters cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FieldError {
    /// RFC 6749 §3.1 and §3.2: never more than once.
    #[error("parameter `{0}` is there more than once: send it once")]
    Repeated(&'static str),
    /// It has to be there.
    #[error("parameter `{0}` is missing")]
    Missing(&'static str),
    /// A flood.
    #[error("there are more than {MOST} parameters: send fewer")]
    TooMany,
    /// Another kind of body.
    #[error("the body is not a form: send `content-type: application/x-www-form-urlencoded`")]
    NotForm,
}

impl Fields {
    /// Reads a query string or the bytes of a form.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, FieldError> {
        let pairs = url::form_urlencoded::parse(text).take(MOST + 1).map(|(k, v)| (k.into_owned(), v.into_owned()));
        let pairs: Vec<_> = pairs.collect();
        if pairs.len() > MOST { Err(FieldError::TooMany) } else { Ok(Self(pairs)) }
    }

    /// Reads a form body, if it says that it is one.
    pub(crate) fn of_form(headers: &http::HeaderMap, body: &[u8]) -> Result<Self, FieldError> {
        let kind = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let kind = kind.split(';').next().unwrap_or("").trim();
        if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Self::parse(body)
        } else {
            Err(FieldError::NotForm)
        }
    }

    /// The value of a parameter. One without a value counts as left out (RFC 6749 §3.1).
    pub(crate) fn one(&self, name: &'static str) -> Result<Option<&str>, FieldError> {
        let mut values = self.all(name);
        let value = values.next();
        if values.next().is_some() {
            return Err(FieldError::Repeated(name));
        }
        Ok(value.filter(|value| !value.is_empty()))
    }

    /// The value of a parameter that has to be there.
    pub(crate) fn required(&self, name: &'static str) -> Result<&str, FieldError> {
        self.one(name)?.ok_or(FieldError::Missing(name))
    }

    /// What somebody gave as their reason, if they gave one.
    pub(crate) fn reason(&self) -> Result<Option<String>, FieldError> {
        Ok(self.one("reason")?.map(reason).filter(|reason| !reason.is_empty()))
    }

    /// Every value of a parameter that may be repeated.
    pub(crate) fn all<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Longest reason, in characters.
const LONGEST_REASON: usize = 500;

/// A reason in somebody's words, on one line, without characters that nobody sees or that make it look like another one.
pub(crate) fn reason(text: &str) -> String {
    let line = text.chars().filter_map(|c| match c {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => Some(' '),
        c if is_hidden(c) => None,
        c => Some(c),
    });
    line.take(LONGEST_REASON).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_parameter_has_no_value() {
        let fields = Fields::parse(b"a=1&b=2&a=3&c=&r=x&r=y").unwrap();
        assert_eq!(fields.one("a"), Err(FieldError::Repeated("a")));
        assert_eq!(fields.one("b"), Ok(Some("2")));
        assert_eq!((fields.one("c"), fields.one("d")), (Ok(None), Ok(None)));
        assert_eq!(fields.required("c"), Err(FieldError::Missing("c")));
        assert_eq!(fields.all("r").collect::<Vec<_>>(), ["x", "y"]);
        assert!(matches!(Fields::parse("a=1&".repeat(200).as_bytes()), Err(FieldError::TooMany)));
    }

    #[test]
    fn a_reason_is_one_line_that_is_what_it_looks_like() {
        assert_eq!(reason(" two\nlines\u{2028}\tand more "), "two lines  and more");
        assert_eq!(reason("an \u{202e}tnega\u{202c} \u{200b}\u{feff}\u{e0041}said\u{2066} so"), "an tnega said so");
        assert_eq!(reason(&"é".repeat(900)).chars().count(), LONGEST_REASON);
        assert_eq!(reason("\u{200b}\n"), "");
    }

    #[test]
    fn only_a_form_is_read_as_one() {
        let mut headers = http::HeaderMap::new();
        assert!(matches!(Fields::of_form(&headers, b"a=1"), Err(FieldError::NotForm)));
        headers.insert("content-type", "application/x-www-form-urlencoded; charset=utf-8".parse().unwrap());
        assert_eq!(Fields::of_form(&headers, b"a=1").unwrap().one("a"), Ok(Some("1")));
        headers.insert("content-type", "text/plain".parse().unwrap());
        assert!(Fields::of_form(&headers, b"a=1").is_err());
    }
}
