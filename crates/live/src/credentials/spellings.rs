//! Finds a secret in what a server sends back, however honest software may have spelled it: as it is, with JSON escapes (PHP
//! writes `\/`, .NET `\u002B`), percent-encoded, as a page writes it (`&#x2F;`), each also escaped once more; inside base64; cut
//! off at the end of the reply, or shown in part where half of it stands.
//!
//! A clean reply costs one search for a few short texts at once, one for what begins an escape, and a look at its end; nothing is
//! allocated. A server that wants to hide a secret can: this is against accidents, not against it.

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError, Input};
use ambit_model::secret::Secret;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

mod escapes;
mod references;

/// Secrets shorter than this are not looked for: they would be found everywhere.
const SHORTEST: usize = 4;

/// Shorter ones are not looked for in base64.
const SHORTEST_ENCODED: usize = 6;

/// A reply that ends in so much of a secret was cut off inside of it.
const SHORTEST_PART: usize = 8;

/// So much of a needle is searched for; the rest is compared where that is found.
const SEARCHED: usize = 16;

/// Of a secret that goes on otherwise, so much is one: what is shown for people to recognise is shorter, and shorter beginnings
/// are shared by others (`github_pat_`, the header of every JWT). Half of the secret is needed as well.
const SHORTEST_SHOWN: usize = SEARCHED;

/// The longest spelling of one byte: `\\\u0026amp;#x2F;`, a page of a page in a string of a string.
const LONGEST_SPELLING: usize = 17;

/// What stands where a secret stood.
const REDACTED: &[u8] = b"[redacted]";

/// A secret, or what it is in base64.
struct Needle {
    text: Secret,
    kind: Kind,
}

/// What a needle is, and with that what takes its place.
enum Kind {
    /// A secret.
    Plain,
    /// A secret that could be a number, which may stand where only a number can: the same with other digits.
    Number(Vec<u8>),
    /// A secret in base64.
    Base64,
}

impl Needle {
    fn bytes(&self) -> &[u8] {
        self.text.expose().as_bytes()
    }

    /// What takes the place of so many bytes.
    fn stand_in(&self, length: usize) -> &[u8] {
        match &self.kind {
            Kind::Number(digits) => digits.get(..length).unwrap_or(digits),
            Kind::Plain | Kind::Base64 => REDACTED,
        }
    }

    /// So much of it must not be shown, wherever it stands. In base64 a beginning may be that of what stands before the secret.
    fn shown_part(&self) -> Option<usize> {
        match self.kind {
            Kind::Plain | Kind::Number(_) => Some(self.bytes().len().div_ceil(2).max(SHORTEST_SHOWN)),
            Kind::Base64 => None,
        }
    }
}

/// The secrets of one credential, ready to be looked for.
pub struct Spellings {
    needles: Vec<Needle>,
    /// The beginnings of the needles.
    beginnings: AhoCorasick,
    /// Where in which needle a byte stands, by byte.
    places: Vec<(u8, usize, usize)>,
    /// Which bytes stand in any.
    telling: [bool; 256],
    longest: usize,
}

impl Spellings {
    /// Prepares the secrets of a credential.
    ///
    /// # Errors
    /// If they are too long to search for.
    pub fn new(secrets: &[Secret]) -> Result<Self, BuildError> {
        let mut needles: Vec<Needle> = Vec::new();
        let mut add = |text: String, kind: Kind| {
            if needles.iter().all(|needle| needle.text.expose() != text) {
                needles.push(Needle { text: Secret::new(text), kind });
            }
        };
        for secret in secrets.iter().map(Secret::expose) {
            // Padding is left out by some, and tells nothing.
            let unpadded = Some(secret.trim_end_matches('=')).filter(|text| text.len() >= SHORTEST).unwrap_or(secret);
            if unpadded.len() >= SHORTEST {
                add(unpadded.to_owned(), kind(unpadded));
            }
            if secret.len() >= SHORTEST_ENCODED {
                for shift in 0..3 {
                    add(inside_base64(secret, shift, |bytes| STANDARD_NO_PAD.encode(bytes)), Kind::Base64);
                    add(inside_base64(secret, shift, |bytes| URL_SAFE_NO_PAD.encode(bytes)), Kind::Base64);
                }
            }
        }
        let beginnings = needles.iter().map(|needle| needle.bytes().get(..SEARCHED).unwrap_or_else(|| needle.bytes()));
        let beginnings = AhoCorasick::builder().kind(Some(AhoCorasickKind::ContiguousNFA)).build(beginnings)?;
        let mut places = Vec::new();
        let mut telling = [false; 256];
        for (number, needle) in needles.iter().enumerate() {
            for (at, byte) in needle.bytes().iter().enumerate() {
                places.push((*byte, number, at));
                if let Some(tells) = telling.get_mut(usize::from(*byte)) {
                    *tells = true;
                }
            }
        }
        places.sort_unstable();
        let longest = needles.iter().map(|needle| needle.bytes().len()).max().unwrap_or(0);
        Ok(Self { needles, beginnings, places, telling, longest })
    }

