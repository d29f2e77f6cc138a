//! Borrowed JSON that has already been read once: [`Raw`], [`Id`] and [`Method`] spellings.
//!
//! The strict pass hands these out so that later stages can copy a client's or an upstream's bytes
//! into a new message without reading them a second time. A `Raw` is made only by a scanner that
//! has seen the whole value; it must never be built from text nobody has checked.

use std::fmt;

/// One complete, well-formed JSON value, as it stood on the wire (no surrounding white space).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// Only for scanners of this crate: `text` is exactly one JSON value.
    pub(crate) const fn from_scanned(text: &'a str) -> Self {
        Self(text)
    }

    /// The empty object, `{}`.
    pub const EMPTY_OBJECT: Raw<'static> = Raw("{}");

    /// The bytes of the value, unchanged.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// The same value with a text of its own.
    pub fn into_owned(self) -> OwnedRaw {
        OwnedRaw(self.0.to_owned())
    }

    /// Which kind of value this is, told by its first byte.
    pub fn kind(self) -> Kind {
        match self.0.as_bytes().first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') => Kind::Null,
            _ => Kind::Number,
        }
    }

    /// `true` for an object.
    pub fn is_object(self) -> bool {
        self.kind() == Kind::Object
    }
}

impl fmt::Debug for Raw<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A [`Raw`] that owns its text: a result on its way from one connection to another.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnedRaw(String);

impl OwnedRaw {
    /// A value of ours as JSON.
    pub fn of(value: &serde_json::Value) -> Self {
        Self(value.to_string())
    }

    /// Only for writers of this crate: `text` is exactly one JSON value.
    pub(crate) const fn from_written(text: String) -> Self {
        Self(text)
    }

    /// The value.
    pub fn as_raw(&self) -> Raw<'_> {
        Raw(&self.0)
    }

    /// The bytes of the value.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for OwnedRaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'a> From<&'a serde_json::value::RawValue> for Raw<'a> {
    fn from(value: &'a serde_json::value::RawValue) -> Self {
        Self(value.get().trim_matches([' ', '\t', '\r', '\n']))
    }
}

/// The six kinds of JSON values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// any number
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
}

impl Kind {
    /// The word used in error messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::String => "a string",
            Self::Number => "a number",
            Self::Bool => "a boolean",
            Self::Null => "null",
        }
    }
}

/// A JSON-RPC request id exactly as the peer wrote it: a string with its quotes and escapes, or an
/// integer. It is echoed byte for byte and never compared by value with another peer's id.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Id<'a>(&'a str);

impl<'a> Id<'a> {
    pub(crate) const fn from_scanned(text: &'a str) -> Self {
        Self(text)
    }

    /// The JSON text of the id.
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Debug for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
