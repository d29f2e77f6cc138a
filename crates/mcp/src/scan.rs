//! The byte scanner under [`crate::strict`] and [`crate::upstream`]: RFC 8259 grammar, depth, keys.
//!
//! It walks a document once and hands out spans. In [`Mode::Strict`] (what clients send) it also
//! refuses duplicate keys at every depth, lone surrogates and over-long keys; in [`Mode::Lenient`]
//! (what upstreams answer) values inside a result are only held to the grammar, because they are
//! passed on byte for byte. It must never allocate per node: one key stack serves every open
//! object, and only a key that contains an escape is copied.

use std::borrow::Cow;

/// How many keys of one object are compared pairwise; larger objects are sorted when they close.
const PAIRWISE_KEYS: usize = 16;

/// How much is asked of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Everything a client sends: I-JSON (RFC 7493) without exceptions.
    Strict,
    /// What an upstream answers: grammar and depth only.
    Lenient,
}

/// Why a document was not read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The grammar of RFC 8259 is broken.
    #[error("malformed JSON: expected {0}")]
    Expected(&'static str),
    /// The document stops inside a value.
    #[error("malformed JSON: the document ends too early")]
    Ends,
    /// Something follows the value.
    #[error("malformed JSON: data after the end of the message")]
    Trailing,
    /// A raw control character stands in a string.
    #[error("malformed JSON: control character in a string; write it as an escape")]
    Control,
    /// An escape is unknown or cut short.
    #[error("malformed JSON: unknown escape in a string")]
    Escape,
    /// Half of a surrogate pair: not a character.
    #[error("lone surrogate in a string escape; send a complete pair")]
    LoneSurrogate,
    /// Two members of one object have the same name.
    #[error("duplicate key in an object; send each member once")]
    DuplicateKey,
    /// A key is longer than the limit.
    #[error("object key longer than {0} bytes")]
    LongKey(usize),
    /// Nesting is deeper than the limit.
    #[error("nesting deeper than {0} levels")]
    TooDeep(u16),
}

pub(crate) struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth: u16,
    max_depth: u16,
    max_key: usize,
    mode: Mode,
    keys: Vec<Cow<'a, str>>,
}

/// The state of one open object: where its keys begin on the key stack.
pub(crate) struct OpenObject {
    mark: usize,
    first: bool,
}

/// The state of one open array.
pub(crate) struct OpenArray {
    first: bool,
}

