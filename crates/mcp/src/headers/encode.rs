//! Header values that plain ASCII cannot carry: `=?base64?<base64 of UTF-8>?=` (SEP-2243).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const OPEN: &str = "=?base64?";
const CLOSE: &str = "?=";

/// A value as it may stand in a header: itself, or the base64 form for whatever is not visible
/// ASCII with inner spaces, has white space at an edge, or looks like the base64 form itself.
pub fn encode_value(value: &str) -> Cow<'_, str> {
    let bytes = value.as_bytes();
    let edge = |byte: Option<&u8>| matches!(byte, Some(b' '));
    let plain = bytes.iter().all(|byte| matches!(byte, 0x20..=0x7E))
        && !edge(bytes.first())
        && !edge(bytes.last())
        && !looks_encoded(value);
    if plain {
        return Cow::Borrowed(value);
    }
    Cow::Owned(format!("{OPEN}{}{CLOSE}", STANDARD.encode(value)))
}

/// The value a header stands for. `None` if the base64 form is broken: not canonical base64, or not
/// UTF-8. The markers are case-sensitive; a value without both is taken as it is.
pub fn decode_value(header: &str) -> Option<Cow<'_, str>> {
    let Some(inner) = header.strip_prefix(OPEN).and_then(|rest| rest.strip_suffix(CLOSE)) else {
        return Some(Cow::Borrowed(header));
    };
    let bytes = STANDARD.decode(inner).ok()?;
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn looks_encoded(value: &str) -> bool {
    value.starts_with(OPEN) && value.ends_with(CLOSE)
}
