//! A call that needs an approval asks where it stands: with nobody yet, with people, with a yes, with a no, or done already.
//!
//! The same call is the same request, whoever repeats it how often; it opens one only if somebody could approve it, and a
//! caller has few open at a time. Nothing is held back: every answer comes at once.

use std::sync::Arc;

use ambit_live::{Live, Snapshot, notices::NoticeKind};
use ambit_model::{
    approval::{Approval, ExactCall, Lapse, Party, REQUEST_LIFE_MS, Stage, Told},
    caller::CallerFacts,
    ids::{ApprovalId, Millis},
    server::Server,
};
use ambit_store::{
    approvals::{self, Opened},
    grants, reveals,
};
use serde_json::json;

use super::{Unable, caller_text, fresh_id, is_revoked, lapse, people, record, repeated, seal, tell};

/// The shortest and the longest wait that a repeated call is told.
const FIRST_WAIT_MS: Millis = 5_000;
const LONGEST_WAIT_MS: Millis = 120_000;

/// Longest text of a tool's own description that is kept with a request, in characters.
const LONGEST_PURPOSE: usize = 2_000;

/// Most grants and reveals that a request names.
const MOST_GROUNDS: usize = 10;

/// What a call asks with.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The exact call.
    pub exact: ExactCall<'a>,
    /// Its canonical arguments, as they will be sent.
    pub arguments: &'a [u8],
    /// The server of its tool.
    pub server: &'a Server,
    /// Who calls.
    pub caller: &'a CallerFacts,
    /// The effect of the tool.
    pub effect: ambit_model::Effect,
    /// What the tool says it does.
    pub purpose: &'a str,
    /// What the client software calls itself.
    pub claimed: Option<String>,
    /// The rules that ask for an approval.
    pub rules: &'a [String],
}

/// Where a call stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// People have to answer.
    Waiting {
        /// The request.
        approval: Approval,
        /// Who can say yes, as people call them.
        approvers: Vec<String>,
        /// When to call again at the earliest.
        retry_after_ms: Millis,
    },
    /// Enough people said yes: it may be spent.
    Approved(Approval),
    /// Somebody said no, at that instant.
    Denied(Approval, Millis),
    /// It was let out before.
    LetOut(Approval),
    /// Too many requests of this caller wait.
    TooMany {
        /// When to call again at the earliest.
        retry_after_ms: Millis,
    },
    /// Too few people could say yes.
    Nobody {
        /// How many it takes.
        needed: u32,
        /// How many there are.
        there: usize,
    },
}

