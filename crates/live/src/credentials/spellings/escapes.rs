//! The escapes of JSON strings, also in strings of strings, and of URLs: what one means, and how far a text spells another.

/// So many backslashes stand before one letter at most: in a string of a string of a string.
const MOST_BACKSLASHES: usize = 7;

/// No longer run of them is looked at as one.
const LONGEST_RUN: usize = 32;

/// What the escape at the start of a text means, if it is one, and how long it is.
pub(super) fn meant(text: &[u8]) -> (Option<u8>, usize) {
    if text.first() == Some(&b'%') {
        return match percent(text) {
            Some(byte) => (Some(byte), 3),
            None => (None, 1),
        };
    }
    let backslashes = backslashes(text);
    let after = text.get(backslashes..).unwrap_or_default();
    if after.first() == Some(&b'u')
        && let Some(character) = unicode(after)
    {
        let mut bytes = [0; 4];
        let first = character.encode_utf8(&mut bytes).as_bytes().first().copied();
        return (first, backslashes + 5);
    }
    match after.first() {
        Some(byte @ (b'"' | b'/')) => (Some(*byte), backslashes),
        Some(_) | None => (None, backslashes.max(1)),
    }
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
        b'%' if percent(text) == Some(first) => Some((1, 3)),
        _ => (next == first).then_some((1, 1)),
    }
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
        [] | [b'%'] => true,
        [b'%', digit] => digit.is_ascii_hexdigit(),
        [b'\\', ..] => {
            let after = text.get(backslashes(text)..).unwrap_or_default();
            after.is_empty() || (after.len() < 5 && after.first() == Some(&b'u'))
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
