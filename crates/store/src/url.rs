//! Where the store is. Read once at start from configuration; a password in it is never shown.

use std::{fmt, path::PathBuf, str::FromStr};

use sqlx::postgres::PgConnectOptions;

/// The place of a store.
#[derive(Clone)]
pub enum StoreUrl {
    /// `sqlite::memory:`: gone when the last clone of the store is. For tests. It has one connection, so reading through
    /// the store while a transaction of the same task is open waits until the deadline; read through the transaction.
    Memory,
    /// `sqlite:PATH`: one file, one node.
    File(PathBuf),
    /// `postgres://user@host/database`: a fleet.
    Postgres(Box<PgConnectOptions>),
}

/// A text that names no store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store url is not usable: {reason}; write `sqlite:PATH` or `postgres://USER@HOST/DATABASE`")]
pub struct InvalidStoreUrl {
    reason: String,
}

impl StoreUrl {
    /// Reads a store url.
    ///
    /// # Errors
    /// [`InvalidStoreUrl`]; the message never repeats the text, because it may hold a password.
    pub fn parse(text: &str) -> Result<Self, InvalidStoreUrl> {
        let reject = |reason: &str| Err(InvalidStoreUrl { reason: reason.to_owned() });
        match text.split_once(':') {
            Some(("sqlite", ":memory:")) => Ok(Self::Memory),
            Some(("sqlite", rest)) => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                if path.is_empty() || path.contains(['?', '\0']) {
                    return reject("a SQLite url is `sqlite:` and the path of a file, without parameters");
                }
                Ok(Self::File(path.into()))
            }
            Some(("postgres" | "postgresql", _)) => match PgConnectOptions::from_str(text) {
                Ok(options) => Ok(Self::Postgres(Box::new(options))),
                Err(_) => reject("the PostgreSQL url cannot be read"),
            },
            Some(_) => reject("the scheme is neither `sqlite` nor `postgres`"),
            None => reject("it has no scheme"),
        }
    }
}

impl FromStr for StoreUrl {
    type Err = InvalidStoreUrl;
    fn from_str(text: &str) -> Result<Self, InvalidStoreUrl> {
        Self::parse(text)
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("sqlite::memory:"),
            Self::File(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(options) => {
                let host = options.get_socket().map_or_else(|| options.get_host().into(), |s| s.to_string_lossy());
                write!(f, "postgres://{host}/{}", options.get_database().unwrap_or_default())
            }
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_places_are_told_apart() {
        assert!(matches!(StoreUrl::parse("sqlite::memory:").unwrap(), StoreUrl::Memory));
        for text in ["sqlite:var/ambit.db", "sqlite://var/ambit.db"] {
            let StoreUrl::File(path) = StoreUrl::parse(text).unwrap() else { panic!("{text}") };
            assert_eq!(path, PathBuf::from("var/ambit.db"));
        }
        assert!(matches!(StoreUrl::parse("postgresql://u@h/d").unwrap(), StoreUrl::Postgres(_)));
    }

    #[test]
    fn neither_an_error_nor_the_shown_form_repeats_a_password() {
        let url = StoreUrl::parse("postgres://ambit:hunter2@db.example/ambit").unwrap();
        assert_eq!(format!("{url} {url:?}"), "postgres://db.example/ambit postgres://db.example/ambit");
        for bad in
            ["", "hunter2", "mysql://u:hunter2@h/d", "sqlite:", "sqlite:a?mode=hunter2", "postgres://u:hunter2@h:x/d"]
        {
            let error = StoreUrl::parse(bad).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
