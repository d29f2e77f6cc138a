//! Opens the connections of each engine with the settings durability depends on.

use std::{fs, io, os::unix::fs::OpenOptionsExt as _, path::Path, time::Duration};

use sqlx::{
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::Pool;
use crate::{OpenError, StoreError, StoreUrl};

/// How long a SQLite transaction waits for its turn: writers queue behind each other's fsync.
const SQLITE_WAIT: Duration = Duration::from_secs(4);
/// How long a call waits for a PostgreSQL connection before the store counts as gone.
const POSTGRES_WAIT: Duration = Duration::from_millis(1500);
const SQLITE_READERS: u32 = 4;
const POSTGRES_CONNECTIONS: u32 = 8;

pub(super) async fn open(url: &StoreUrl) -> Result<Pool, OpenError> {
    let connect = |source: sqlx::Error| OpenError::Connect { url: url.clone(), source: source.into() };
    match url {
        StoreUrl::Memory => {
            // The database lives as long as its only connection, so that one never retires.
            let only = one_forever().connect_with(sqlite().filename(":memory:")).await.map_err(connect)?;
            Ok(Pool::Sqlite { writer: only.clone(), reader: only })
        }
        StoreUrl::File(path) => {
            make_private(path).map_err(|source| OpenError::File { url: url.clone(), source })?;
            open_file(path).await.map_err(connect)
        }
        StoreUrl::Postgres(options) => {
            let pool = PgPoolOptions::new()
                .max_connections(POSTGRES_CONNECTIONS)
                .acquire_timeout(POSTGRES_WAIT)
                .connect_with(postgres(options))
                .await
                .map_err(connect)?;
            Ok(Pool::Postgres(pool))
        }
    }
}

/// The options every PostgreSQL connection is opened with.
fn postgres(options: &PgConnectOptions) -> PgConnectOptions {
    options.clone().application_name("ambit").options([
        // A client that vanished inside a transaction must not hold its locks; a statement ends on the server before the
        // caller stops waiting for it.
        ("idle_in_transaction_session_timeout", "10s"),
        ("statement_timeout", "4s"),
    ])
}

fn sqlite() -> SqliteConnectOptions {
    SqliteConnectOptions::new().foreign_keys(true).busy_timeout(SQLITE_WAIT).synchronous(SqliteSynchronous::Full)
}

fn one_forever() -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .min_connections(1)
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .test_before_acquire(false)
        .acquire_timeout(SQLITE_WAIT)
}

async fn open_file(path: &Path) -> Result<Pool, sqlx::Error> {
    let options = sqlite().filename(path);
    let writer = open_writer(options.clone().journal_mode(SqliteJournalMode::Wal)).await?;
    let reader = SqlitePoolOptions::new()
        .max_connections(SQLITE_READERS)
        .test_before_acquire(false)
        .acquire_timeout(SQLITE_WAIT)
        .connect_with(options.pragma("query_only", "ON"))
        .await?;
    Ok(Pool::Sqlite { writer, reader })
}

/// Switching a file to the write-ahead log needs it alone and does not wait for it, so two first starts at once retry.
async fn open_writer(options: SqliteConnectOptions) -> Result<sqlx::SqlitePool, sqlx::Error> {
    let mut attempts = 0_u32;
    loop {
        match one_forever().connect_with(options.clone()).await {
            Ok(pool) => return Ok(pool),
            Err(error @ sqlx::Error::Database(_)) if attempts < 40 => {
                if !matches!(StoreError::from(error), StoreError::Unavailable(_)) {
                    attempts = 40;
                    continue;
                }
                attempts += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// The file holds password hashes: it is made for its owner alone, and the log beside it inherits that.
fn make_private(path: &Path) -> io::Result<()> {
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}