/// How long a call that was made this often is told to wait: doubled each time, never longer than the request lives.
pub fn retry_after_ms(asked: u64, left_ms: Millis) -> Millis {
    let doublings = u32::try_from(asked.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    let wait = FIRST_WAIT_MS.saturating_mul(1 << doublings).min(LONGEST_WAIT_MS);
    wait.min(left_ms.max(1_000))
}

/// The shortest wait of a caller with too many requests open.
const FIRST_CROWDED_WAIT_MS: Millis = 20_000;

/// How long a caller is told to wait who has had too many requests open `since`: as long as that has been so already. Whoever
/// comes back when told finds the wait doubled, without anything that had to be kept about calls that opened nothing.
pub fn crowded_wait_ms(now: Millis, since: Millis) -> Millis {
    now.saturating_sub(since).clamp(FIRST_CROWDED_WAIT_MS, LONGEST_WAIT_MS)
}

/// Finds the request of a call, or opens one.
///
/// # Errors
/// [`Unable`]: nothing may be dispatched.
pub async fn ask(live: &Live, snapshot: &Arc<Snapshot>, asked: &Asked<'_>) -> Result<Standing, Unable> {
    let now = live.clock().now();
    let digest = asked.exact.digest();
    let latest = approvals::find_latest(live.store(), &digest).await?;
    let latest = match latest.filter(|known| known.stage.answers_for(now)) {
        Some(known) => unless_revoked(live, snapshot, known, now).await?,
        None => None,
    };
    let excluded = people::excluded(&snapshot.deployment, asked.server, asked.caller);
    match latest {
        Some(Approval { stage: Stage::Pending { .. }, .. }) | None => {}
        Some(known) => return Ok(told(known)),
    }
    let eligible = people::all_eligible(live.store(), snapshot, asked.server, &excluded, now).await?;
    let needed = asked.server.approvals.rule.needed;
    if eligible.len() < usize::try_from(needed).unwrap_or(usize::MAX) {
        return Ok(Standing::Nobody { needed, there: eligible.len() });
    }
    let approvers: Vec<_> = eligible.iter().map(|party| people::name(snapshot, &party.user)).collect();
    let (approval, times) = match latest {
        Some(known) => {
            let mut tx = live.store().begin().await?;
            let times = approvals::ask_again(&mut tx, &known.id).await?;
            tx.commit().await?;
            (known, times)
        }
        None => match repeated(|| open(live, snapshot, asked, &excluded, now)).await? {
            Opened::New(approval) | Opened::Known(approval) => {
                let times = approval.asked;
                (approval, times)
            }
            Opened::TooMany { since } => return Ok(Standing::TooMany { retry_after_ms: crowded_wait_ms(now, since) }),
        },
    };
    let Stage::Pending { until } = approval.stage else { return Ok(told(approval)) };
    let retry_after_ms = retry_after_ms(times, until.saturating_sub(now));
    Ok(Standing::Waiting { approval, approvers, retry_after_ms })
}

/// What an answered request says. One that is over says nothing, so it never gets here.
fn told(known: Approval) -> Standing {
    match known.stage {
        Stage::Approved { .. } => Standing::Approved(known),
        Stage::Denied { at } => Standing::Denied(known, at),
        Stage::Consumed { .. } | Stage::Executed { .. } => Standing::LetOut(known),
        Stage::Pending { .. } | Stage::Lapsed { .. } => Standing::TooMany { retry_after_ms: FIRST_CROWDED_WAIT_MS },
    }
}

/// The request, unless what it was made for or by was revoked since: then it is over, and that is written down.
async fn unless_revoked(
    live: &Live,
    snapshot: &Snapshot,
    known: Approval,
    now: Millis,
) -> Result<Option<Approval>, Unable> {
    let open = matches!(known.stage, Stage::Pending { .. } | Stage::Approved { .. });
    if !open || !is_revoked(snapshot, &known) {
        return Ok(Some(known));
    }
    let mut tx = live.store().begin().await?;
    lapse(live, &mut tx, &known, Lapse::Revoked, now).await?;
    tx.commit().await?;
    Ok(None)
}

async fn open(
    live: &Live,
    snapshot: &Arc<Snapshot>,
    asked: &Asked<'_>,
    excluded: &[Party],
    now: Millis,
) -> Result<Opened, Unable> {
    let ExactCall { user, agent, client, endpoint, tool, definition, .. } = asked.exact;
    let until = now.saturating_add(REQUEST_LIFE_MS);
    let id = fresh_id(live.keys())?;
    let server = asked.server;
    let wish = Approval {
        id: ApprovalId::parse(&id).map_err(|_| ambit_live::keys::KeyError::NoRandomness)?,
        digest: asked.exact.digest(),
        server: server.slug.clone(),
        tool: tool.clone(),
        endpoint: endpoint.clone(),
        user: user.cloned(),
        agent: agent.cloned(),
        client: client.clone(),
        needed: server.approvals.rule.needed.max(1),
        told: Told {
            effect: asked.effect,
            definition,
            purpose: asked.purpose.chars().take(LONGEST_PURPOSE).collect(),
            environment: server.governance.environment.clone(),
            data_class: server.governance.data_class.clone(),
            owner: server.governance.owner.clone(),
            assurance: asked.caller.client.assurance.as_str().to_owned(),
            claimed: asked.claimed.clone(),
            grounds: grounds(live, snapshot, asked, now).await?,
            rules: asked.rules.to_vec(),
            excluded: excluded.to_vec(),
        },
        requested_at: now,
        asked: 1,
        stage: Stage::Pending { until },
    };
    let sealed = seal(live.keys(), &wish.id, &wish.digest, asked.arguments)?;
    let mut tx = live.store().begin().await?;
    let opened = approvals::open(&mut tx, &wish, until, &sealed, now).await?;
    if let Opened::New(approval) = &opened {
        let after = json!({
            "tool": approval.tool,
            "endpoint": approval.endpoint,
            "client": approval.client,
            "call": approval.digest,
            "definition": definition,
            "needed": approval.needed,
            "expires_at": until,
            "rules": asked.rules,
        });
        record(live, (&caller_text(user, agent), "approval.request"), approval, after, None).await?;
    }
    tx.commit().await?;
    if let Opened::New(approval) = &opened {
        tell(live, snapshot, NoticeKind::ApprovalRequested, approval);
    }
    Ok(opened)
}

/// By which grants and reveals the caller reaches the tool, with their reasons.
async fn grounds(live: &Live, snapshot: &Snapshot, asked: &Asked<'_>, now: Millis) -> Result<Vec<String>, Unable> {
    let ExactCall { user, agent, client, tool, .. } = asked.exact;
    let selects = |slug: &ambit_model::ids::ToolsetSlug| {
        snapshot.deployment.toolsets.get(slug).is_some_and(|toolset| toolset.contains(tool, asked.effect))
    };
    let mut grounds = Vec::new();
    if let Some(user) = user {
        let filter =
            reveals::RevealFilter { user: Some(user.clone()), client: Some(client.clone()), live_at: Some(now) };
        for found in reveals::list(live.store(), &filter).await? {
            let reveal = found.reveal;
            if reveal.starts_at <= now && reveal.agent.as_ref() == agent && selects(&reveal.toolset) {
                let by = said_by(&format!("made by {}", found.created_by), reveal.approved_by.as_deref());
                grounds.push(format!("{} of {}, {by}: {}", reveal.id, reveal.toolset, reveal.reason));
            }
        }
    }
    let filter = grants::GrantFilter { live_at: Some(now), ..grants::GrantFilter::default() };
    let stored = grants::list(live.store(), &filter).await?;
    let declared = snapshot.deployment.grants.iter().map(|grant| (grant, "declared by configuration".to_owned()));
    let made = stored.iter().map(|found| (&found.grant, format!("made by {}", found.created_by)));
    for (grant, made) in declared.chain(made) {
        let counts = grant.starts_at <= now && now < grant.expires_at && selects(&grant.toolset);
        if counts && holds(asked.caller, &grant.subject) {
            let by = said_by(&made, grant.approved_by.as_deref());
            grounds.push(format!("{} of {} to {}, {by}: {}", grant.id, grant.toolset, grant.subject, grant.reason));
        }
    }
    let more = grounds.len().saturating_sub(MOST_GROUNDS);
    grounds.truncate(MOST_GROUNDS);
    if more > 0 {
        grounds.push(format!("and {more} more"));
    }
    Ok(grounds)
}

/// Who made it is known; who approved it is what they wrote, and nobody has checked that.
fn said_by(made: &str, approved_by: Option<&str>) -> String {
    approved_by.map_or_else(|| made.to_owned(), |who| format!("{made}, according to whom {who:?} approved it"))
}

fn holds(caller: &CallerFacts, subject: &ambit_model::grant::GrantSubject) -> bool {
    use ambit_model::grant::GrantSubject as Subject;
    match subject {
        Subject::User(own) => caller.user().is_some_and(|user| user.key == *own),
        Subject::Group(group) => caller.user().is_some_and(|user| user.groups.contains(group)),
        Subject::Agent(own) => caller.agent().is_some_and(|agent| agent.id == *own),
        Subject::Client(own) => caller.client.id == *own,
        Subject::Claim(claim) => caller.user().is_some_and(|user| claim.fits(user)),
    }
}