    /// The text without the secrets, if any is in it. JSON stays JSON.
    pub fn redacted(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut found = Vec::new();
        self.find_plain(text, &mut found);
        self.find_escaped(text, &mut found);
        self.find_cut(text, &mut found);
        if found.is_empty() {
            return None;
        }
        found.sort_unstable_by_key(|(place, _): &(Range<usize>, usize)| place.start);
        let mut clean = Vec::with_capacity(text.len());
        let mut kept = 0;
        for (place, needle) in found {
            if place.start >= kept {
                clean.extend_from_slice(text.get(kept..place.start).unwrap_or_default());
                let needle = self.needles.get(needle);
                clean.extend_from_slice(needle.map_or(REDACTED, |needle| needle.stand_in(place.len())));
            }
            kept = kept.max(place.end);
        }
        clean.extend_from_slice(text.get(kept..).unwrap_or_default());
        Some(clean)
    }

    /// Whether a secret is in the text.
    pub fn are_in(&self, text: &[u8]) -> bool {
        self.redacted(text).is_some()
    }

    /// Spellings that begin with at least [`SEARCHED`] bytes as they are, and parts that do.
    fn find_plain(&self, text: &[u8], found: &mut Vec<(Range<usize>, usize)>) {
        let (mut from, mut behind) = (0, 0);
        while let Some(hit) = self.beginnings.find(Input::new(text).range(from..)) {
            // Another needle may begin alike, and a false hit may overlap a true one.
            from = if let Some((end, needle)) = self.longest_at(text, hit.start()) {
                found.push((escapes::whole(text, hit.start())..end, needle));
                end
            } else {
                if let Some((end, needle)) = self.part_at(text, hit.start()).filter(|_| hit.start() >= behind) {
                    found.push((escapes::whole(text, hit.start())..end, needle));
                    behind = end;
                }
                hit.start() + 1
            };
        }
    }

    fn longest_at(&self, text: &[u8], start: usize) -> Option<(usize, usize)> {
        let ends = self.needles.iter().enumerate().filter_map(|(number, needle)| {
            let (bytes, end) = escapes::run(needle.bytes(), text, start);
            (bytes == needle.bytes().len()).then_some((end, number))
        });
        ends.max_by_key(|(end, _)| *end)
    }

    /// The longest part of a secret that must not be shown and begins at a place, and where it ends: not inside an escape, or
    /// what is left of that would spoil a string. Nor past a quote, which may be the one that ends the string.
    fn part_at(&self, text: &[u8], start: usize) -> Option<(usize, usize)> {
        let parts = self.needles.iter().enumerate().filter_map(|(number, needle)| {
            let least = needle.shown_part()?;
            let until_quote = needle.bytes().split(|byte| *byte == b'"').next().unwrap_or_default();
            let (bytes, end) = escapes::run(until_quote, text, start);
            (bytes >= least).then_some((escapes::whole(text, end), number))
        });
        parts.max_by_key(|(end, _)| *end)
    }

