//! Between *guard* and *dispatch*: a call that people have to approve is told where it stands, or spends the approval it has.
//!
//! The client's connection is never held, and nothing it says approves anything: what it sends back is compared with what
//! the store says. An approval is spent in the store before the intent is written, so that a crash spends it and never repeats
//! the call. Without the store nothing is dispatched.

mod state;
pub(crate) mod words;

use ambit_identity::approvals::{self, Asked, Spending, Standing, Unable};
use ambit_live::mode::Down;
use ambit_mcp::{
    Id, OwnedRaw, RpcError,
    era::{Era, LegacyVersion},
    reply,
    strict::Params,
    upstream::capabilities,
};
use ambit_model::{
    approval::{Approval, SETTLED_MS, Stage},
    ids::Millis,
};
use serde_json::Value;

use crate::{
    afford::{self, Afforded},
    answer::{Note, Reply},
    gateway::Gateway,
    guard::{Guarded, Unapproved},
    trail::Opened,
};
use state::State;
use words::Told;

/// The key of our one question.
const QUESTION: &str = "ambit_approval";

/// How often a call asks again where it stands, when somebody else was quicker.
const TRIES: u32 = 3;

/// How often a client is shown the page in a row; then it is told in words, which a model can read.
const ROUNDS: u8 = 3;

/// The request that is answered.
pub(crate) struct Asking<'a> {
    pub(crate) id: Id<'a>,
    pub(crate) era: Era,
    pub(crate) params: &'a Params<'a>,
    pub(crate) face: &'a reply::Server,
    /// Whether the client can show its user a URL, as far as its session says.
    pub(crate) session_elicits_url: bool,
}

/// What became of a call that people have to approve.
pub(crate) enum Settled {
    /// Its approval was spent, or it needs none: it goes on.
    Free(Box<Guarded>, Afforded),
    /// It does not run now.
    Told(Reply),
    /// What it was judged on has changed: judge it again.
    Moved,
}

/// Settles a call.
pub(crate) async fn settle(
    gateway: &Gateway,
    opened: &mut Opened,
    unapproved: Unapproved,
    asking: &Asking<'_>,
) -> Settled {
    let live = gateway.live();
    let shown = match State::of(live, &unapproved, asking.params) {
        Ok(shown) => shown,
        Err(sentence) => {
            let error = RpcError::invalid_params(sentence);
            return Settled::Told(Reply::error(&error, Some(asking.id), "bad_request_state"));
        }
    };
    let snapshot = unapproved.guarded().snapshot().clone();
    for _ in 0..TRIES {
        let standing = {
            let guarded = unapproved.guarded();
            let (Some(exact), Some(server)) = (guarded.exact(), guarded.server()) else { return Settled::Moved };
            let asked = Asked {
                exact,
                arguments: unapproved.canonical(),
                server,
                caller: guarded.caller().facts(),
                effect: guarded.tool().effect.effect,
                purpose: &guarded.tool().definition.description,
                claimed: claimed(asking.params),
                rules: &unapproved.verdict().policies,
            };
            match approvals::ask(live, &snapshot, &asked).await {
                Ok(standing) => standing,
                Err(error) => return Settled::Told(unable(&error, asking.id)),
            }
        };
        let Standing::Approved(approval) = standing else {
            return Settled::Told(tell(gateway, opened, &unapproved, &standing, (asking, shown)));
        };
        opened.needs_approval(Some(&approval.id));
        // What cannot be sent now spends nothing.
        let afforded = match afford::afford(gateway, unapproved.guarded()).await {
            Ok(afforded) => afforded,
            Err(not_now) => return Settled::Told(not_now.reply(asking.id, asking.era, asking.face)),
        };
        match approvals::spend(live, &snapshot, &approval, unapproved.call(), &opened.record()).await {
            Ok(Spending::Spent(spent)) => {
                return match unapproved.with(spent) {
                    Some(guarded) => {
                        opened.approved();
                        Settled::Free(Box::new(guarded), afforded)
                    }
                    None => Settled::Told(defect(asking.id)),
                };
            }
            Ok(Spending::Moved) => return Settled::Moved,
            Ok(Spending::Gone) => {}
            Err(error) => return Settled::Told(unable(&error, asking.id)),
        }
    }
    Settled::Told(Reply::down(Down::Store, Some(asking.id)))
}

/// Nothing is dispatched on the word of a store that does not answer.
fn unable(error: &Unable, id: Id<'_>) -> Reply {
    tracing::warn!(%error, "a call that needs an approval was not dispatched");
    let down = match error {
        Unable::Record(_) => Down::Trail,
        Unable::Store(_) | Unable::Key(_) => Down::Store,
    };
    Reply::down(down, Some(id))
}

