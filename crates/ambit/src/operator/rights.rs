//! Which act is whose: the roles of operators, and the separation of duties that no role lifts. Asked before anything is
//! looked at; a refusal says what is missing and is recorded.
//!
//! There are two doors to these acts. Whoever the operator socket hears without being named in `[[operator.roles]]` is the
//! user the server runs as, or root: they hold the store and the keys in their hands, so to them roles are a rule of the house
//! and the trail is what holds them to it. A person who comes through the admin API may what an entry gives them, and nothing
//! without one.

use std::collections::BTreeSet;

use ambit_identity::{access::people::servers_of, approvals::people};
use ambit_live::deployment::Deployment;
use ambit_model::{
    grant::GrantSubject,
    ids::{AgentId, GrantId, GroupName, IssuerName, ServerSlug, ToolsetSlug, UserKey},
    operator::{Actor, Rights, Role},
    revocation::Scope,
};
use ambit_store::{
    Store, StoreError, grants, reveals,
    revocations::{self, Marked},
};

use super::{
    act::{Act, ScopeText},
    context::OperatorContext,
    import,
    perform::ActError,
};

/// What an act takes.
enum Needs {
    /// An admin, or the owner of all of these servers; of none, an admin.
    OwnerOf(Vec<ServerSlug>),
    /// An admin.
    Admin,
    /// An admin or an auditor: whoever looks at what others did.
    Reviewer,
    /// An admin, or the owner of something. Which requests they decide is asked when they do.
    Answerable,
    /// An approver. Which calls they decide is asked when they do.
    Approver,
}

