//! What a person may ask for at an endpoint. Whatever is not in here, real or not, is nothing at all to them.

use ambit_live::{Snapshot, deployment::Deployment};
use ambit_model::{
    access::is_offered_at,
    caller::{CallerFacts, UserFacts},
    endpoint::Endpoint,
    ids::EndpointSlug,
    toolset::Toolset,
};

use crate::server::person;

/// What a caller may do about access at an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Nothing: there are no requests here, or no person stands behind the caller.
    Nothing,
    /// Look: somebody else knows the person, so they cannot log in here to confirm anything.
    Look,
    /// Look and ask.
    Ask,
}

/// What a caller may do about access at an endpoint. An agent on its own has nobody who could confirm.
pub fn standing(snapshot: &Snapshot, endpoint: &EndpointSlug, caller: &CallerFacts) -> Standing {
    let Some(user) = caller.user().filter(|_| snapshot.deployment.access.are_on_at(endpoint)) else {
        return Standing::Nothing;
    };
    if person::declared(snapshot, &user.key).is_some() { Standing::Ask } else { Standing::Look }
}

/// What the person of a caller may ask for at an endpoint, by slug.
pub fn of_caller<'a>(snapshot: &'a Snapshot, endpoint: &Endpoint, caller: &CallerFacts) -> Vec<&'a Toolset> {
    let Some(facts) = caller.user().and_then(|user| person::declared(snapshot, &user.key)) else { return Vec::new() };
    requestable(&snapshot.deployment, endpoint, &facts).collect()
}

/// One of them by its name.
pub(super) fn find<'a>(
    deployment: &'a Deployment,
    endpoint: &Endpoint,
    person: &UserFacts,
    name: &str,
) -> Option<&'a Toolset> {
    requestable(deployment, endpoint, person).find(|toolset| toolset.slug.as_str() == name)
}

fn requestable<'a>(
    deployment: &'a Deployment,
    endpoint: &Endpoint,
    person: &UserFacts,
) -> impl Iterator<Item = &'a Toolset> {
    let on = deployment.access.are_on_at(&endpoint.slug);
    let all = deployment.toolsets.values().filter(move |_| on);
    all.filter(move |toolset| is_offered_at(toolset, endpoint) && deployment.access.admit(person, &toolset.slug))
}