/// One member of an object, found by [`Scanner::next_key`].
pub(crate) struct Key<'a> {
    /// The name, unescaped.
    pub name: Cow<'a, str>,
    /// Offset of the opening quote.
    pub start: usize,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a str, mode: Mode, max_depth: u16, max_key: usize) -> Self {
        Self { text, bytes: text.as_bytes(), at: 0, depth: 0, max_depth, max_key, mode, keys: Vec::with_capacity(32) }
    }

    /// Offset of the next byte.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// The next byte after white space, without taking it.
    pub fn peek(&mut self) -> Option<u8> {
        self.skip_white();
        self.bytes.get(self.at).copied()
    }

    /// The text between two offsets of this document.
    pub fn slice(&self, start: usize, end: usize) -> &'a str {
        self.text.get(start..end).unwrap_or_default()
    }

    /// Nothing but white space may follow.
    pub fn finish(&mut self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(Fault::Trailing),
        }
    }

    /// Takes `{`.
    pub fn open_object(&mut self) -> Result<OpenObject, Fault> {
        self.take(b'{', "an object")?;
        self.enter()?;
        Ok(OpenObject { mark: self.keys.len(), first: true })
    }

    /// Takes the next key and its colon, or `}` and then answers `None`.
    pub fn next_key(&mut self, object: &mut OpenObject) -> Result<Option<Key<'a>>, Fault> {
        match (self.peek(), object.first) {
            (Some(b'}'), _) => {
                self.at += 1;
                self.depth -= 1;
                self.close_keys(object.mark)?;
                return Ok(None);
            }
            (Some(_), true) => object.first = false,
            (Some(b','), false) => {
                self.at += 1;
                self.skip_white();
            }
            (Some(_), false) => return Err(Fault::Expected("`,` or `}`")),
            (None, _) => return Err(Fault::Ends),
        }
        let start = self.at;
        let name = self.string("an object key")?;
        if name.len() > self.max_key {
            return Err(Fault::LongKey(self.max_key));
        }
        if self.mode == Mode::Strict {
            self.remember_key(object.mark, name.clone())?;
        }
        self.skip_white();
        self.take(b':', "`:`")?;
        Ok(Some(Key { name, start }))
    }

    /// Takes `[`.
    pub fn open_array(&mut self) -> Result<OpenArray, Fault> {
        self.take(b'[', "an array")?;
        self.enter()?;
        Ok(OpenArray { first: true })
    }

    /// `true` if the scanner now stands before an item; `false` once `]` is taken.
    pub fn next_item(&mut self, array: &mut OpenArray) -> Result<bool, Fault> {
        match (self.peek(), array.first) {
            (Some(b']'), _) => {
                self.at += 1;
                self.depth -= 1;
                return Ok(false);
            }
            (Some(_), true) => array.first = false,
            (Some(b','), false) => self.at += 1,
            (Some(_), false) => return Err(Fault::Expected("`,` or `]`")),
            (None, _) => return Err(Fault::Ends),
        }
        Ok(true)
    }

    /// Walks over one value and answers its span.
    pub fn value(&mut self) -> Result<&'a str, Fault> {
        self.skip_white();
        let start = self.at;
        self.skip_value()?;
        Ok(self.slice(start, self.at))
    }

    /// Takes one string and unescapes it; borrowed when it holds no escape.
    pub fn string(&mut self, what: &'static str) -> Result<Cow<'a, str>, Fault> {
        self.take(b'"', what)?;
        let start = self.at;
        let escaped = self.skip_string_rest()?;
        let inner = self.slice(start, self.at - 1);
        if escaped { Ok(Cow::Owned(unescape(inner))) } else { Ok(Cow::Borrowed(inner)) }
    }

    fn skip_value(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'{') => {
                let mut object = self.open_object()?;
                while self.next_key(&mut object)?.is_some() {
                    self.skip_value()?;
                }
                Ok(())
            }
            Some(b'[') => self.skip_array(),
            Some(b'"') => {
                self.at += 1;
                self.skip_string_rest().map(drop)
            }
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            Some(b'-' | b'0'..=b'9') => self.skip_number(),
            Some(_) => Err(Fault::Expected("a value")),
            None => Err(Fault::Ends),
        }
    }

    fn skip_array(&mut self) -> Result<(), Fault> {
        let mut array = self.open_array()?;
        while self.next_item(&mut array)? {
            self.skip_value()?;
        }
        Ok(())
    }

    fn enter(&mut self) -> Result<(), Fault> {
        if self.depth >= self.max_depth {
            return Err(Fault::TooDeep(self.max_depth));
        }
        self.depth += 1;
        Ok(())
    }

    fn word(&mut self, word: &'static str) -> Result<(), Fault> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if rest.starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else {
            Err(Fault::Expected("a value"))
        }
    }

    fn skip_number(&mut self) -> Result<(), Fault> {
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        match self.byte() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.skip_digits(),
            Some(_) => return Err(Fault::Expected("a digit")),
            None => return Err(Fault::Ends),
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.require_digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.require_digits()?;
        }
        Ok(())
    }

    fn require_digits(&mut self) -> Result<(), Fault> {
        match self.byte() {
            Some(b'0'..=b'9') => {
                self.skip_digits();
                Ok(())
            }
            Some(_) => Err(Fault::Expected("a digit")),
            None => Err(Fault::Ends),
        }
    }

    fn skip_digits(&mut self) {
        while matches!(self.byte(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    /// After the opening quote: walks past the closing one; `true` if an escape was seen.
    fn skip_string_rest(&mut self) -> Result<bool, Fault> {
        let mut escaped = false;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(run) = plain_run(rest) else {
                self.at = self.bytes.len();
                return Err(Fault::Ends);
            };
            self.at += run;
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.skip_escape()?;
                }
                _ => return Err(Fault::Control),
            }
        }
    }

    fn skip_escape(&mut self) -> Result<(), Fault> {
        self.at += 1;
        match self.byte() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => {
                self.at += 1;
                let unit = self.hex4()?;
                match unit {
                    0xD800..=0xDBFF => self.low_surrogate(),
                    0xDC00..=0xDFFF if self.mode == Mode::Strict => Err(Fault::LoneSurrogate),
                    _ => Ok(()),
                }
            }
            Some(_) => Err(Fault::Escape),
            None => Err(Fault::Ends),
        }
    }

    /// A high surrogate must be followed by an escaped low one.
    fn low_surrogate(&mut self) -> Result<(), Fault> {
        if self.mode == Mode::Lenient {
            return Ok(());
        }
        if !self.bytes.get(self.at..).unwrap_or_default().starts_with(b"\\u") {
            return Err(Fault::LoneSurrogate);
        }
        self.at += 2;
        match self.hex4()? {
            0xDC00..=0xDFFF => Ok(()),
            _ => Err(Fault::LoneSurrogate),
        }
    }

    fn hex4(&mut self) -> Result<u16, Fault> {
        let digits = self.bytes.get(self.at..self.at + 4).ok_or(Fault::Ends)?;
        let mut unit = 0u16;
        for digit in digits {
            let value = char::from(*digit).to_digit(16).ok_or(Fault::Escape)?;
            unit = (unit << 4) | u16::try_from(value).unwrap_or_default();
        }
        self.at += 4;
        Ok(unit)
    }

    /// Small objects are compared pairwise at once; keys beyond that wait for [`Self::close_keys`].
    fn remember_key(&mut self, mark: usize, name: Cow<'a, str>) -> Result<(), Fault> {
        let open = self.keys.get(mark..).unwrap_or_default();
        if open.len() < PAIRWISE_KEYS && open.contains(&name) {
            return Err(Fault::DuplicateKey);
        }
        self.keys.push(name);
        Ok(())
    }

    fn close_keys(&mut self, mark: usize) -> Result<(), Fault> {
        let open = self.keys.get_mut(mark..).unwrap_or_default();
        if open.len() > PAIRWISE_KEYS {
            open.sort_unstable();
            if open.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
                return Err(Fault::DuplicateKey);
            }
        }
        self.keys.truncate(mark);
        Ok(())
    }

    fn take(&mut self, byte: u8, what: &'static str) -> Result<(), Fault> {
        match self.peek() {
            Some(found) if found == byte => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(Fault::Expected(what)),
            None => Err(Fault::Ends),
        }
    }

    fn skip_white(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }
}

