//! Brings a database to the schema of this binary: numbered steps, each recorded, all in one transaction.
//!
//! Steps only expand, so that the previous version keeps working beside the new one during an upgrade. A database from a
//! later version is refused, never changed.

use crate::{
    OpenError, Source as _, StoreError, Tx,
    schema::{STEPS, Step},
    statement::args,
};

const RECORD: &str = "
create table if not exists schema_version (
    version bigint primary key,
    name text not null,
    written_by text not null
)";
/// Any number will do, as long as every Ambit takes the same: two first starts at once take turns. Held until the commit.
const TAKE_TURN: &str = "select pg_advisory_xact_lock(4703278221)";
const LATEST: &str = "select max(version) as version from schema_version";
const ADD: &str = "insert into schema_version (version, name, written_by) values ($1, $2, $3)";

/// Applies what is missing. On SQLite the transaction already holds the write lock.
pub(crate) async fn run(tx: &mut Tx) -> Result<(), OpenError> {
    let prepare = |source| OpenError::Migrate { version: 0, name: "the record of schema versions", source };
    let found = latest(tx).await.map_err(prepare)?;
    let known = STEPS.last().map_or(0, |step| step.version);
    if found > known {
        return Err(OpenError::Newer { found, known });
    }
    for step in STEPS.iter().filter(|step| step.version > found) {
        let failed = |source| OpenError::Migrate { version: step.version, name: step.name, source };
        apply(tx, step).await.map_err(failed)?;
    }
    Ok(())
}

async fn latest(tx: &mut Tx) -> Result<i64, StoreError> {
    if tx.is_postgres() {
        (&mut *tx).rows(TAKE_TURN, &[]).await?;
    }
    tx.execute(RECORD, &[]).await?;
    match tx.row(LATEST, &[]).await? {
        Some(row) => Ok(row.opt_int("version")?.unwrap_or(0)),
        None => Ok(0),
    }
}

async fn apply(tx: &mut Tx, step: &Step) -> Result<(), StoreError> {
    // The engines agree on every type but one.
    let script = if tx.is_postgres() { step.sql.replace(" blob", " bytea") } else { step.sql.to_owned() };
    tx.execute_script(script).await?;
    tx.execute(ADD, args![step.version, step.name, env!("CARGO_PKG_VERSION")]).await?;
    Ok(())
}
