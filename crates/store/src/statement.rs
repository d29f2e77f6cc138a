//! The narrow waist between typed functions and two engines: arguments going in, rows coming out.
//!
//! Every value in the store is an integer, a text or bytes; a boolean is 0 or 1, a time is milliseconds since the epoch.

use std::borrow::Cow;

use ambit_model::{
    Digest,
    ids::{Millis, UserKey},
};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{Row as _, postgres::PgRow, sqlite::SqliteRow};

use crate::StoreError;

/// One `$n` of a statement.
#[derive(Debug)]
pub enum Arg<'a> {
    /// An integer, a time or a flag.
    Int(Option<i64>),
    /// A text.
    Text(Option<Cow<'a, str>>),
    /// Bytes.
    Bytes(Option<Cow<'a, [u8]>>),
}

/// The arguments of a statement, in the order of `$1`, `$2`, ….
macro_rules! args {
    ($($value:expr),* $(,)?) => { &[$($crate::statement::Arg::from($value)),*] };
}
pub(crate) use args;

impl From<i64> for Arg<'_> {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}
impl From<Option<i64>> for Arg<'_> {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}
impl From<u64> for Arg<'_> {
    // Leaf numbers, generations and revisions count up from zero and never reach the upper half.
    fn from(value: u64) -> Self {
        Self::Int(Some(i64::try_from(value).unwrap_or(i64::MAX)))
    }
}
impl From<bool> for Arg<'_> {
    fn from(value: bool) -> Self {
        Self::Int(Some(i64::from(value)))
    }
}
impl<'a> From<&'a str> for Arg<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(Some(value.into()))
    }
}
impl<'a> From<Option<&'a str>> for Arg<'a> {
    fn from(value: Option<&'a str>) -> Self {
        Self::Text(value.map(Into::into))
    }
}
impl From<String> for Arg<'_> {
    fn from(value: String) -> Self {
        Self::Text(Some(value.into()))
    }
}
impl From<Option<String>> for Arg<'_> {
    fn from(value: Option<String>) -> Self {
        Self::Text(value.map(Into::into))
    }
}
impl From<&UserKey> for Arg<'_> {
    fn from(value: &UserKey) -> Self {
        Self::from(value.to_string())
    }
}
impl<'a> From<&'a [u8]> for Arg<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(Some(value.into()))
    }
}
impl<'a> From<&'a Digest> for Arg<'a> {
    fn from(value: &'a Digest) -> Self {
        Self::Bytes(Some(value.0.as_slice().into()))
    }
}
impl<'a> From<Option<&'a Digest>> for Arg<'a> {
    fn from(value: Option<&'a Digest>) -> Self {
        Self::Bytes(value.map(|digest| digest.0.as_slice().into()))
    }
}

/// Makes a query of a statement and its arguments, for whichever engine the executor turns out to be.
macro_rules! query {
    ($sql:expr, $args:expr) => {{
        let mut query = sqlx::query($sql);
        for arg in $args {
            query = match arg {
                $crate::statement::Arg::Int(value) => query.bind(*value),
                $crate::statement::Arg::Text(value) => query.bind(value.as_deref()),
                $crate::statement::Arg::Bytes(value) => query.bind(value.as_deref()),
            };
        }
        query
    }};
}
pub(crate) use query;

/// Writes a value as JSON text.
pub(crate) fn json<T: Serialize>(column: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::corrupt(column, "it cannot be written as JSON"))
}

/// One row of either engine.
#[derive(Debug)]
pub enum Row {
    /// Of SQLite.
    Sqlite(Box<SqliteRow>),
    /// Of PostgreSQL.
    Postgres(Box<PgRow>),
}

macro_rules! read {
    ($row:expr, $column:expr) => {
        match $row {
            Row::Sqlite(row) => row.try_get($column),
            Row::Postgres(row) => row.try_get($column),
        }
        .map_err(|_| StoreError::corrupt($column, "it has another type"))
    };
}

impl Row {
    pub(crate) fn int(&self, column: &'static str) -> Result<Millis, StoreError> {
        read!(self, column)
    }

    pub(crate) fn opt_int(&self, column: &'static str) -> Result<Option<Millis>, StoreError> {
        read!(self, column)
    }

    /// A number that counts up from zero.
    pub(crate) fn count(&self, column: &'static str) -> Result<u64, StoreError> {
        u64::try_from(self.int(column)?).map_err(|_| StoreError::corrupt(column, "it is negative"))
    }

    pub(crate) fn flag(&self, column: &'static str) -> Result<bool, StoreError> {
        match self.int(column)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(StoreError::corrupt(column, "it is neither 0 nor 1")),
        }
    }

    pub(crate) fn text(&self, column: &'static str) -> Result<String, StoreError> {
        read!(self, column)
    }

    pub(crate) fn opt_text(&self, column: &'static str) -> Result<Option<String>, StoreError> {
        read!(self, column)
    }

    pub(crate) fn bytes(&self, column: &'static str) -> Result<Vec<u8>, StoreError> {
        read!(self, column)
    }

    pub(crate) fn digest(&self, column: &'static str) -> Result<Digest, StoreError> {
        self.opt_digest(column)?.ok_or_else(|| StoreError::corrupt(column, "it is missing"))
    }

    pub(crate) fn opt_digest(&self, column: &'static str) -> Result<Option<Digest>, StoreError> {
        let bytes: Option<Vec<u8>> = read!(self, column)?;
        bytes
            .map(|bytes| {
                bytes.try_into().map(Digest).map_err(|_| StoreError::corrupt(column, "it is not 32 bytes long"))
            })
            .transpose()
    }

    /// A typed id.
    pub(crate) fn id<T: TryFrom<String>>(&self, column: &'static str) -> Result<T, StoreError> {
        T::try_from(self.text(column)?).map_err(|_| StoreError::corrupt(column, "it breaks the rule of its kind"))
    }

    /// A typed id that may be absent.
    pub(crate) fn opt_id<T: TryFrom<String>>(&self, column: &'static str) -> Result<Option<T>, StoreError> {
        self.opt_text(column)?
            .map(|text| T::try_from(text).map_err(|_| StoreError::corrupt(column, "it breaks the rule of its kind")))
            .transpose()
    }

    pub(crate) fn user(&self, column: &'static str) -> Result<UserKey, StoreError> {
        UserKey::parse(&self.text(column)?).map_err(|_| StoreError::corrupt(column, "it names no user"))
    }

    pub(crate) fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, StoreError> {
        serde_json::from_str(&self.text(column)?).map_err(|_| StoreError::corrupt(column, "its JSON cannot be read"))
    }
}