fn defect(id: Id<'_>) -> Reply {
    let error = RpcError::internal("not executed: the approval is of another call; this is a defect of the gateway");
    Reply::error(&error, Some(id), "defect")
}

/// What the client software calls itself.
pub(crate) fn claimed(params: &Params<'_>) -> Option<String> {
    let info: Value = serde_json::from_str(params.meta.client_info?.as_str()).ok()?;
    let text = |key| info.get(key).and_then(Value::as_str);
    let name = text("title").or_else(|| text("name"))?;
    let shown = text("version").map_or_else(|| name.to_owned(), |version| format!("{name} {version}"));
    Some(shown.chars().filter(|c| !c.is_control()).take(120).collect())
}

/// The answer to a call that does not run now, in the form the client of this request can use.
fn tell(
    gateway: &Gateway,
    opened: &mut Opened,
    unapproved: &Unapproved,
    standing: &Standing,
    (asking, shown): (&Asking<'_>, Option<State>),
) -> Reply {
    let now = gateway.live().clock().now();
    let deployment = &unapproved.guarded().snapshot().deployment;
    opened.needs_approval(approval_of(standing).map(|approval| &approval.id));
    let told = words::of(standing, unapproved.guarded().tool().id(), deployment, now);
    if let Standing::Waiting { approval, .. } = standing {
        let page = words::page(deployment, approval);
        let round = shown.as_ref().map_or(0, |state| state.round);
        if let Some(reply) = elicit(gateway, unapproved, (asking, round), (&page, &told), now) {
            return reply;
        }
    }
    let outcome = if told.is_done { reply::Outcome::Ok } else { reply::Outcome::Error };
    let structured = OwnedRaw::of(&told.structured);
    let structured = Some(structured.as_raw());
    let body = reply::tool_result(asking.id, asking.era, asking.face, outcome, &told.sentence, structured);
    Reply::result(body, Note::of(told.result))
}

/// The question to the client to show its user the page, if this request can be asked that. Whoever said no to it, or was
/// asked often enough, is told in words.
fn elicit(
    gateway: &Gateway,
    unapproved: &Unapproved,
    (asking, round): (&Asking<'_>, u8),
    (page, told): (&str, &Told),
    now: Millis,
) -> Option<Reply> {
    match asking.era {
        Era::Modern => {
            if !capabilities::elicits_url(asking.params.meta.client_capabilities)
                || round >= ROUNDS
                || has_declined(asking.params)
            {
                return None;
            }
            let state = State { round: round.saturating_add(1) }.seal(gateway.live(), unapproved, now)?;
            let body = reply::url_input_required(asking.id, asking.face, QUESTION, (page, &told.sentence), &state);
            Some(Reply::result(body, Note::of(told.result)))
        }
        Era::Legacy(version @ LegacyVersion::V2025_11_25) if asking.session_elicits_url => {
            let id = told.structured.get("approval").and_then(Value::as_str)?;
            let error = RpcError::legacy_url_elicitation(version, id, page, &told.sentence)?;
            Some(Reply::error(&error, Some(asking.id), told.result))
        }
        Era::Legacy(LegacyVersion::V2025_11_25 | LegacyVersion::V2025_06_18) => None,
    }
}

/// Whether the user was asked and did not want to see the page.
fn has_declined(params: &Params<'_>) -> bool {
    let Some(responses) = params.input_responses else { return false };
    let Ok(responses) = serde_json::from_str::<Value>(responses.as_str()) else { return true };
    let action = responses.get(QUESTION).and_then(|answer| answer.get("action")).and_then(Value::as_str);
    action.is_some_and(|action| action != "accept")
}

fn approval_of(standing: &Standing) -> Option<&Approval> {
    match standing {
        Standing::Waiting { approval, .. }
        | Standing::Approved(approval)
        | Standing::Denied(approval, _)
        | Standing::LetOut(approval) => Some(approval),
        Standing::TooMany { .. } | Standing::Nobody { .. } => None,
    }
}

/// When the same call may be asked for anew.
fn settled_until(approval: &Approval) -> Option<Millis> {
    match approval.stage {
        Stage::Consumed { at, .. } | Stage::Executed { at, .. } => Some(at.saturating_add(SETTLED_MS)),
        Stage::Pending { .. } | Stage::Approved { .. } | Stage::Denied { .. } | Stage::Lapsed { .. } => None,
    }
}
