//! The escapes of JSON strings, also in strings of strings, of URLs, also in URLs of URLs, and of pages: what one means, and how
//! far a text spells another.

use super::references;

/// So many backslashes stand before one letter at most: in a string of a string of a string.
const MOST_BACKSLASHES: usize = 7;

/// No longer run of them is looked at as one.
const LONGEST_RUN: usize = 32;

/// So often a text was escaped again at most.
const MOST_LAYERS: usize = 8;

/// What stands once more behind `%` for every time a URL was escaped again.
const AGAIN: &[u8] = b"25";

/// So long is the beginning of an escape that a text without a `;` may end in: `\\\u0026#x10FFFF`.
pub(super) const LONGEST_BEGUN: usize = 17;

/// What begins the escapes that a text may hold: without a `;` in it, the many `&` of its URLs are none.
pub(super) struct Marks {
    with_references: bool,
}

impl Marks {
    pub(super) fn of(text: &[u8]) -> Self {
        Self { with_references: memchr::memchr(b';', text).is_some() }
    }

    /// The first place, from another on, where an escape may begin.
    pub(super) fn next(&self, text: &[u8], from: usize) -> Option<usize> {
        let rest = text.get(from..)?;
        let at = if self.with_references {
            memchr::memchr3(b'\\', b'%', b'&', rest)
        } else {
            memchr::memchr2(b'\\', b'%', rest)
        };
        at.map(|at| from + at)
    }
}

/// Every byte that the first one of a text may stand for, and how long the escape is that it begins.
pub(super) fn meant(text: &[u8]) -> ([Option<u8>; 3], usize) {
    let first = text.first().copied();
    match first {
        Some(b'%') => {
            let again = layers(text.get(1..).unwrap_or_default(), AGAIN) * AGAIN.len();
            match percent(text.get(again..).unwrap_or_default()) {
                Some(byte) => ([first, Some(byte), None], again + 3),
                None => ([first, None, None], again + 1),
            }
        }
        Some(b'&') => match references::meant(text.get(1..).unwrap_or_default()) {
            Some((character, length)) => ([first, Some(first_byte(character)), None], 1 + length),
            None => ([first, None, None], 1),
        },
        Some(_) | None => meant_in_json(text),
    }
}

fn meant_in_json(text: &[u8]) -> ([Option<u8>; 3], usize) {
    let first = text.first().copied();
    let backslashes = backslashes(text);
    let after = text.get(backslashes..).unwrap_or_default();
    if after.first() == Some(&b'u')
        && let Some(character) = unicode(after)
    {
        let own = Some(first_byte(character));
        // A page inside: Go writes every `&` like this.
        let inside = after.get(5..).filter(|_| character == '&').and_then(references::meant);
        return match inside {
            Some((inner, length)) => ([first, own, Some(first_byte(inner))], backslashes + 5 + length),
            None => ([first, own, None], backslashes + 5),
        };
    }
    match after.first() {
        Some(byte @ (b'"' | b'/')) => ([first, Some(*byte), None], backslashes),
        Some(_) | None => ([first, None, None], backslashes.max(1)),
    }
}

fn first_byte(character: char) -> u8 {
    let mut bytes = [0; 4];
    character.encode_utf8(&mut bytes);
    let [first, ..] = bytes;
    first
}

/// How often a part is repeated at the start of a text.
pub(super) fn layers(text: &[u8], part: &[u8]) -> usize {
    text.chunks(part.len()).take(MOST_LAYERS).take_while(|chunk| *chunk == part).count()
}

/// How many bytes of `wanted` the text spells from a place on, and where that ends.
pub(super) fn run(wanted: &[u8], text: &[u8], start: usize) -> (usize, usize) {
    let (mut done, mut at) = (0, start);
    while let (Some(rest), Some(text)) = (wanted.get(done..).filter(|rest| !rest.is_empty()), text.get(at..)) {
        let Some((bytes, length)) = step(rest, text) else { break };
        done += bytes;
        at += length;
    }
    (done, at)
}