/// Whether an act is theirs. The sentence of a refusal is for them and for the trail.
///
/// # Errors
/// [`ActError::NotYours`], or the store's if it had to be asked whose a grant is.
pub(super) async fn check(act: &Act, by: &Actor, context: &OperatorContext) -> Result<(), ActError> {
    let Act::Import { grants } = act else { return check_one(act, by, context).await };
    let mut problems = Vec::new();
    for grant in grants {
        match check_one(&grant.alone(), by, context).await {
            Ok(()) => {}
            Err(ActError::NotYours(why)) => problems.push(format!("line {}: {why}", grant.line)),
            Err(error) => return Err(error),
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(not_yours(import::nothing(&problems))) }
}

async fn check_one(act: &Act, by: &Actor, context: &OperatorContext) -> Result<(), ActError> {
    let deployment = context.deployment();
    let rights = deployment.roles.rights_of(by);
    match needs(act, &deployment, context).await? {
        _ if rights.are(Role::Admin) => {}
        Needs::OwnerOf(servers) if !servers.is_empty() && rights.are(Role::Owner) => {
            if let Some(foreign) = servers.iter().find(|server| !rights.own(server)) {
                return Err(not_yours(format!(
                    "it reaches server `{foreign}`, which you do not own: ask its owner or an admin"
                )));
            }
        }
        Needs::OwnerOf(_) => {
            return Err(not_yours(role_missing(&rights, "an admin, or the owner of every server it reaches")));
        }
        Needs::Reviewer if rights.are(Role::Auditor) => {}
        Needs::Reviewer => return Err(not_yours(role_missing(&rights, "an admin or an auditor"))),
        Needs::Answerable if rights.are(Role::Owner) => {}
        Needs::Answerable => return Err(not_yours(role_missing(&rights, "an admin or an owner"))),
        Needs::Approver if rights.are(Role::Approver) => {}
        Needs::Approver => return Err(not_yours(role_missing(&rights, "an approver"))),
        Needs::Admin => return Err(not_yours(role_missing(&rights, "an admin"))),
    }
    if let Act::Unblock { scope, .. } = act
        && let Some(marked) = revocations::find(&context.store, &scope.0).await?
    {
        lifts(&marked, by, &deployment)?;
    }
    match own_advantage(act, &rights, &deployment) {
        Some(why) => Err(not_yours(format!("{why}; nobody gives anything to themselves: let somebody else do it"))),
        None => Ok(()),
    }
}

fn not_yours(why: String) -> ActError {
    ActError::NotYours(why)
}

fn role_missing(rights: &Rights, who: &str) -> String {
    let roles: Vec<_> = rights.roles.iter().map(|role| role.as_str()).collect();
    if roles.is_empty() {
        return format!(
            "this takes {who}, and you have no role here: ask an admin for an entry in `[[operator.roles]]`"
        );
    }
    format!("this takes {who}, and you are {}: ask one of them", roles.join(" and "))
}

async fn needs(act: &Act, deployment: &Deployment, context: &OperatorContext) -> Result<Needs, ActError> {
    Ok(match act {
        Act::Grant { subject: GrantSubject::Client(_), .. } => Needs::Admin,
        Act::Grant { toolset, .. } | Act::Reveal { toolset, .. } => Needs::OwnerOf(servers_of(deployment, toolset)),
        Act::End { id, .. } => match toolset_of(id, deployment, &context.store).await? {
            Some(toolset) => Needs::OwnerOf(servers_of(deployment, &toolset)),
            None => Needs::OwnerOf(Vec::new()),
        },
        Act::Revoke { scope, .. } | Act::Block { scope, .. } | Act::Unblock { scope, .. } => match &scope.0 {
            Scope::Server(server) => Needs::OwnerOf(vec![server.clone()]),
            Scope::Tool(tool) => Needs::OwnerOf(vec![tool.server.clone()]),
            Scope::Deployment
            | Scope::Endpoint(_)
            | Scope::User(_)
            | Scope::Agent(_)
            | Scope::Client(_)
            | Scope::Credential(_)
            | Scope::Family(_)
            | Scope::ForeignSession(..)
            | Scope::ForeignToken(..) => Needs::Admin,
        },
        Act::Accept { tools } => Needs::OwnerOf(tools.iter().map(|accepted| accepted.tool.server.clone()).collect()),
        // Grants of an import are asked about one by one.
        Act::Token { .. } | Act::AccountLink { .. } | Act::Reload {} | Act::Import { .. } => Needs::Admin,
        Act::ListApprovals {} | Act::ShowApproval { .. } | Act::Decide { .. } => Needs::Approver,
        Act::ListAccess {} | Act::DecideAccess { .. } => Needs::Answerable,
        Act::ListGlass {} | Act::ReviewGlass { .. } => Needs::Reviewer,
    })
}

/// Whether a block is lifted by whoever may block the same: what an admin shut, an admin opens. Whoever set it is an admin or
/// an owner by the roles of now.
///
/// # Errors
/// [`ActError::NotYours`].
pub(super) fn lifts(marked: &Marked, by: &Actor, deployment: &Deployment) -> Result<(), ActError> {
    let rights = |actor: &Actor| deployment.roles.rights_of(actor);
    if !marked.mark.blocked || rights(by).are(Role::Admin) {
        return Ok(());
    }
    let set_by = Actor::parse(&marked.by).map(|by| rights(&by));
    let by_an_owner = set_by.is_some_and(|rights| rights.are(Role::Owner) && !rights.are(Role::Admin));
    let why =
        || not_yours("whoever set this block is not an owner alone, so no owner lifts it: ask an admin".to_owned());
    by_an_owner.then_some(()).ok_or_else(why)
}

/// The toolset of a grant or reveal, if there is one of this name. One that the configuration grants is ended there, which
/// whoever owns it is told.
pub(crate) async fn toolset_of(
    id: &GrantId,
    deployment: &Deployment,
    store: &Store,
) -> Result<Option<ToolsetSlug>, StoreError> {
    if let Some(grant) = deployment.grants.iter().find(|grant| grant.id == *id) {
        return Ok(Some(grant.toolset.clone()));
    }
    if let Some(record) = grants::find(store, id).await? {
        return Ok(Some(record.grant.toolset));
    }
    Ok(reveals::find(store, id).await?.map(|record| record.reveal.toolset))
}

/// What somebody would get out of an act of theirs, if they would.
fn own_advantage(act: &Act, rights: &Rights, deployment: &Deployment) -> Option<String> {
    let (holders, approved_by) = match act {
        Act::Grant { subject, approved_by, .. } => (vec![subject.clone()], approved_by),
        Act::Reveal { user, agent, approved_by, .. } => {
            let agent = agent.clone().map(GrantSubject::Agent);
            (std::iter::once(GrantSubject::User(user.clone())).chain(agent).collect(), approved_by)
        }
        // Whoever is blocked is not who ends it, whatever else they may.
        Act::Unblock { scope: ScopeText(Scope::User(user)), .. } => (vec![GrantSubject::User(user.clone())], &None),
        Act::Unblock { scope: ScopeText(Scope::Agent(agent)), .. } => (vec![GrantSubject::Agent(agent.clone())], &None),
        Act::Import { .. }
        | Act::End { .. }
        | Act::Revoke { .. }
        | Act::Block { .. }
        | Act::Unblock { .. }
        | Act::Token { .. }
        | Act::AccountLink { .. }
        | Act::Accept { .. }
        | Act::ListApprovals {}
        | Act::ShowApproval { .. }
        | Act::Decide { .. }
        // Whoever asked decides nothing of it, and that is asked in the same transaction.
        | Act::ListAccess {}
        | Act::DecideAccess { .. }
        | Act::ListGlass {}
        | Act::ReviewGlass { .. }
        | Act::Reload {} => return None,
    };
    let behind = |people: &BTreeSet<UserKey>| {
        people.iter().find_map(|person| holders.iter().find_map(|holder| stands_behind(holder, person, deployment)))
    };
    behind(&own_people(rights, deployment)).or_else(|| {
        // A name that is nobody's is a word like any other.
        let said_yes = UserKey::parse(approved_by.as_deref()?.trim()).ok()?;
        let known = Rights { persons: [said_yes.clone()].into(), ..Rights::default() };
        behind(&own_people(&known, deployment)).map(|_| format!("`{said_yes}` would have approved what it gets"))
    })
}

/// Everybody who is known to be the one who acts: the person records behind them, and the accounts of the same address.
pub(super) fn own_people(rights: &Rights, deployment: &Deployment) -> BTreeSet<UserKey> {
    let known: Vec<_> = rights.persons.iter().map(|person| people::party(deployment, person)).collect();
    let mut own = rights.persons.clone();
    for (name, account) in &deployment.accounts {
        let user = UserKey { issuer: IssuerName::local(), subject: name.clone() };
        if known.iter().any(|party| party.is(&user, account.email.as_deref())) {
            own.insert(user);
        }
    }
    own
}

/// How a person is one of those a grant is for, if they are. Members of a group that another issuer names, and carriers of a
/// claim, are known only from their tokens: for those it cannot be said here.
fn stands_behind(holder: &GrantSubject, person: &UserKey, deployment: &Deployment) -> Option<String> {
    match holder {
        GrantSubject::User(user) if user == person => Some(format!("you are {person}")),
        GrantSubject::Group(group) if is_member(person, group, deployment) => {
            Some(format!("you are {person}, a member of group {group}"))
        }
        GrantSubject::Agent(agent) if is_owner(person, agent, deployment) => {
            Some(format!("you are {person}, the owner of agent {agent}"))
        }
        GrantSubject::User(_)
        | GrantSubject::Group(_)
        | GrantSubject::Agent(_)
        | GrantSubject::Client(_)
        | GrantSubject::Claim(_) => None,
    }
}

fn is_member(person: &UserKey, group: &GroupName, deployment: &Deployment) -> bool {
    person.issuer == IssuerName::local()
        && deployment.accounts.get(&person.subject).is_some_and(|account| account.groups.contains(group))
}

fn is_owner(person: &UserKey, agent: &AgentId, deployment: &Deployment) -> bool {
    deployment.agents.get(agent).is_some_and(|agent| agent.owner == *person)
}

#[cfg(test)]
mod tests;
