//! The store and its transactions: two pools of connections behind one type.
//!
//! SQLite has one writing connection, so that transactions queue instead of failing, and a few reading ones; PostgreSQL has
//! one pool. Every wait is bounded: a store that is gone is an error within seconds, never a hang.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::{PgPool, Postgres, Sqlite, SqlitePool, Transaction};
use tokio::{sync::watch, time::Instant};

use crate::{
    OpenError, StoreError, StoreUrl, migrate, revision,
    statement::{Arg, Row, query},
};

mod connect;

/// The longest a single statement, begin or commit may take.
const CALL_DEADLINE: Duration = Duration::from_secs(5);

/// An open store. Clones share its connections.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    pool: Pool,
    revision: watch::Sender<u64>,
    opened: Instant,
    /// Milliseconds after `opened` at which the revision was last asked for and then answered.
    confirmed: AtomicU64,
    /// Whether the last question for the revision was answered.
    reachable: AtomicBool,
}

pub(crate) enum Pool {
    Sqlite { writer: SqlitePool, reader: SqlitePool },
    Postgres(PgPool),
}

impl Store {
    /// Opens a store and brings its schema up to date. A missing SQLite file is made, readable by its owner alone.
    ///
    /// # Errors
    /// [`OpenError`] if it cannot be reached, was written by a later version, or a schema step fails.
    pub async fn open(url: &StoreUrl) -> Result<Self, OpenError> {
        let opened = Instant::now();
        let pool = connect::open(url).await?;
        let connect = |source| OpenError::Connect { url: url.clone(), source };
        let store = Self {
            shared: Arc::new(Shared {
                pool,
                revision: watch::Sender::new(0),
                opened,
                confirmed: AtomicU64::new(0),
                reachable: AtomicBool::new(true),
            }),
        };
        let mut tx = store.begin().await.map_err(connect)?;
        migrate::run(&mut tx).await?;
        tx.commit().await.map_err(connect)?;
        store.confirm().await.map_err(connect)?;
        Ok(store)
    }

    /// Begins a transaction that may write. Dropped without [`Tx::commit`], it changes nothing.
    ///
    /// On SQLite it holds the only writing connection: keep it short, and read inside it through it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        let engine = match &self.shared.pool {
            // Taking the write lock at once avoids the upgrade of a read lock, which SQLite may refuse without waiting.
            Pool::Sqlite { writer, .. } => Engine::Sqlite(bounded(writer.begin_with("begin immediate")).await?),
            Pool::Postgres(pool) => Engine::Postgres(bounded(pool.begin()).await?),
        };
        Ok(Tx { engine, store: self.clone(), changed: false })
    }

    /// The revision as this process last saw it. A receiver is told of every later one while [`Store::watch`] runs, and of
    /// this store's own commits at once. Read the rows after the revision: they are then at least as new.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.revision.subscribe()
    }

    /// When the revision was last asked for with an answer: the clock of the degraded modes.
    pub fn last_confirmed(&self) -> Instant {
        self.shared.opened + Duration::from_millis(self.shared.confirmed.load(Ordering::Acquire))
    }

    /// Whether the store answered when its revision was last asked for.
    pub fn is_reachable(&self) -> bool {
        self.shared.reachable.load(Ordering::Acquire)
    }

    /// Whether other nodes may use it as well.
    pub fn is_shared(&self) -> bool {
        match self.shared.pool {
            Pool::Sqlite { .. } => false,
            Pool::Postgres(_) => true,
        }
    }

    /// Asks the store for its revision now.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; the last confirmation stays as it was.
    pub async fn confirm(&self) -> Result<u64, StoreError> {
        // The moment of asking counts: what was answered may have changed right after.
        let asked = Instant::now().saturating_duration_since(self.shared.opened);
        let answer = revision::current(self).await;
        self.shared.reachable.store(answer.is_ok(), Ordering::Release);
        let revision = answer?;
        self.shared.confirmed.fetch_max(u64::try_from(asked.as_millis()).unwrap_or(0), Ordering::AcqRel);
        self.saw(revision);
        Ok(revision)
    }

    /// Closes all connections after the calls under way. Later calls are [`StoreError::Unavailable`]. A store that has fallen
    /// silent is not waited for: what was committed is committed.
    pub async fn close(&self) {
        let closing = async {
            match &self.shared.pool {
                Pool::Sqlite { writer, reader } => {
                    reader.close().await;
                    writer.close().await;
                }
                Pool::Postgres(pool) => pool.close().await,
            }
        };
        if tokio::time::timeout(CALL_DEADLINE, closing).await.is_err() {
            tracing::warn!("the store did not answer while it was closed; its connections are cut off");
        }
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.shared.pool
    }

    /// Two answers may overtake each other, so the revision known here only rises.
    fn saw(&self, revision: u64) {
        self.shared.revision.send_if_modified(|known| {
            let newer = revision > *known;
            *known = revision.max(*known);
            newer
        });
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let engine = match self.shared.pool {
            Pool::Sqlite { .. } => "sqlite",
            Pool::Postgres(_) => "postgres",
        };
        f.debug_struct("Store").field("engine", &engine).finish_non_exhaustive()
    }
}

