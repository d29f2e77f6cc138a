//! How a token is presented: in one place, once. The first check of a request, before the token itself is looked at.

use std::borrow::Cow;

use http::{HeaderMap, header::AUTHORIZATION};

use super::AuthFailure;
use crate::verify::{MAX_TOKEN_BYTES, TokenFault};

/// The token of a request: exactly one `Authorization: Bearer`, and none in the query (RFC 6750 §2, OAuth 2.1 §5.1.1).
pub(crate) fn presented<'a>(headers: &'a HeaderMap, query: Option<&str>) -> Result<&'a str, AuthFailure> {
    if query.is_some_and(holds_token) {
        return Err(AuthFailure::InQuery);
    }
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(AuthFailure::Absent)?;
    if values.next().is_some() {
        return Err(AuthFailure::Several);
    }
    let value = value.to_str().map_err(|_| AuthFailure::Token(TokenFault::Encoding))?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(AuthFailure::Scheme);
    }
    let token = token.trim_start_matches(' ');
    if token.is_empty() {
        return Err(AuthFailure::Absent);
    }
    if token.len() > MAX_TOKEN_BYTES {
        return Err(AuthFailure::Token(TokenFault::TooLong));
    }
    Ok(token)
}

/// Whether a query string has a parameter `access_token`, however it is escaped.
fn holds_token(query: &str) -> bool {
    query.split(['&', ';']).any(|pair| {
        let name = pair.split('=').next().unwrap_or(pair);
        unescape(name).eq_ignore_ascii_case("access_token")
    })
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        if let Some(byte) = escape.get(1..3).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            out.push(char::from(byte));
            rest = escape.get(3..).unwrap_or("");
        } else {
            out.push('%');
            rest = escape.get(1..).unwrap_or("");
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}