    /// Spellings with an escape in them: what stands before the first one stands there as it is.
    fn find_escaped(&self, text: &[u8], found: &mut Vec<(Range<usize>, usize)>) {
        let may_be = escapes::Marks::of(text);
        let mut behind = 0;
        while let Some(at) = may_be.next(text, behind) {
            let (meant, length) = escapes::meant(text.get(at..).unwrap_or_default());
            for byte in meant.into_iter().flatten() {
                if !self.telling.get(usize::from(byte)).is_some_and(|tells| *tells) {
                    continue;
                }
                let first = self.places.partition_point(|(known, ..)| *known < byte);
                let places = self.places.get(first..).unwrap_or_default();
                for (_, number, place) in places.iter().take_while(|(known, ..)| *known == byte) {
                    let Some(needle) = self.needles.get(*number).map(Needle::bytes) else { continue };
                    let before = needle.get(..*place).unwrap_or_default();
                    if !text.get(..at).is_some_and(|text| text.ends_with(before)) {
                        continue;
                    }
                    let start = at - place;
                    let (bytes, end) = escapes::run(needle, text, start);
                    if bytes == needle.len() {
                        found.push((escapes::whole(text, start)..end, *number));
                        behind = behind.max(end);
                    }
                }
            }
            // One run of backslashes is one escape.
            behind = behind.max(at + length);
        }
    }

    /// The first part of a secret at the end of the text, but for what closes strings, objects and sentences.
    fn find_cut(&self, text: &[u8], found: &mut Vec<(Range<usize>, usize)>) {
        let closing = |byte: &u8| b"\\\"'`<>()[]{}.,;:!\xe2\x80\xa6".contains(byte) || byte.is_ascii_whitespace();
        let end = text.iter().rposition(|byte| !closing(byte)).map_or(0, |last| last + 1);
        let text = text.get(..end).unwrap_or_default();
        let reach = |bytes: usize| end.saturating_sub(bytes);
        let begins = |needle: &Needle, start: usize| {
            let (bytes, stop) = escapes::run(needle.bytes(), text, start);
            let rest = text.get(stop..).unwrap_or_default();
            bytes >= SHORTEST_PART && escapes::is_begun(rest)
        };
        let escaped = reach(self.longest * LONGEST_SPELLING);
        let may_be = escapes::Marks::of(text.get(escaped..).unwrap_or_default());
        let mut mark = may_be.next(text, escaped);
        let has_escapes = mark.is_some();
        for (number, needle) in self.needles.iter().enumerate() {
            let Some(first) = needle.bytes().first() else { continue };
            let from = if has_escapes { escaped } else { reach(needle.bytes().len() + escapes::LONGEST_BEGUN) };
            let window = text.get(from..).unwrap_or_default();
            if let Some(start) = memchr::memchr_iter(*first, window).find(|start| begins(needle, from + start)) {
                found.push((escapes::whole(text, from + start)..end, number));
            }
        }
        while let Some(start) = mark {
            let (meant, length) = escapes::meant(text.get(start..).unwrap_or_default());
            for (number, needle) in self.needles.iter().enumerate() {
                let first = needle.bytes().first().copied();
                if first.is_some() && meant.contains(&first) && begins(needle, start) {
                    found.push((escapes::whole(text, start)..end, number));
                }
            }
            mark = may_be.next(text, start + length);
        }
    }
}

impl std::fmt::Debug for Spellings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spellings").finish_non_exhaustive()
    }
}

/// What base64 makes of a text at one of its three alignments, without the letters it shares with its neighbours.
fn inside_base64(text: &str, shift: usize, encode: impl FnOnce(&[u8]) -> String) -> String {
    let shifted = [vec![0; shift].as_slice(), text.as_bytes()].concat();
    let own = (shift * 8).div_ceil(6)..shifted.len() * 8 / 6;
    encode(&shifted).get(own).unwrap_or_default().to_owned()
}

fn kind(secret: &str) -> Kind {
    if secret.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte)) {
        return Kind::Number(secret.bytes().map(|byte| if byte.is_ascii_digit() { b'9' } else { byte }).collect());
    }
    Kind::Plain
}

#[cfg(test)]
mod tests;
