//! What a denied call is told: nothing at all about a hidden tool, and the way forward about a visible one.

use std::collections::BTreeSet;

use ambit_identity::{caller::Caller, challenge, token};
use ambit_mcp::{Id, RpcError, era::Era, reply};
use ambit_model::{caller::TokenScopes, endpoint::EndpointIssuer, ids::ToolsetSlug};
use ambit_policy::Verdict;
use http::header::WWW_AUTHENTICATE;

use crate::{answer::Reply, authorize::Denied, finish::Full, http::Place, trail::Judged};

/// When a person is told to come back whose calls are still running, in milliseconds: nobody knows when one of them ends.
const COME_BACK_MS: u64 = 1_000;

/// The answer to a denial, and what the trail says about it.
pub(crate) fn denied(
    denied: Denied,
    name: &str,
    (id, era): (Id<'_>, Era),
    (place, caller): (&Place, &Caller),
    face: &reply::Server,
) -> (Reply, Judged) {
    match denied {
        // Out of the name alone: nothing in it can tell a hidden tool from an absent one.
        Denied::Hidden(judged) => (Reply::error(&RpcError::unknown_tool(name), Some(id), "unknown_tool"), judged),
        Denied::NeedsScope(judged, verdict) => (needs_scope(name, id, &verdict, place, caller), judged),
        Denied::Refused(judged) => {
            let said = match &judged {
                Judged::Tool { verdict, .. } => verdict.sentence.as_deref(),
                Judged::Hidden { .. } | Judged::Own { .. } => None,
            };
            let sentence = said.unwrap_or(
                "a rule of your organisation does not allow this call; ask the people who run this gateway which rule it \
                 is and who can change it",
            );
            let reply = Reply::refused(id, era, face, sentence, "refused_by_rule");
            (reply, judged)
        }
    }
}

/// HTTP 403 with a challenge that names every scope the token should have, those it has included: a client that asks for
/// exactly these loses nothing.
fn needs_scope(name: &str, id: Id<'_>, verdict: &Verdict, place: &Place, caller: &Caller) -> Reply {
    let Some(view) = place.view() else {
        return Reply::error(&RpcError::unknown_tool(name), Some(id), "unknown_tool");
    };
    let (endpoint, deployment) = (&view.endpoint, &place.snapshot().deployment);
    let mut wanted: BTreeSet<&ToolsetSlug> = verdict.missing_scopes.iter().collect();
    let missing = wanted.iter().map(|slug| format!("`{slug}`")).collect::<Vec<_>>().join(", ");
    if let TokenScopes::Toolsets(held) = &caller.facts().scopes {
        wanted.extend(held);
    }
    let link = match endpoint.issuer {
        EndpointIssuer::Embedded { .. } => Some(format!("{}/clients", deployment.public_url)),
        EndpointIssuer::External(_) => None,
    };
    let way = match &link {
        Some(link) => {
            format!("let the client ask for it and allow it when you are asked, or change what it may use at {link}")
        }
        None => "let the client ask for it and allow it when you are asked".to_owned(),
    };
    let sentence = format!(
        "not executed: the tool `{}` needs the toolset {missing}, which this login does not carry; {way}",
        shown(name)
    );
    let challenge = challenge::insufficient_scope(endpoint, deployment, wanted.iter().copied(), &sentence);
    let scope = scope_of(&challenge).unwrap_or_else(|| token::scope_value(wanted.iter().copied()));
    let error = RpcError::insufficient_scope(sentence, &scope, link.as_deref());
    Reply::error(&error, Some(id), "insufficient_scope").with(WWW_AUTHENTICATE, challenge)
}

/// The scopes as the challenge spells them, which for a foreign issuer are its own words.
fn scope_of(challenge: &http::HeaderValue) -> Option<String> {
    let (_, rest) = challenge.to_str().ok()?.split_once("scope=\"")?;
    rest.split_once('"').map(|(scope, _)| scope.to_owned())
}

/// So many requests run to their end that no more are promised one: HTTP 429 if they are this person's, or 503.
pub(crate) fn too_busy(full: Full, id: Option<Id<'_>>) -> Reply {
    match full {
        Full::OfPerson => {
            let sentence = "not executed: as many of your calls are running as one person may have";
            Reply::over_budget(id, sentence, COME_BACK_MS, "too_many_running")
        }
        Full::OfAll => {
            let error = RpcError::unavailable("not executed: too many calls are running; try again later");
            Reply::error(&error, id, "too_busy")
        }
    }
}

fn shown(name: &str) -> String {
    name.chars().take(128).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scopes_are_read_off_the_challenge() {
        let challenge =
            r#"Bearer error="insufficient_scope", error_description="x", scope="mcp toolset:a", resource_metadata="u""#;
        assert_eq!(scope_of(&challenge.parse().unwrap()).as_deref(), Some("mcp toolset:a"));
        assert_eq!(scope_of(&"Bearer".parse().unwrap()), None);
    }
}
