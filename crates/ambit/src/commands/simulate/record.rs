//! The part of a record that says which decision was made: of a call, before or instead of its dispatch.

use std::borrow::Cow;

use ambit_model::{Outcome, ids::Millis};
use serde::{Deserialize, de::IgnoredAny};

/// A recorded decision over a call.
#[derive(Debug)]
pub(super) struct Decision<'a> {
    pub(super) at: Millis,
    pub(super) endpoint: Cow<'a, str>,
    pub(super) who: Who<'a>,
    pub(super) server: Cow<'a, str>,
    pub(super) tool: Cow<'a, str>,
    pub(super) outcome: Outcome,
    /// The caller's facts, sealed.
    pub(super) caller: Option<Cow<'a, str>>,
    /// What rules read of the call, sealed.
    pub(super) call: Option<Cow<'a, str>>,
    /// Whether an approval was spent on it, or broken glass stood in for one.
    pub(super) approved: bool,
}

/// Who called.
#[derive(Deserialize, Debug)]
pub(super) struct Who<'a> {
    #[serde(borrow)]
    pub(super) user: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) agent: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) client: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) assurance: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "event")]
    kind: Cow<'a, str>,
    at: Millis,
    #[serde(borrow, default)]
    endpoint: Cow<'a, str>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    who: Option<Who<'a>>,
    #[serde(borrow)]
    target: Option<Target<'a>>,
    #[serde(borrow)]
    decision: Option<Decided<'a>>,
    approval: Option<IgnoredAny>,
    break_glass: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Target<'a> {
    #[serde(borrow)]
    server: Cow<'a, str>,
    #[serde(borrow)]
    tool: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Decided<'a> {
    outcome: Outcome,
    #[serde(borrow)]
    caller: Option<Cow<'a, str>>,
    #[serde(borrow)]
    call: Option<Cow<'a, str>>,
}

/// The decision a record holds, if it holds one over a call since an instant. An outcome after its intent holds none.
pub(super) fn read(bytes: &[u8], since: Millis) -> Option<Decision<'_>> {
    let event: Event<'_> = serde_json::from_slice(bytes).ok()?;
    if event.at < since || event.method.as_deref() != Some("tools/call") {
        return None;
    }
    let (who, target, decided) = (event.who?, event.target?, event.decision?);
    // No rule and no grant decides over Ambit's own tools.
    if target.server == ambit_model::names::OWN_SERVER {
        return None;
    }
    Some(Decision {
        at: event.at,
        endpoint: event.endpoint,
        who,
        server: target.server,
        tool: target.tool,
        outcome: decided.outcome,
        caller: decided.caller,
        call: decided.call,
        approved: event.kind == "intent" && (event.approval.is_some() || event.break_glass.is_some()),
    })
}
