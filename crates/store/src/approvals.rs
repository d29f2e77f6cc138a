//! Approvals: one open request per exact call, one vote per person, one consumption.
//!
//! Each rule stands in a statement: of any number of calls at once, in however many processes, one finds the stage it needs.
//! Who may vote and what votes come to is decided by the caller, inside the transaction that holds the request.

use ambit_model::{
    Digest,
    approval::{ARGUMENTS_LIFE_MS, Approval, Lapse, MAX_WAITING, Party, Says, Stage, Via, Vote},
    event::Executed,
    ids::{AgentId, ApprovalId, Millis, ToolId, UserKey},
};

use crate::{
    Source, StoreError, Tx,
    statement::{Row, args, json},
};

fn read(row: &Row) -> Result<Approval, StoreError> {
    Ok(Approval {
        id: row.id("id")?,
        digest: row.digest("call_digest")?,
        server: row.id("server")?,
        tool: row.id("tool")?,
        endpoint: row.id("endpoint")?,
        user: match row.opt_text("user_key")? {
            Some(_) => Some(row.user("user_key")?),
            None => None,
        },
        agent: row.opt_id("agent")?,
        client: row.id("client")?,
        needed: u32::try_from(row.int("needed")?).map_err(|_| StoreError::corrupt("needed", "it is no count"))?,
        told: row.json("told")?,
        requested_at: row.int("requested_at")?,
        asked: row.count("asked")?,
        stage: stage(row)?,
    })
}

fn stage(row: &Row) -> Result<Stage, StoreError> {
    let at = row.int("since")?;
    let until = || row.opt_int("until")?.ok_or_else(|| StoreError::corrupt("until", "it is missing"));
    let record = || row.opt_text("record")?.ok_or_else(|| StoreError::corrupt("record", "it is missing"));
    Ok(match row.text("stage")?.as_str() {
        "pending" => Stage::Pending { until: until()? },
        "approved" => Stage::Approved { at, until: until()? },
        "denied" => Stage::Denied { at },
        "lapsed" => {
            let why = row.opt_text("why")?.as_deref().and_then(Lapse::parse);
            Stage::Lapsed { at, why: why.ok_or_else(|| StoreError::corrupt("why", "it is no reason"))? }
        }
        "consumed" => Stage::Consumed { at, record: record()? },
        "executed" => {
            let executed = match row.opt_text("executed")?.as_deref() {
                Some("yes") => Executed::Yes,
                Some("no") => Executed::No,
                // What cannot be read may have happened.
                Some(_) | None => Executed::Unknown,
            };
            Stage::Executed { at, record: record()?, executed }
        }
        _ => return Err(StoreError::corrupt("stage", "it is no stage")),
    })
}

fn read_vote(row: &Row) -> Result<Vote, StoreError> {
    let says = match row.text("says")?.as_str() {
        "yes" => Says::Yes,
        "no" => Says::No,
        _ => return Err(StoreError::corrupt("says", "it is neither yes nor no")),
    };
    Ok(Vote {
        by: Party { user: row.user("person")?, email: row.opt_text("email")? },
        says,
        at: row.int("voted_at")?,
        via: Via::parse(&row.text("via")?).ok_or_else(|| StoreError::corrupt("via", "it is no way to vote"))?,
        reason: row.opt_text("reason")?,
    })
}

/// What became of a wish to open a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Opened {
    /// It is a new request.
    New(Approval),
    /// The same call was asked for before, and that one answers.
    Known(Approval),
    /// As many of this caller wait as may.
    TooMany {
        /// When the last of them was made.
        since: Millis,
    },
}

