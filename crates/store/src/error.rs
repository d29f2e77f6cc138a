//! What can go wrong with the store, told apart by what the caller can do about it.

use std::borrow::Cow;

use crate::url::StoreUrl;

/// Why a call failed. Nothing was changed, unless the failing call was a commit: that one may have happened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached, is busy beyond the deadline, or cannot write: try again later.
    #[error("the store is not available: {0}")]
    Unavailable(Cow<'static, str>),
    /// Another transaction got in the way: the whole transaction may be repeated at once.
    #[error("the transaction met another one: repeat it")]
    Conflict,
    /// A row with this key exists.
    #[error("it exists already")]
    Exists,
    /// The value breaks a rule that stands in the schema or in front of it.
    #[error("the store refuses the value: {0}")]
    Refused(Cow<'static, str>),
    /// A stored value is not what its column promises. Deny.
    #[error("the stored column `{column}` cannot be read: {reason}")]
    Corrupt {
        /// The column.
        column: &'static str,
        /// What is wrong with it, without the value.
        reason: Cow<'static, str>,
    },
    /// The engine refused a statement: a defect of Ambit or of the schema.
    #[error("the store refused a statement")]
    Database(#[source] sqlx::Error),
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be made or read.
    #[error(
        "cannot open the store `{url}`: {source}; check that the directory exists and belongs to the user ambit runs as"
    )]
    File {
        /// Where.
        url: StoreUrl,
        /// The cause.
        source: std::io::Error,
    },
    /// The database does not answer or refuses.
    #[error("cannot open the store `{url}`: {source}")]
    Connect {
        /// Where.
        url: StoreUrl,
        /// The cause.
        source: StoreError,
    },
    /// The database was written by a later version.
    #[error(
        "the store has schema version {found}, this ambit knows versions up to {known}: \
         start the ambit that wrote it, or a later one"
    )]
    Newer {
        /// The version found.
        found: i64,
        /// The latest version this binary knows.
        known: i64,
    },
    /// A schema step failed; it was undone.
    #[error("cannot bring the store to schema version {version} ({name}): {source}")]
    Migrate {
        /// The step.
        version: i64,
        /// Its name.
        name: &'static str,
        /// The cause.
        source: StoreError,
    },
}

impl StoreError {
    pub(crate) fn corrupt(column: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Corrupt { column, reason: reason.into() }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match &error {
            E::PoolTimedOut => Self::Unavailable("no connection became free in time".into()),
            E::PoolClosed => Self::Unavailable("it was closed".into()),
            E::Io(_) | E::Tls(_) | E::Protocol(_) | E::WorkerCrashed | E::BeginFailed => {
                Self::Unavailable(error.to_string().into())
            }
            E::Database(database) => of_database(database.as_ref()).unwrap_or(Self::Database(error)),
            _ => Self::Database(error),
        }
    }
}

fn of_database(error: &dyn sqlx::error::DatabaseError) -> Option<StoreError> {
    use sqlx::error::ErrorKind;
    match error.kind() {
        ErrorKind::UniqueViolation => return Some(StoreError::Exists),
        ErrorKind::CheckViolation | ErrorKind::ForeignKeyViolation | ErrorKind::NotNullViolation => {
            return Some(StoreError::Refused(error.message().to_owned().into()));
        }
        _ => {}
    }
    let code = error.code()?;
    let unavailable = || Some(StoreError::Unavailable(error.message().to_owned().into()));
    if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
        // The low byte of an extended result code is the primary one: busy, locked, read-only, I/O error, full, cannot open.
        return match code.parse::<i32>().ok()? & 0xff {
            5 | 6 | 8 | 10 | 13 | 14 => unavailable(),
            _ => None,
        };
    }
    match code.as_ref() {
        "40001" | "40P01" => Some(StoreError::Conflict),
        // Connection exceptions, insufficient resources (disk full, too many connections), operator intervention.
        code if ["08", "53", "57"].iter().any(|class| code.starts_with(class)) => unavailable(),
        // A server whose data is gone or being restored answers so.
        "25006" | "58030" | "58P01" => unavailable(),
        _ => None,
    }
}
