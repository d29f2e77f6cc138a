//! Requests for access: one open request per person and toolset, confirmed by that person, decided once.
//!
//! Each rule stands in a statement: of any number of people at once, in however many processes, one finds the stage they
//! need. Who may confirm or decide is said by the caller, inside the transaction that holds the request.

use ambit_model::{
    access::{AccessDecision, AccessLapse, AccessRequest, AccessStage, MAX_OPEN},
    approval::Via,
    ids::{AccessId, AgentId, GrantId, Millis, ToolsetSlug, UserKey},
};

use crate::{
    Source, StoreError, Tx,
    statement::{Row, args, json},
};

fn read(row: &Row) -> Result<AccessRequest, StoreError> {
    let decided = match (row.opt_text("decided_by")?, row.opt_text("via")?) {
        (Some(_), Some(via)) => Some(AccessDecision {
            by: row.user("decided_by")?,
            via: Via::parse(&via).ok_or_else(|| StoreError::corrupt("via", "it is no way to decide"))?,
            reason: row.opt_text("decision")?,
        }),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => return Err(StoreError::corrupt("via", "half of a decision is missing")),
    };
    Ok(AccessRequest {
        id: row.id("id")?,
        user: row.user("user_key")?,
        toolset: row.id("toolset")?,
        endpoint: row.id("endpoint")?,
        client: row.id("client")?,
        agent: row.opt_id("agent")?,
        life_ms: row.int("life_ms")?,
        told: row.json("told")?,
        words: row.opt_text("words")?,
        requested_at: row.int("requested_at")?,
        asked: row.count("asked")?,
        decided,
        stage: stage(row)?,
    })
}

fn stage(row: &Row) -> Result<AccessStage, StoreError> {
    let at = row.int("since")?;
    let until = || row.opt_int("until")?.ok_or_else(|| StoreError::corrupt("until", "it is missing"));
    Ok(match row.text("stage")?.as_str() {
        "unconfirmed" => AccessStage::Unconfirmed { until: until()? },
        "waiting" => AccessStage::Waiting { since: at, until: until()? },
        "approved" => AccessStage::Approved { at, grant: row.id("grant_record")? },
        "denied" => AccessStage::Denied { at },
        "withdrawn" => AccessStage::Withdrawn { at },
        "lapsed" => {
            let why = row.opt_text("why")?.as_deref().and_then(AccessLapse::parse);
            AccessStage::Lapsed { at, why: why.ok_or_else(|| StoreError::corrupt("why", "it is no reason"))? }
        }
        _ => return Err(StoreError::corrupt("stage", "it is no stage")),
    })
}

/// What became of a wish to open a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Opened {
    /// It is a new request.
    New(AccessRequest),
    /// The same was asked for before, and that one answers.
    Known(AccessRequest),
    /// As many of this person are open as may.
    TooMany,
}

/// Takes the person's turn: two requests of one person are opened one after the other, so that neither their number nor the
/// search for an earlier one can be overtaken.
const TAKE_TURN: &str = "
insert into access_turns (person, taken_at) values ($1, $2)
on conflict (person) do update set taken_at = excluded.taken_at";
/// The open one, of which there is at most one: by a clock that was set back it may seem older than one that is over.
const LATEST: &str = "
select * from access_requests where user_key = $1 and toolset = $2
order by case when stage in ('unconfirmed', 'waiting') then 0 else 1 end, requested_at desc, since desc, id desc limit 1";
const COUNT_OPEN: &str = "
select count(*) as open from access_requests
where user_key = $1 and stage in ('unconfirmed', 'waiting') and until > $2";
/// Makes room for the next request of the same toolset.
const LAPSE_OF_WISH: &str = "
update access_requests set stage = 'lapsed', since = until, why = 'expired'
where user_key = $1 and toolset = $2 and stage in ('unconfirmed', 'waiting') and until <= $3";
const INSERT: &str = "
insert into access_requests
    (id, user_key, toolset, endpoint, client, agent, life_ms, told, requested_at, asked, stage, since, until)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, 'unconfirmed', $9, $10)";