/// Takes the caller's turn: two requests of one caller are opened one after the other, so that neither their number nor the
/// search for an earlier one can be overtaken.
const TAKE_TURN: &str = "
insert into approval_turns (caller, taken_at) values ($1, $2)
on conflict (caller) do update set taken_at = excluded.taken_at";
/// The open one, of which there is at most one: by a clock that was set back it may seem older than one that is over.
const LATEST: &str = "
select * from approvals where call_digest = $1
order by case when stage in ('pending', 'approved') then 0 else 1 end, requested_at desc, since desc, id desc limit 1";
const COUNT_WAITING: &str = "
select count(*) as waiting, max(requested_at) as latest from approvals
where caller = $1 and stage = 'pending' and until > $2";
/// Makes room for the next request of the same call.
const LAPSE_OF_CALL: &str = "
update approvals set stage = 'lapsed', since = until, why = 'expired'
where call_digest = $1 and stage in ('pending', 'approved') and until <= $2";
const INSERT: &str = "
insert into approvals
    (id, call_digest, caller, server, tool, endpoint, user_key, agent, client, needed, told, arguments, erase_at,
     requested_at, asked, stage, since, until)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 1, 'pending', $14, $15)";
const ASK_AGAIN: &str = "update approvals set asked = asked + 1 where id = $1 returning asked";
const FIND: &str = "select * from approvals where id = $1";
/// Changes nothing and holds the row, so that votes are counted one after the other.
const HOLD: &str = "update approvals set asked = asked where id = $1 returning *";
const ARGUMENTS: &str = "select arguments from approvals where id = $1 and arguments is not null";
const VOTE: &str = "
insert into approval_votes (approval, person, email, says, voted_at, via, reason) values ($1, $2, $3, $4, $5, $6, $7)
on conflict (approval, person) do update
set email = excluded.email, says = excluded.says, voted_at = excluded.voted_at, via = excluded.via,
    reason = excluded.reason";
const VOTES: &str = "select * from approval_votes where approval = $1 order by voted_at, person";
const APPROVE: &str = "
update approvals set stage = 'approved', since = $2, until = $3, erase_at = $4
where id = $1 and stage = 'pending' and until > $2";
const DENY: &str = "
update approvals set stage = 'denied', since = $2, until = null, erase_at = $3
where id = $1 and stage in ('pending', 'approved') and until > $2";
const LAPSE: &str = "
update approvals set stage = 'lapsed', since = $2, until = null, why = $3
where id = $1 and stage in ('pending', 'approved')";
/// The rule: of any number of calls at once, one finds it approved.
const CONSUME: &str = "
update approvals set stage = 'consumed', since = $3, until = null, record = $4
where id = $1 and call_digest = $2 and stage = 'approved' and until > $3
returning *";
const EXECUTED: &str = "
update approvals set stage = 'executed', executed = $3 where id = $1 and stage = 'consumed' and record = $2";
const WAITING: &str = "
select * from approvals where stage = 'pending' and until > $1 order by requested_at, id limit 500";
const RECENT: &str = "select * from approvals order by requested_at desc, id limit $1";
const OF_USER: &str = "select * from approvals where user_key = $1 order by requested_at desc, id limit $2";
const SIMILAR: &str = "
select id, arguments from approvals
where tool = $1 and id <> $2 and stage = 'executed' and executed <> 'no' and arguments is not null
order by since desc, id limit 1";
const LAPSE_DUE: &str = "
update approvals set stage = 'lapsed', since = until, why = 'expired'
where stage in ('pending', 'approved') and until <= $1
returning *";
const ERASE: &str = "update approvals set arguments = null where arguments is not null and erase_at <= $1";
const PURGE: &str = "
delete from approvals where requested_at <= $1 and stage not in ('pending', 'approved')";
const PURGE_TURNS: &str = "delete from approval_turns where taken_at <= $1";

/// The open request of a call, or else the latest.
///
/// # Errors
/// [`StoreError`].
pub async fn find_latest(source: impl Source, digest: &Digest) -> Result<Option<Approval>, StoreError> {
    source.row(LATEST, args![digest]).await?.as_ref().map(read).transpose()
}

