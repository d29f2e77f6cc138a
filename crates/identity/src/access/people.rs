//! Who may decide a request: an admin, or an owner of every server the toolset reaches; a person who may act now, and not
//! the one it is for, under whatever name.
//!
//! Unknown, absent and disabled people decide nothing. A toolset that reaches no server is nobody's but an admin's.

use ambit_live::{Snapshot, deployment::Deployment};
use ambit_model::{
    access::AccessRequest,
    approval::Party,
    ids::{Millis, ServerSlug, ToolsetSlug, UserKey},
    operator::Role,
};
use ambit_store::{Source, StoreError};

use crate::{
    approvals::people::{everybody, party},
    server::{person, session},
};

/// The servers whose tools a toolset can contain, each once; none if it is not declared.
pub fn servers_of(deployment: &Deployment, toolset: &ToolsetSlug) -> Vec<ServerSlug> {
    let selectors = deployment.toolsets.get(toolset).into_iter().flat_map(|toolset| &toolset.tools);
    let mut servers: Vec<_> = selectors.map(|selector| selector.server().clone()).collect();
    servers.sort();
    servers.dedup();
    servers
}

/// Whether the roles of a person let them give a toolset to somebody.
fn answers_for(deployment: &Deployment, person: &UserKey, toolset: &ToolsetSlug) -> bool {
    let Some(rights) = deployment.roles.of_person(person) else { return false };
    let servers = servers_of(deployment, toolset);
    rights.are(Role::Admin)
        || (rights.are(Role::Owner) && !servers.is_empty() && servers.iter().all(|server| rights.own(server)))
}

fn is_excluded(deployment: &Deployment, request: &AccessRequest, who: &Party) -> bool {
    let own = party(deployment, &request.user);
    request.told.excluded.iter().chain([&own]).any(|party| party.is(&who.user, who.email.as_deref()))
}

/// The person, if they may decide this request at this moment, and nothing they proved `since` was revoked.
///
/// # Errors
/// [`StoreError`].
pub async fn decider(
    source: impl Source,
    snapshot: &Snapshot,
    request: &AccessRequest,
    user: &UserKey,
    since: Millis,
) -> Result<Option<Party>, StoreError> {
    let deployment = &snapshot.deployment;
    let who = party(deployment, user);
    let admitted = answers_for(deployment, user, &request.toolset) && !is_excluded(deployment, request, &who);
    if !admitted || session::is_dead(snapshot, user, since) {
        return Ok(None);
    }
    Ok(person::standing(source, snapshot, user).await?.map(|_| who))
}

/// Everybody who may decide a wish for a toolset now, each person once.
///
/// # Errors
/// [`StoreError`].
pub async fn deciders(
    source: impl Source,
    snapshot: &Snapshot,
    toolset: &ToolsetSlug,
    excluded: &[Party],
    now_ms: Millis,
) -> Result<Vec<Party>, StoreError> {
    let deployment = &snapshot.deployment;
    everybody(source, snapshot, now_ms, |facts, email| {
        answers_for(deployment, &facts.key, toolset) && !excluded.iter().any(|party| party.is(&facts.key, email))
    })
    .await
}