const ASK_AGAIN: &str = "update access_requests set asked = asked + 1 where id = $1";
const FIND: &str = "select * from access_requests where id = $1";
/// Changes nothing and holds the row, so that it is decided by one after the other.
const HOLD: &str = "update access_requests set asked = asked where id = $1 returning *";
const CONFIRM: &str = "
update access_requests set stage = 'waiting', since = $2, until = $3, words = $4
where id = $1 and stage = 'unconfirmed' and until > $2";
const WITHDRAW: &str = "
update access_requests set stage = 'withdrawn', since = $2, until = null
where id = $1 and stage in ('unconfirmed', 'waiting') and until > $2";
/// The rule: of any number of people who decide at once, one finds it waiting.
const DECIDE: &str = "
update access_requests set stage = $3, since = $2, until = null, decided_by = $4, via = $5, decision = $6, grant_record = $7
where id = $1 and stage = 'waiting' and until > $2";
const LAPSE: &str = "
update access_requests set stage = 'lapsed', since = $2, until = null, why = $3
where id = $1 and stage in ('unconfirmed', 'waiting')";
const WAITING: &str = "
select * from access_requests where stage = 'waiting' and until > $1 order by since, id limit 500";
const OF_USER: &str = "select * from access_requests where user_key = $1 order by requested_at desc, id limit $2";
const LAPSE_DUE: &str = "
update access_requests set stage = 'lapsed', since = until, why = 'expired'
where stage in ('unconfirmed', 'waiting') and until <= $1
returning *";
const PURGE: &str = "
delete from access_requests where requested_at <= $1 and stage not in ('unconfirmed', 'waiting')";
const PURGE_TURNS: &str = "delete from access_turns where taken_at <= $1";

/// The open request of a person for a toolset, or else the latest.
///
/// # Errors
/// [`StoreError`].
pub async fn find_latest(
    source: impl Source,
    user: &UserKey,
    toolset: &ToolsetSlug,
) -> Result<Option<AccessRequest>, StoreError> {
    source.row(LATEST, args![user, toolset.as_str()]).await?.as_ref().map(read).transpose()
}

/// Opens a request, which must be unconfirmed, unless an earlier one of the same person and toolset still answers for it.
///
/// # Errors
/// [`StoreError`].
pub async fn open(tx: &mut Tx, wish: &AccessRequest, until: Millis, now_ms: Millis) -> Result<Opened, StoreError> {
    tx.execute(TAKE_TURN, args![&wish.user, now_ms]).await?;
    if let Some(known) = find_latest(&mut *tx, &wish.user, &wish.toolset).await?
        && known.stage.answers_for(now_ms)
    {
        tx.execute(ASK_AGAIN, args![known.id.as_str()]).await?;
        return Ok(Opened::Known(known));
    }
    let open = tx.row(COUNT_OPEN, args![&wish.user, now_ms]).await?;
    let open = open.map(|row| row.count("open")).transpose()?.unwrap_or(0);
    if open >= u64::from(MAX_OPEN) {
        return Ok(Opened::TooMany);
    }
    tx.execute(LAPSE_OF_WISH, args![&wish.user, wish.toolset.as_str(), now_ms]).await?;
    let args = args![
        wish.id.as_str(),
        &wish.user,
        wish.toolset.as_str(),
        wish.endpoint.as_str(),
        wish.client.as_str(),
        wish.agent.as_ref().map(AgentId::as_str),
        wish.life_ms,
        json("told", &wish.told)?,
        now_ms,
        until,
    ];
    tx.execute(INSERT, args).await?;
    let stage = AccessStage::Unconfirmed { until };
    Ok(Opened::New(AccessRequest { requested_at: now_ms, asked: 1, words: None, decided: None, stage, ..wish.clone() }))
}

