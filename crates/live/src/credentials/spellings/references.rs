//! The character references of HTML and XML, also where a page stands in a page: `&#x2F;`, `&#47;`, `&amp;`, `&amp;#x2F;`.

use super::escapes::layers;

/// What stands once more behind `&` for every time a text was escaped again.
const AGAIN: &[u8] = b"amp;";

/// A reference is not longer than this behind its `&` and the repetitions: `#x10FFFF;`.
const LONGEST: usize = 9;

/// The named references of characters that a secret may be made of, but for `amp`.
const NAMED: [(&[u8], u8); 31] = [
    (b"lt", b'<'),
    (b"gt", b'>'),
    (b"quot", b'"'),
    (b"apos", b'\''),
    (b"sol", b'/'),
    (b"plus", b'+'),
    (b"equals", b'='),
    (b"lowbar", b'_'),
    (b"colon", b':'),
    (b"semi", b';'),
    (b"period", b'.'),
    (b"comma", b','),
    (b"commat", b'@'),
    (b"num", b'#'),
    (b"dollar", b'$'),
    (b"percnt", b'%'),
    (b"excl", b'!'),
    (b"quest", b'?'),
    (b"ast", b'*'),
    (b"lpar", b'('),
    (b"rpar", b')'),
    (b"lsqb", b'['),
    (b"lbrack", b'['),
    (b"rsqb", b']'),
    (b"rbrack", b']'),
    (b"lcub", b'{'),
    (b"rcub", b'}'),
    (b"verbar", b'|'),
    (b"bsol", b'\\'),
    (b"grave", b'`'),
    (b"Hat", b'^'),
];

/// The character of the reference whose `&` stood before a text, and how long that is.
pub(super) fn meant(after: &[u8]) -> Option<(char, usize)> {
    let again = layers(after, AGAIN) * AGAIN.len();
    match one(after.get(again..)?) {
        Some((character, length)) => Some((character, again + length)),
        None => (again > 0).then_some(('&', again)),
    }
}

/// How many wanted bytes are spelled by what follows an `&`, and how far that goes; the `&` itself may be wanted.
pub(super) fn spelled(wanted: &[u8], after: &[u8]) -> Option<(usize, usize)> {
    let there = layers(after, AGAIN);
    // A secret may hold what looks like a reference: then its own `&` is one letter, and only escaped as a whole.
    let is_own = wanted.strip_prefix(b"&").is_some_and(|rest| meant(rest).is_some());
    if let Some((character, length)) = one(after.get(there * AGAIN.len()..)?).filter(|_| !is_own) {
        let mut bytes = [0; 4];
        let bytes = character.encode_utf8(&mut bytes).as_bytes();
        if wanted.starts_with(bytes) {
            return Some((bytes.len(), there * AGAIN.len() + length));
        }
    }
    let own = layers(wanted.strip_prefix(b"&")?, AGAIN);
    (there >= own).then_some((1 + own * AGAIN.len(), there * AGAIN.len()))
}

/// Whether a text could go on as a reference behind its `&`.
pub(super) fn is_begun(after: &[u8]) -> bool {
    let rest = after.get(layers(after, AGAIN) * AGAIN.len()..).unwrap_or_default();
    match rest {
        [b'#', digits @ ..] => digits.len() < LONGEST && digits.iter().all(u8::is_ascii_alphanumeric),
        _ => AGAIN.starts_with(rest) || NAMED.iter().any(|(name, _)| name.starts_with(rest)),
    }
}

fn one(text: &[u8]) -> Option<(char, usize)> {
    let end = text.iter().take(LONGEST).position(|byte| *byte == b';')?;
    let name = text.get(..end)?;
    let character = match name {
        [b'#', b'x' | b'X', digits @ ..] => numbered(digits, 16)?,
        [b'#', digits @ ..] => numbered(digits, 10)?,
        _ => char::from(NAMED.iter().find(|(known, _)| *known == name)?.1),
    };
    Some((character, end + 1))
}

fn numbered(digits: &[u8], radix: u32) -> Option<char> {
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_alphanumeric);
    let digits = std::str::from_utf8(digits).ok().filter(|_| plain)?;
    char::from_u32(u32::from_str_radix(digits, radix).ok()?)
}