/// Opens a request, which must be pending, unless an earlier one of the same call still answers for it.
///
/// # Errors
/// [`StoreError`].
pub async fn open(
    tx: &mut Tx,
    wish: &Approval,
    until: Millis,
    sealed: &[u8],
    now_ms: Millis,
) -> Result<Opened, StoreError> {
    let caller = caller(wish.user.as_ref(), wish.agent.as_ref());
    tx.execute(TAKE_TURN, args![caller.as_str(), now_ms]).await?;
    if let Some(known) = find_latest(&mut *tx, &wish.digest).await?
        && known.stage.answers_for(now_ms)
    {
        return Ok(Opened::Known(known));
    }
    let waiting = tx.row(COUNT_WAITING, args![caller.as_str(), now_ms]).await?;
    if let Some(row) = waiting
        && row.count("waiting")? >= u64::from(MAX_WAITING)
    {
        return Ok(Opened::TooMany { since: row.opt_int("latest")?.unwrap_or(now_ms) });
    }
    tx.execute(LAPSE_OF_CALL, args![&wish.digest, now_ms]).await?;
    let tool = wish.tool.to_string();
    let args = args![
        wish.id.as_str(),
        &wish.digest,
        caller.as_str(),
        wish.server.as_str(),
        tool.as_str(),
        wish.endpoint.as_str(),
        wish.user.as_ref().map(UserKey::to_string),
        wish.agent.as_ref().map(AgentId::as_str),
        wish.client.as_str(),
        i64::from(wish.needed),
        json("told", &wish.told)?,
        sealed,
        until.saturating_add(ARGUMENTS_LIFE_MS),
        now_ms,
        until,
    ];
    tx.execute(INSERT, args).await?;
    let opened = Approval { requested_at: now_ms, asked: 1, stage: Stage::Pending { until }, ..wish.clone() };
    Ok(Opened::New(opened))
}

/// Whose requests are counted together: one person and agent, in whatever client.
fn caller(user: Option<&UserKey>, agent: Option<&AgentId>) -> String {
    let user = user.map(UserKey::to_string).unwrap_or_default();
    format!("{user} {}", agent.map(AgentId::as_str).unwrap_or_default())
}

/// Notes that a call was made again and says how often it was made now.
///
/// # Errors
/// [`StoreError`].
pub async fn ask_again(tx: &mut Tx, id: &ApprovalId) -> Result<u64, StoreError> {
    tx.row(ASK_AGAIN, args![id.as_str()]).await?.map_or(Ok(0), |row| row.count("asked"))
}

/// The request of this id.
///
/// # Errors
/// [`StoreError`].
pub async fn find(source: impl Source, id: &ApprovalId) -> Result<Option<Approval>, StoreError> {
    source.row(FIND, args![id.as_str()]).await?.as_ref().map(read).transpose()
}

/// The request of this id, held until the transaction ends: nobody else changes it meanwhile.
///
/// # Errors
/// [`StoreError`].
pub async fn hold(tx: &mut Tx, id: &ApprovalId) -> Result<Option<Approval>, StoreError> {
    tx.row(HOLD, args![id.as_str()]).await?.as_ref().map(read).transpose()
}

/// The sealed arguments, unless they were erased.
///
/// # Errors
/// [`StoreError`].
pub async fn arguments(source: impl Source, id: &ApprovalId) -> Result<Option<Vec<u8>>, StoreError> {
    source.row(ARGUMENTS, args![id.as_str()]).await?.map(|row| row.bytes("arguments")).transpose()
}

/// Keeps a person's word in place of an earlier one.
///
/// # Errors
/// [`StoreError`].
pub async fn vote(tx: &mut Tx, id: &ApprovalId, vote: &Vote) -> Result<(), StoreError> {
    let args = args![
        id.as_str(),
        &vote.by.user,
        vote.by.email.as_deref(),
        vote.says.as_str(),
        vote.at,
        vote.via.as_str(),
        vote.reason.as_deref(),
    ];
    tx.execute(VOTE, args).await.map(drop)
}

/// Every vote on a request, in the order they were cast.
///
/// # Errors
/// [`StoreError`].
pub async fn votes(source: impl Source, id: &ApprovalId) -> Result<Vec<Vote>, StoreError> {
    source.rows(VOTES, args![id.as_str()]).await?.iter().map(read_vote).collect()
}

/// Approves a pending request. False if it is none any more.
///
/// # Errors
/// [`StoreError`].
pub async fn approve(tx: &mut Tx, id: &ApprovalId, until: Millis, now_ms: Millis) -> Result<bool, StoreError> {
    let args = args![id.as_str(), now_ms, until, now_ms.saturating_add(ARGUMENTS_LIFE_MS)];
    Ok(tx.execute(APPROVE, args).await? == 1)
}

