//! Revoke, block and unblock. A name that has to be declared is checked: a kill switch with a typing error kills nothing.

use ambit_live::deployment::Deployment;
use ambit_model::{
    Effect,
    grant::Reveal,
    ids::{Millis, ServerSlug},
    operator::{Actor, Role},
    revocation::{Mark, Scope},
    toolset::Toolset,
};
use ambit_store::{
    Tx, reveals,
    revocations::{self, Act as Marking},
};
use serde_json::{Value, json};

use super::{
    act::Done,
    context::OperatorContext,
    entitle::{known_agent, known_user, with_reason},
    perform::{ActError, Entry, settle},
    rights,
};

pub(super) async fn revoke(
    scope: &Scope,
    reason: &str,
    by: &Actor,
    context: &OperatorContext,
) -> Result<Done, ActError> {
    check(scope, reason, context)?;
    let mut tx = context.store.begin().await?;
    // Only now: what was issued while this act waited for its turn to write is reached as well.
    let now = context.clock.now();
    let before = mark_of(&mut tx, scope).await?;
    revocations::revoke(&mut tx, scope, now, Marking { by: &by.to_string(), reason, at_ms: now }).await?;
    let ended = end_reveals(&mut tx, scope, &context.deployment(), by, now).await?;
    let after = json!({ "mark": mark_of(&mut tx, scope).await?, "reveals_ended": ended });
    let subject = scope.to_string();
    let entry =
        Entry { act: "revoke", subject: &subject, before: Some(before), after: Some(after), reason: Some(reason) };
    let revision = settle(tx, entry, by, context).await?;
    let doubt = doubt(scope, context).await;
    let reveals = match ended {
        0 => String::new(),
        1 => ", 1 reveal with it".to_owned(),
        several => format!(", {several} reveals with it"),
    };
    Ok(Done {
        sentence: format!("everything of {scope} issued until now is dead{reveals}; a new login is possible{doubt}"),
        result: json!({ "act": "revoke", "scope": subject, "revision": revision, "reveals_ended": ended }),
    })
}

pub(super) async fn block(
    scope: &Scope,
    reason: &str,
    by: &Actor,
    context: &OperatorContext,
) -> Result<Done, ActError> {
    check(scope, reason, context)?;
    let now = context.clock.now();
    let mut tx = context.store.begin().await?;
    let before = mark_of(&mut tx, scope).await?;
    // A block stays that of whoever set it, for nobody below them lifts it: only an admin makes it theirs.
    let marking = by.to_string();
    let marking = Marking { by: &marking, reason, at_ms: now };
    if context.deployment().roles.rights_of(by).are(Role::Admin) {
        revocations::block(&mut tx, scope, marking).await?;
    } else {
        revocations::block_unless_blocked(&mut tx, scope, marking).await?;
    }
    let after = mark_of(&mut tx, scope).await?;
    let subject = scope.to_string();
    let entry =
        Entry { act: "block", subject: &subject, before: Some(before), after: Some(after), reason: Some(reason) };
    let revision = settle(tx, entry, by, context).await?;
    let doubt = doubt(scope, context).await;
    Ok(Done {
        sentence: format!("{scope} is blocked until `ambit unblock`{doubt}"),
        result: json!({ "act": "block", "scope": subject, "revision": revision }),
    })
}

pub(super) async fn unblock(
    scope: &Scope,
    reason: &str,
    by: &Actor,
    context: &OperatorContext,
) -> Result<Done, ActError> {
    with_reason(reason)?;
    let now = context.clock.now();
    let mut tx = context.store.begin().await?;
    let seen = revocations::find(&mut tx, scope).await?.filter(|marked| marked.mark.blocked);
    let seen = seen.ok_or_else(|| ActError::Absent(format!("{scope} is not blocked")))?;
    // Once more: since it was asked whether the act is theirs somebody else may have set it.
    rights::lifts(&seen, by, &context.deployment())?;
    if !revocations::unblock(&mut tx, &seen, Marking { by: &by.to_string(), reason, at_ms: now }).await? {
        return Err(ActError::Refused(format!("{scope} was blocked anew or unblocked meanwhile: look again")));
    }
    let before = json!(seen.mark);
    let after = mark_of(&mut tx, scope).await?;
    let subject = scope.to_string();
    let entry =
        Entry { act: "unblock", subject: &subject, before: Some(before), after: Some(after), reason: Some(reason) };
    let revision = settle(tx, entry, by, context).await?;
    Ok(Done {
        sentence: format!("{scope} is no longer blocked; what was revoked stays dead"),
        result: json!({ "act": "unblock", "scope": subject, "revision": revision }),
    })
}