/// A transaction.
pub struct Tx {
    engine: Engine,
    store: Store,
    changed: bool,
}

enum Engine {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").field("changed", &self.changed).finish_non_exhaustive()
    }
}

/// The one dispatch between the engines: the same text and arguments, on the connection of this transaction.
macro_rules! on_engine {
    ($engine:expr, $sql:expr, $args:expr, $method:ident) => {
        match $engine {
            Engine::Sqlite(tx) => bounded(query!($sql, $args).$method(&mut **tx)).await.map(Either::Sqlite),
            Engine::Postgres(tx) => bounded(query!($sql, $args).$method(&mut **tx)).await.map(Either::Postgres),
        }
    };
}

enum Either<S, P> {
    Sqlite(S),
    Postgres(P),
}

impl Tx {
    /// Commits. If what requests see was changed, moves the revision in the same transaction and returns the new one.
    ///
    /// # Errors
    /// [`StoreError`]; when the commit itself failed, it may have happened.
    pub async fn commit(mut self) -> Result<Option<u64>, StoreError> {
        // The revision is the last row touched: whoever holds it waits for nobody, so that two commits cannot deadlock.
        let revision = if self.changed { Some(revision::advance(&mut self).await?) } else { None };
        match self.engine {
            Engine::Sqlite(tx) => bounded(tx.commit()).await?,
            Engine::Postgres(tx) => bounded(tx.commit()).await?,
        }
        if let Some(revision) = revision {
            self.store.saw(revision);
        }
        Ok(revision)
    }

    /// Undoes everything. Dropping does the same, a little later.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn rollback(self) -> Result<(), StoreError> {
        match self.engine {
            Engine::Sqlite(tx) => bounded(tx.rollback()).await,
            Engine::Postgres(tx) => bounded(tx.rollback()).await,
        }
    }

    /// Marks that this transaction changes what requests see.
    pub(crate) fn changes_what_requests_see(&mut self) {
        self.changed = true;
    }

    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.engine, Engine::Postgres(_))
    }

    /// Runs a statement and returns how many rows it touched.
    pub(crate) async fn execute(&mut self, sql: &'static str, args: &[Arg<'_>]) -> Result<u64, StoreError> {
        Ok(match on_engine!(&mut self.engine, sql, args, execute)? {
            Either::Sqlite(done) => done.rows_affected(),
            Either::Postgres(done) => done.rows_affected(),
        })
    }

    /// Runs a text of several statements without arguments: schema steps.
    pub(crate) async fn execute_script(&mut self, script: String) -> Result<(), StoreError> {
        let script = sqlx::raw_sql(sqlx::AssertSqlSafe(script));
        match &mut self.engine {
            Engine::Sqlite(tx) => bounded(script.execute(&mut **tx)).await.map(drop),
            Engine::Postgres(tx) => bounded(script.execute(&mut **tx)).await.map(drop),
        }
    }
}

/// Where rows are read from: a store, or a transaction under way.
///
/// Sealed: its arguments and rows have no name outside this crate.
pub trait Source: Send {
    /// Reads every row.
    #[doc(hidden)]
    fn rows(self, sql: &'static str, args: &[Arg<'_>]) -> impl Future<Output = Result<Vec<Row>, StoreError>> + Send;

    /// Reads the row, if there is one.
    #[doc(hidden)]
    fn row(self, sql: &'static str, args: &[Arg<'_>]) -> impl Future<Output = Result<Option<Row>, StoreError>> + Send
    where
        Self: Sized,
    {
        let rows = self.rows(sql, args);
        async { Ok(rows.await?.into_iter().next()) }
    }
}

impl Source for &mut Tx {
    async fn rows(self, sql: &'static str, args: &[Arg<'_>]) -> Result<Vec<Row>, StoreError> {
        Ok(match on_engine!(&mut self.engine, sql, args, fetch_all)? {
            Either::Sqlite(rows) => rows.into_iter().map(|row| Row::Sqlite(Box::new(row))).collect(),
            Either::Postgres(rows) => rows.into_iter().map(|row| Row::Postgres(Box::new(row))).collect(),
        })
    }
}

impl Source for &Store {
    async fn rows(self, sql: &'static str, args: &[Arg<'_>]) -> Result<Vec<Row>, StoreError> {
        Ok(match &self.shared.pool {
            Pool::Sqlite { reader, .. } => {
                let rows = bounded(query!(sql, args).fetch_all(reader)).await?;
                rows.into_iter().map(|row| Row::Sqlite(Box::new(row))).collect()
            }
            Pool::Postgres(pool) => {
                let rows = bounded(query!(sql, args).fetch_all(pool)).await?;
                rows.into_iter().map(|row| Row::Postgres(Box::new(row))).collect()
            }
        })
    }
}

async fn bounded<T>(call: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    match tokio::time::timeout(CALL_DEADLINE, call).await {
        Ok(result) => result.map_err(StoreError::from),
        Err(_) => Err(StoreError::Unavailable("it did not answer in time".into())),
    }
}