/// The request of this id.
///
/// # Errors
/// [`StoreError`].
pub async fn find(source: impl Source, id: &AccessId) -> Result<Option<AccessRequest>, StoreError> {
    source.row(FIND, args![id.as_str()]).await?.as_ref().map(read).transpose()
}

/// The request of this id, held until the transaction ends: nobody else changes it meanwhile.
///
/// # Errors
/// [`StoreError`].
pub async fn hold(tx: &mut Tx, id: &AccessId) -> Result<Option<AccessRequest>, StoreError> {
    tx.row(HOLD, args![id.as_str()]).await?.as_ref().map(read).transpose()
}

/// The person wants it. False if it is not to be confirmed (any more).
///
/// # Errors
/// [`StoreError`].
pub async fn confirm(
    tx: &mut Tx,
    id: &AccessId,
    words: Option<&str>,
    until: Millis,
    now_ms: Millis,
) -> Result<bool, StoreError> {
    Ok(tx.execute(CONFIRM, args![id.as_str(), now_ms, until, words]).await? == 1)
}

/// The person does not want it (any more). False if it is not open.
///
/// # Errors
/// [`StoreError`].
pub async fn withdraw(tx: &mut Tx, id: &AccessId, now_ms: Millis) -> Result<bool, StoreError> {
    Ok(tx.execute(WITHDRAW, args![id.as_str(), now_ms]).await? == 1)
}

/// Decides a request: with the grant that was made in the same transaction it is approved, without one denied. False if it
/// does not wait (any more).
///
/// # Errors
/// [`StoreError`].
pub async fn decide(
    tx: &mut Tx,
    id: &AccessId,
    decision: &AccessDecision,
    grant: Option<&GrantId>,
    now_ms: Millis,
) -> Result<bool, StoreError> {
    let args = args![
        id.as_str(),
        now_ms,
        if grant.is_some() { "approved" } else { "denied" },
        &decision.by,
        decision.via.as_str(),
        decision.reason.as_deref(),
        grant.map(GrantId::as_str),
    ];
    Ok(tx.execute(DECIDE, args).await? == 1)
}

/// Ends an open request. False if it is over.
///
/// # Errors
/// [`StoreError`].
pub async fn lapse(tx: &mut Tx, id: &AccessId, why: AccessLapse, now_ms: Millis) -> Result<bool, StoreError> {
    Ok(tx.execute(LAPSE, args![id.as_str(), now_ms, why.as_str()]).await? == 1)
}

/// The confirmed requests that wait, oldest first; at most 500.
///
/// # Errors
/// [`StoreError`].
pub async fn list_waiting(source: impl Source, now_ms: Millis) -> Result<Vec<AccessRequest>, StoreError> {
    source.rows(WAITING, args![now_ms]).await?.iter().map(read).collect()
}

/// The latest requests of a person, newest first.
///
/// # Errors
/// [`StoreError`].
pub async fn list_of_user(source: impl Source, user: &UserKey, at_most: u32) -> Result<Vec<AccessRequest>, StoreError> {
    source.rows(OF_USER, args![user, i64::from(at_most)]).await?.iter().map(read).collect()
}

/// Ends every request whose time is over, and says which.
///
/// # Errors
/// [`StoreError`].
pub async fn lapse_due(tx: &mut Tx, now_ms: Millis) -> Result<Vec<AccessRequest>, StoreError> {
    tx.rows(LAPSE_DUE, args![now_ms]).await?.iter().map(read).collect()
}

/// Forgets requests that are over and were made at or before an instant. The trail remembers them.
///
/// # Errors
/// [`StoreError`].
pub async fn purge(tx: &mut Tx, before_ms: Millis) -> Result<u64, StoreError> {
    tx.execute(PURGE_TURNS, args![before_ms]).await?;
    tx.execute(PURGE, args![before_ms]).await
}