/// How many wanted bytes the next bytes of a text spell, and how many those are.
fn step(wanted: &[u8], text: &[u8]) -> Option<(usize, usize)> {
    let (first, next) = (*wanted.first()?, *text.first()?);
    match next {
        b'\\' => escaped(wanted, text),
        b'%' => percented(wanted, text),
        b'&' => references::spelled(wanted, text.get(1..)?).map(|(bytes, length)| (bytes, 1 + length)),
        _ => (next == first).then_some((1, 1)),
    }
}

fn percented(wanted: &[u8], text: &[u8]) -> Option<(usize, usize)> {
    let again = layers(text.get(1..)?, AGAIN);
    if let Some(rest) = wanted.strip_prefix(b"%") {
        let own = layers(rest, AGAIN);
        return (again >= own).then_some((1 + own * AGAIN.len(), 1 + again * AGAIN.len()));
    }
    let byte = percent(text.get(again * AGAIN.len()..)?)?;
    (wanted.first() == Some(&byte)).then_some((1, 3 + again * AGAIN.len()))
}

fn escaped(wanted: &[u8], text: &[u8]) -> Option<(usize, usize)> {
    let there = backslashes(text);
    let own = backslashes(wanted);
    let is_spelled_out = text.get(there..).filter(|after| after.first() == Some(&b'u')).and_then(unicode) == Some('\\');
    if own > 0 && !is_spelled_out {
        // They are doubled once per string; those of the letter behind them may follow at once.
        let fits = |factor: usize| {
            let more = there.checked_sub(own * factor)?;
            let quotes = matches!(wanted.get(own), Some(b'"' | b'/'));
            (more == 0 || (quotes && more < factor)).then_some((own, own * factor))
        };
        return fits(2).or_else(|| fits(4)).or_else(|| fits(1));
    }
    if there > MOST_BACKSLASHES {
        return None;
    }
    let after = text.get(there..)?;
    if after.first() == Some(&b'u')
        && let Some(character) = unicode(after)
    {
        let inside = after.get(5..).filter(|_| character == '&').and_then(|inside| references::spelled(wanted, inside));
        if let Some((bytes, length)) = inside {
            return Some((bytes, there + 5 + length));
        }
        let mut bytes = [0; 4];
        let meant = character.encode_utf8(&mut bytes).as_bytes();
        return wanted.starts_with(meant).then_some((meant.len(), there + 5));
    }
    let first = wanted.first().filter(|first| matches!(first, b'"' | b'/'))?;
    (after.first() == Some(first)).then_some((1, there + 1))
}

/// Whether a text is the beginning of an escape, or nothing.
pub(super) fn is_begun(text: &[u8]) -> bool {
    match text {
        [] => true,
        [b'%', rest @ ..] => match rest.get(layers(rest, AGAIN) * AGAIN.len()..) {
            Some([digit]) => digit.is_ascii_hexdigit(),
            Some(more) => more.is_empty(),
            None => false,
        },
        [b'&', rest @ ..] => references::is_begun(rest),
        [b'\\', ..] => {
            let after = text.get(backslashes(text)..).unwrap_or_default();
            let is_half = after.is_empty() || (after.len() < 5 && after.first() == Some(&b'u'));
            is_half || after.strip_prefix(b"u0026").is_some_and(references::is_begun)
        }
        _ => false,
    }
}

/// Where the escape begins that a place lies inside of; the place itself if it lies in none. Half an escape would spoil a string.
pub(super) fn whole(text: &[u8], place: usize) -> usize {
    for back in 1..=5 {
        let Some(start) = place.checked_sub(back) else { break };
        if text.get(start) != Some(&b'\\') {
            continue;
        }
        let before = text.get(..start).unwrap_or_default();
        let is_first = before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0;
        let inside = text.get(start + 1..place).unwrap_or_default();
        let is_inside = inside.is_empty() || inside.first() == Some(&b'u');
        return if is_first && is_inside { start } else { place };
    }
    place
}

fn backslashes(text: &[u8]) -> usize {
    text.iter().take(LONGEST_RUN).take_while(|byte| **byte == b'\\').count()
}

fn percent(text: &[u8]) -> Option<u8> {
    let digits = text.get(1..3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The character of `u` and four digits.
fn unicode(text: &[u8]) -> Option<char> {
    let digits = text.get(1..5).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    char::from_u32(u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?)
}