fn check(scope: &Scope, reason: &str, context: &OperatorContext) -> Result<(), ActError> {
    with_reason(reason)?;
    let deployment = context.deployment();
    match scope {
        Scope::Endpoint(slug) if deployment.endpoint(slug).is_none() => {
            Err(unknown("endpoint", slug.as_str(), &deployment))
        }
        Scope::Server(slug) if !deployment.servers.contains_key(slug) => {
            Err(unknown("server", slug.as_str(), &deployment))
        }
        Scope::Tool(tool) if !deployment.servers.contains_key(&tool.server) => {
            Err(unknown("server", tool.server.as_str(), &deployment))
        }
        Scope::User(user) => known_user(&deployment, user),
        Scope::Agent(agent) => known_agent(&deployment, agent),
        Scope::Deployment
        | Scope::Endpoint(_)
        | Scope::Server(_)
        | Scope::Tool(_)
        | Scope::Client(_)
        | Scope::Credential(_)
        | Scope::Family(_)
        | Scope::ForeignSession(..)
        | Scope::ForeignToken(..) => Ok(()),
    }
}

/// A tool that nobody offers now may come back, so its mark stands; but it may also be a typing error.
async fn doubt(scope: &Scope, context: &OperatorContext) -> &'static str {
    let Scope::Tool(id) = scope else { return "" };
    let servers = context.seen().await;
    match servers.iter().find(|server| server.slug == id.server) {
        Some(server) if server.problem.is_none() && !server.tools.contains_key(&id.tool) => {
            " (its server offers no such tool at the moment: look at the name once more, `ambit tools` lists them)"
        }
        Some(_) | None => "",
    }
}

fn unknown(what: &str, name: &str, deployment: &Deployment) -> ActError {
    let known: Vec<_> = match what {
        "endpoint" => deployment.endpoints.iter().map(|endpoint| format!("`{}`", endpoint.slug)).collect(),
        _ => deployment.servers.keys().map(|slug| format!("`{slug}`")).collect(),
    };
    let there =
        if known.is_empty() { "none is declared".to_owned() } else { format!("there are {}", known.join(", ")) };
    ActError::Refused(format!("{what} `{name}` is not declared: {there}"))
}

/// A revocation ends the reveals of its scope as well: they were issued before it. Of a tool, a server or an endpoint these are
/// all whose toolset reaches it.
async fn end_reveals(
    tx: &mut Tx,
    scope: &Scope,
    deployment: &Deployment,
    by: &Actor,
    now: Millis,
) -> Result<usize, ActError> {
    let mut ended = 0;
    let live = reveals::RevealFilter { live_at: Some(now), ..reveals::RevealFilter::default() };
    for record in reveals::list(&mut *tx, &live).await? {
        if reaches(scope, &record.reveal, deployment)
            && reveals::end(tx, &record.reveal.id, &by.to_string(), now).await?
        {
            ended += 1;
        }
    }
    Ok(ended)
}

fn reaches(scope: &Scope, reveal: &Reveal, deployment: &Deployment) -> bool {
    // One that is not declared at the moment may come back, so it counts as reaching everything.
    let toolset = |holds: &dyn Fn(&Toolset) -> bool| deployment.toolsets.get(&reveal.toolset).is_none_or(holds);
    let server = |slug: &ServerSlug| toolset(&|toolset| toolset.tools.iter().any(|line| line.server() == slug));
    match scope {
        Scope::Deployment => true,
        Scope::User(user) => reveal.user == *user,
        Scope::Client(client) => reveal.client == *client,
        Scope::Agent(agent) => reveal.agent.as_ref() == Some(agent),
        Scope::Tool(tool) => toolset(&|toolset| Effect::ALL.iter().any(|effect| toolset.contains(tool, *effect))),
        Scope::Server(slug) => server(slug),
        Scope::Endpoint(slug) => deployment.endpoint(slug).is_none_or(|endpoint| endpoint.servers.iter().any(server)),
        Scope::Credential(_) | Scope::Family(_) | Scope::ForeignSession(..) | Scope::ForeignToken(..) => false,
    }
}

async fn mark_of(tx: &mut Tx, scope: &Scope) -> Result<Value, ActError> {
    let mark = revocations::find(tx, scope).await?.map_or_else(Mark::default, |marked| marked.mark);
    Ok(json!(mark))
}
