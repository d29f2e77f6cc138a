//! What consent may offer: the toolsets a person holds at one endpoint through one client, with what is in them.
//!
//! Asked of the judge, as every list and call: a toolset is offered only if something of it would be shown. Destructive
//! tools stay hidden without a reveal, also here; a toolset that names some says how many, because the person agrees to
//! what a later reveal would open.

use std::collections::BTreeSet;

use ambit_live::Snapshot;
use ambit_model::{
    Effect,
    caller::{CallerFacts, ClientFacts, Principal, TokenScopes, UserFacts},
    endpoint::Endpoint,
    ids::{Millis, ToolsetSlug},
    tool::Acceptance,
    toolset::Toolset,
};

/// A toolset as consent offers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) slug: ToolsetSlug,
    pub(crate) title: String,
    /// Tools that only observe.
    pub(crate) read: usize,
    /// Tools that change something.
    pub(crate) write: usize,
    /// Destructive tools, revealed or not.
    pub(crate) destructive: usize,
}

/// A person at a client, as the judge reads them.
pub(crate) fn person_at(user: &UserFacts, client: &ClientFacts) -> CallerFacts {
    CallerFacts {
        principal: Principal::Person { user: user.clone() },
        client: client.clone(),
        scopes: TokenScopes::Toolsets(BTreeSet::new()),
        declined: BTreeSet::new(),
        operator: None,
    }
}

/// The toolsets a person holds through a client, whatever is in them now.
pub(crate) fn held(
    snapshot: &Snapshot,
    user: &UserFacts,
    client: &ClientFacts,
    now_ms: Millis,
) -> BTreeSet<ToolsetSlug> {
    let class = snapshot.judge.class(&person_at(user, client));
    snapshot.judge.held_toolsets(&class, now_ms).into_iter().collect()
}

/// The toolsets to offer a person for a client at an endpoint, by slug.
pub(crate) fn offers(
    snapshot: &Snapshot,
    endpoint: &Endpoint,
    user: &UserFacts,
    client: &ClientFacts,
    now_ms: Millis,
) -> Vec<Offer> {
    let held = held(snapshot, user, client, now_ms);
    let offer = |slug: &ToolsetSlug| offer(snapshot, endpoint, &held, slug, (user, client), now_ms);
    held.iter().filter_map(offer).collect()
}

fn offer(
    snapshot: &Snapshot,
    endpoint: &Endpoint,
    held: &BTreeSet<ToolsetSlug>,
    slug: &ToolsetSlug,
    (user, client): (&UserFacts, &ClientFacts),
    now_ms: Millis,
) -> Option<Offer> {
    let toolset = snapshot.deployment.toolsets.get(slug)?;
    // A token for this toolset alone: what it lists comes through this toolset.
    let mut facts = person_at(user, client);
    facts.scopes = TokenScopes::Toolsets([slug.clone()].into());
    facts.declined = held.iter().filter(|other| *other != slug).cloned().collect();
    let judge = &snapshot.judge;
    let listed = judge.visible(&judge.class(&facts), judge.endpoint_index(&endpoint.slug)?, now_ms);
    let count = |effect| {
        let effects = listed.tools.iter().filter_map(|tool| judge.tool(*tool));
        effects.filter(|tool| tool.effect == effect).count()
    };
    let offer = Offer {
        slug: slug.clone(),
        title: if toolset.title.is_empty() { slug.to_string() } else { toolset.title.clone() },
        read: count(Effect::Read),
        write: count(Effect::Write),
        destructive: destructive(snapshot, endpoint, toolset),
    };
    let shows_something = !listed.tools.is_empty();
    shows_something.then_some(offer)
}

fn destructive(snapshot: &Snapshot, endpoint: &Endpoint, toolset: &Toolset) -> usize {
    let here = snapshot.catalogue.entries().iter().filter(|entry| {
        let id = entry.tool.id();
        entry.acceptance == Acceptance::Accepted
            && entry.tool.effect.effect == Effect::Destructive
            && endpoint.servers.contains(&id.server)
            && toolset.contains(id, Effect::Destructive)
    });
    here.count()
}
