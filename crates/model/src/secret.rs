//! Secrets by reference, and values that cannot be printed.
//!
//! Configuration names a secret (`env:NAME`, `file:PATH`, `sealed:NAME`), never holds it; a literal is refused.

use std::{fmt, path::PathBuf};

/// Where a secret is kept.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum SecretRef {
    /// An environment variable.
    Env(String),
    /// A file; its content without one trailing line break.
    File(PathBuf),
    /// A value of the sealed store.
    Sealed(String),
}

/// A text that does not refer to a secret.
///
/// The text itself is not part of the message: whoever wrote it may have pasted the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret is given by reference: write `env:NAME`, `file:PATH` or `sealed:NAME`, never the value itself")]
pub struct LiteralSecret;

impl SecretRef {
    /// Reads a reference.
    ///
    /// # Errors
    /// [`LiteralSecret`] for everything else.
    pub fn parse(text: &str) -> Result<Self, LiteralSecret> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => {
                Ok(Self::Env(name.to_owned()))
            }
            Some(("file", path)) if !path.is_empty() && !path.contains('\0') => Ok(Self::File(path.into())),
            Some(("sealed", name)) if !name.is_empty() => Ok(Self::Sealed(name.to_owned())),
            _ => Err(LiteralSecret),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Sealed(name) => write!(f, "sealed:{name}"),
        }
    }
}

/// A secret value. It has no way to be shown; whoever spends it says so with [`Secret::expose`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The value, for the one place that spends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_references_are_read() {
        assert_eq!(SecretRef::parse("env:MUX_TOKEN").unwrap(), SecretRef::Env("MUX_TOKEN".into()));
        assert_eq!(SecretRef::parse("file:/run/secrets/x").unwrap().to_string(), "file:/run/secrets/x");
        for literal in ["", "hunter2", "env:", "env:a b", "Bearer abc", "https://x", "file:"] {
            assert_eq!(SecretRef::parse(literal), Err(LiteralSecret), "{literal}");
        }
    }

    #[test]
    fn neither_the_value_nor_a_mistaken_literal_is_shown() {
        assert!(!format!("{:?}", Secret::new("hunter2".into())).contains("hunter2"));
        assert!(!LiteralSecret.to_string().contains("hunter2"));
    }
}