/// Denies a request that was not spent. False if it was, or its time was over.
///
/// # Errors
/// [`StoreError`].
pub async fn deny(tx: &mut Tx, id: &ApprovalId, now_ms: Millis) -> Result<bool, StoreError> {
    Ok(tx.execute(DENY, args![id.as_str(), now_ms, now_ms.saturating_add(ARGUMENTS_LIFE_MS)]).await? == 1)
}

/// Ends a request that was not spent. False if it was, or is over.
///
/// # Errors
/// [`StoreError`].
pub async fn lapse(tx: &mut Tx, id: &ApprovalId, why: Lapse, now_ms: Millis) -> Result<bool, StoreError> {
    Ok(tx.execute(LAPSE, args![id.as_str(), now_ms, why.as_str()]).await? == 1)
}

/// Spends an approval for a call, once. None if it is not approved (any more), is of another call, or was spent. Commit
/// before anything is dispatched.
///
/// # Errors
/// [`StoreError`].
pub async fn consume(
    tx: &mut Tx,
    id: &ApprovalId,
    digest: &Digest,
    record: &str,
    now_ms: Millis,
) -> Result<Option<Approval>, StoreError> {
    tx.row(CONSUME, args![id.as_str(), digest, now_ms, record]).await?.as_ref().map(read).transpose()
}

/// Notes what came of the call that spent it. False if this record did not.
///
/// # Errors
/// [`StoreError`].
pub async fn executed(tx: &mut Tx, id: &ApprovalId, record: &str, executed: Executed) -> Result<bool, StoreError> {
    Ok(tx.execute(EXECUTED, args![id.as_str(), record, executed.as_str()]).await? == 1)
}

/// The requests that wait, oldest first; at most 500.
///
/// # Errors
/// [`StoreError`].
pub async fn list_waiting(source: impl Source, now_ms: Millis) -> Result<Vec<Approval>, StoreError> {
    source.rows(WAITING, args![now_ms]).await?.iter().map(read).collect()
}

/// The latest requests, newest first.
///
/// # Errors
/// [`StoreError`].
pub async fn list_recent(source: impl Source, at_most: u32) -> Result<Vec<Approval>, StoreError> {
    source.rows(RECENT, args![i64::from(at_most)]).await?.iter().map(read).collect()
}

/// The latest requests of a user, newest first.
///
/// # Errors
/// [`StoreError`].
pub async fn list_of_user(source: impl Source, user: &UserKey, at_most: u32) -> Result<Vec<Approval>, StoreError> {
    source.rows(OF_USER, args![user, i64::from(at_most)]).await?.iter().map(read).collect()
}

/// The last call of the same tool that was let out, with its sealed arguments, if they are still kept.
///
/// # Errors
/// [`StoreError`].
pub async fn last_similar(
    source: impl Source,
    tool: &ToolId,
    other_than: &ApprovalId,
) -> Result<Option<(ApprovalId, Vec<u8>)>, StoreError> {
    let row = source.row(SIMILAR, args![tool.to_string(), other_than.as_str()]).await?;
    row.map(|row| Ok((row.id("id")?, row.bytes("arguments")?))).transpose()
}

/// Ends every request whose time is over, and says which.
///
/// # Errors
/// [`StoreError`].
pub async fn lapse_due(tx: &mut Tx, now_ms: Millis) -> Result<Vec<Approval>, StoreError> {
    tx.rows(LAPSE_DUE, args![now_ms]).await?.iter().map(read).collect()
}

/// Erases arguments that were kept long enough, and says of how many requests.
///
/// # Errors
/// [`StoreError`].
pub async fn erase_arguments(tx: &mut Tx, now_ms: Millis) -> Result<u64, StoreError> {
    tx.execute(ERASE, args![now_ms]).await
}

/// Forgets requests that are over and were made at or before an instant. The trail remembers them.
///
/// # Errors
/// [`StoreError`].
pub async fn purge(tx: &mut Tx, before_ms: Millis) -> Result<u64, StoreError> {
    tx.execute(PURGE_TURNS, args![before_ms]).await?;
    tx.execute(PURGE, args![before_ms]).await
}
