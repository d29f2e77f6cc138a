//! Percent-encoding, the one way an argument's text enters a request line or a form.
//!
//! Everything outside RFC 3986's unreserved characters is encoded, so no argument can open a query, a fragment, a further
//! parameter or a path segment. The exceptions are named: characters a template's author wrote, and those `allowReserved`
//! permits in a query.

use std::fmt::Write as _;

/// Reserved characters that `allowReserved` leaves alone. `#`, `[`, `]`, `&`, `+`, `=` and `%` stay encoded: they would end
/// the query or change its fields (OpenAPI 3.1.1, parameter object, `allowReserved`).
const RESERVED_ALLOWED: &[u8] = b":/?@!$'()*,;";
/// Characters of a template's own text that a path may hold as they are (RFC 3986 `pchar` and `/`).
const TEMPLATE_ALLOWED: &[u8] = b"/:@!$&'()*+,;=";

/// Appends a value, encoding all but unreserved characters.
pub(crate) fn push_encoded(out: &mut String, text: &str) {
    push_except(out, text, b"");
}

/// Appends a value of an `allowReserved` query parameter.
pub(crate) fn push_reserved(out: &mut String, text: &str) {
    push_except(out, text, RESERVED_ALLOWED);
}

/// Appends text of a path template, keeping escapes that are already there.
pub(crate) fn push_template(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        push_except(out, before, TEMPLATE_ALLOWED);
        let escape = after.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        out.push_str(if escape { "%" } else { "%25" });
        rest = after;
    }
    push_except(out, rest, TEMPLATE_ALLOWED);
}

fn push_except(out: &mut String, text: &str, allowed: &[u8]) {
    for byte in text.bytes() {
        if is_unreserved(byte) || allowed.contains(&byte) {
            out.push(char::from(byte));
        } else {
            // INVARIANT: writing to a `String` cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Decodes `%XX`; anything else is kept.
pub(crate) fn percent_decode(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        if let (b'%', [high, low, after @ ..]) = (byte, tail)
            && let (Some(high), Some(low)) = (char::from(*high).to_digit(16), char::from(*low).to_digit(16))
        {
            out.push(u8::try_from(high * 16 + low).unwrap_or(byte));
            rest = after;
        } else {
            out.push(byte);
            rest = tail;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreserved_characters_pass() {
        let mut out = String::new();
        push_encoded(&mut out, "aZ0-._~ /?#[]@!$&'()*+,;=%\r\né");
        assert_eq!(out, "aZ0-._~%20%2F%3F%23%5B%5D%40%21%24%26%27%28%29%2A%2B%2C%3B%3D%25%0D%0A%C3%A9");
        let mut out = String::new();
        push_reserved(&mut out, "/a?b:c,d&e=f#g%");
        assert_eq!(out, "/a?b:c,d%26e%3Df%23g%25");
    }

    #[test]
    fn a_template_keeps_its_own_escapes() {
        let mut out = String::new();
        push_template(&mut out, "/a b/%2e/100%/é");
        assert_eq!(out, "/a%20b/%2e/100%25/%C3%A9");
        assert_eq!(percent_decode(b"%2e%2E%zz%"), b"..%zz%");
    }
}