/// How many bytes of a string's inside come before a quote, a backslash or a control character; `None` without one.
///
/// Eight at a time: a byte that is zero after the exclusive or, or smaller than a bound, borrows into its highest bit
/// (Anderson, "Bit Twiddling Hacks"). Only bytes above such a one can be marked wrongly, so the lowest mark is right.
fn plain_run(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word;
    let (chunks, tail) = bytes.as_chunks::<8>();
    for (index, chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(*chunk);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let slash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let marks = (quote | slash | below(word, 0x20)) & HIGH;
        if marks != 0 {
            return Some(index * 8 + usize::try_from(marks.trailing_zeros() / 8).unwrap_or(0));
        }
    }
    let run = tail.iter().position(|&b| b == b'"' || b == b'\\' || b < 0x20);
    run.map(|run| chunks.len() * 8 + run)
}

/// Undoes the escapes of a string the scanner has walked over. A lone surrogate, possible only in
/// lenient mode, becomes U+FFFD.
pub(crate) fn unescape(inner: &str) -> String {
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(slash) = rest.find('\\') {
        let (plain, escape) = rest.split_at(slash);
        out.push_str(plain);
        let mut chars = escape.chars();
        chars.next();
        match chars.next() {
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('u') => {
                let (character, after) = unescape_unicode(chars.as_str());
                out.push(character);
                rest = after;
                continue;
            }
            Some(other) => out.push(other),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out
}

/// `text` follows `\u`: one character, from one unit or a pair, and what comes after it.
fn unescape_unicode(text: &str) -> (char, &str) {
    let unit = |text: &str| text.get(..4).and_then(|hex| u32::from_str_radix(hex, 16).ok());
    let after = text.get(4..).unwrap_or_default();
    let Some(first) = unit(text) else {
        return (char::REPLACEMENT_CHARACTER, after);
    };
    if let Some(character) = char::from_u32(first) {
        return (character, after);
    }
    let low = after.strip_prefix("\\u").and_then(unit);
    match (first, low) {
        (0xD800..=0xDBFF, Some(low @ 0xDC00..=0xDFFF)) => {
            let code = 0x1_0000 + ((first - 0xD800) << 10) + (low - 0xDC00);
            let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
            (character, after.get(6..).unwrap_or_default())
        }
        _ => (char::REPLACEMENT_CHARACTER, after),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytewise(bytes: &[u8]) -> Option<usize> {
        bytes.iter().position(|&b| b == b'"' || b == b'\\' || b < 0x20)
    }

    #[test]
    fn every_byte_at_every_place_ends_a_run_or_not() {
        for byte in 0..=u8::MAX {
            for place in 0..24 {
                for neighbour in [b'a', 0x1F, 0x21, 0x80, 0xFF, byte.wrapping_sub(1), byte.wrapping_add(1)] {
                    let mut bytes = [b'a'; 24];
                    bytes[place] = byte;
                    if let Some(next) = bytes.get_mut(place + 1) {
                        *next = neighbour;
                    }
                    assert_eq!(plain_run(&bytes), bytewise(&bytes), "{bytes:?}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn runs_are_what_one_byte_at_a_time_finds(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(plain_run(&bytes), bytewise(&bytes));
        }
    }
}
