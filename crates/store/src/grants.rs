//! Grants that operators made. Those of configuration are not here.

use ambit_model::{
    constraints::Constraints,
    grant::{Grant, GrantOrigin, GrantSubject},
    ids::{GrantId, Millis, ToolsetSlug},
};

use crate::{
    Source, StoreError, Tx,
    statement::{Row, args, json},
};

/// A grant with who made it and who ended it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GrantRecord {
    /// The grant.
    pub grant: Grant,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Millis,
    /// Who ended it early, and when.
    pub ended: Option<(String, Millis)>,
}

impl GrantRecord {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let origin = row.text("origin")?;
        Ok(Self {
            grant: Grant {
                id: row.id("id")?,
                subject: read_subject(&row.text("subject_kind")?, &row.text("subject")?)?,
                toolset: row.id("toolset")?,
                reason: row.text("reason")?,
                ticket: row.opt_text("ticket")?,
                approved_by: row.opt_text("approved_by")?,
                starts_at: row.int("starts_at")?,
                expires_at: row.int("expires_at")?,
                origin: GrantOrigin::parse(&origin)
                    .ok_or_else(|| StoreError::corrupt("grants.origin", "it is no origin of a grant"))?,
                constraints: match row.opt_text("constraints")? {
                    Some(_) => row.json("constraints")?,
                    None => Constraints::default(),
                },
            },
            created_by: row.text("created_by")?,
            created_at: row.int("created_at")?,
            ended: row.opt_text("ended_by")?.zip(row.opt_int("ended_at")?),
        })
    }
}

fn read_subject(kind: &str, subject: &str) -> Result<GrantSubject, StoreError> {
    match GrantSubject::parse(kind, subject) {
        Some(Ok(subject)) => Ok(subject),
        Some(Err(_)) => Err(StoreError::corrupt("grants.subject", "it breaks the rule of its kind")),
        None => Err(StoreError::corrupt("grants.subject_kind", "it is no kind of holder")),
    }
}

/// Which records to list. The default lists all.
#[derive(Clone, Debug, Default)]
pub struct GrantFilter {
    /// Only of this holder.
    pub subject: Option<GrantSubject>,
    /// Only of this toolset.
    pub toolset: Option<ToolsetSlug>,
    /// Only those that count, or will count, at this instant.
    pub live_at: Option<Millis>,
}

/// The records of this version, and what a version before it may still write.
macro_rules! select_grants {
    ($rest:literal) => {
        concat!(
            "
select * from (
    select id, subject_kind, subject, toolset, reason, ticket, approved_by, starts_at, expires_at, origin, constraints,
        created_by, created_at, ended_by, ended_at
    from grant_records
    union all
    select id, subject_kind, subject, toolset, reason, null, approved_by, starts_at, expires_at, 'operator', null,
        created_by, created_at, ended_by, ended_at
    from grants
) as every_grant ",
            $rest
        )
    };
}

const INSERT: &str = "
insert into grant_records
    (id, subject_kind, subject, toolset, reason, ticket, approved_by, starts_at, expires_at, origin, constraints,
        created_by, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
const END: &str = "update grant_records set ended_by = $2, ended_at = $3 where id = $1 and ended_at is null";
const END_EARLIER: &str = "update grants set ended_by = $2, ended_at = $3 where id = $1 and ended_at is null";
const FIND: &str = select_grants!("where id = $1");
const LOAD_LIVE: &str = select_grants!("where ended_at is null and expires_at > $1 order by id");
const LIST: &str = select_grants!(
    "
where ($1 is null or (subject_kind = $1 and subject = $2))
  and ($3 is null or toolset = $3)
  and ($4 is null or (ended_at is null and expires_at > $4))
order by created_at desc, id"
);

/// Makes a grant.
///
/// # Errors
/// [`StoreError::Exists`] if the id is taken, [`StoreError::Refused`] if it would end before it starts, live longer than a year,
/// or claims to come from configuration.
pub async fn insert(tx: &mut Tx, grant: &Grant, created_by: &str, now_ms: Millis) -> Result<(), StoreError> {
    match grant.origin {
        GrantOrigin::Operator | GrantOrigin::Request | GrantOrigin::BreakGlass | GrantOrigin::Import => {}
        GrantOrigin::Config => return Err(StoreError::Refused("grants of configuration are not stored".into())),
    }
    tx.changes_what_requests_see();
    let constraints =
        if grant.constraints.is_none() { None } else { Some(json("grants.constraints", &grant.constraints)?) };
    let args = args![
        grant.id.as_str(),
        grant.subject.kind(),
        grant.subject.name(),
        grant.toolset.as_str(),
        grant.reason.as_str(),
        grant.ticket.as_deref(),
        grant.approved_by.as_deref(),
        grant.starts_at,
        grant.expires_at,
        grant.origin.as_str(),
        constraints,
        created_by,
        now_ms,
    ];
    tx.execute(INSERT, args).await.map(drop)
}

/// Ends a grant before its time. False if it is unknown or was ended before.
///
/// # Errors
/// [`StoreError`].
pub async fn end(tx: &mut Tx, id: &GrantId, by: &str, now_ms: Millis) -> Result<bool, StoreError> {
    tx.changes_what_requests_see();
    let args = args![id.as_str(), by, now_ms];
    Ok(tx.execute(END, args).await? == 1 || tx.execute(END_EARLIER, args).await? == 1)
}

/// The record of this id.
///
/// # Errors
/// [`StoreError`].
pub async fn find(source: impl Source, id: &GrantId) -> Result<Option<GrantRecord>, StoreError> {
    source.row(FIND, args![id.as_str()]).await?.as_ref().map(GrantRecord::read).transpose()
}

/// The grants that count now or will later, by id.
///
/// # Errors
/// [`StoreError`].
pub async fn load_live(source: impl Source, now_ms: Millis) -> Result<Vec<Grant>, StoreError> {
    source.rows(LOAD_LIVE, args![now_ms]).await?.iter().map(|row| Ok(GrantRecord::read(row)?.grant)).collect()
}

/// The records that pass a filter, newest first.
///
/// # Errors
/// [`StoreError`].
pub async fn list(source: impl Source, filter: &GrantFilter) -> Result<Vec<GrantRecord>, StoreError> {
    let (kind, subject) = filter.subject.as_ref().map(|subject| (subject.kind(), subject.name())).unzip();
    let args = args![kind, subject, filter.toolset.as_ref().map(ToolsetSlug::as_str), filter.live_at];
    source.rows(LIST, args).await?.iter().map(GrantRecord::read).collect()
}
