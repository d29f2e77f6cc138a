//! Who may say yes to a request now: named by the server's owner, a person who may act, not the one who asks, not the same
//! person under another name, and for production not the agent's owner.
//!
//! Unknown, absent and disabled people may nothing. An empty set of approvers approves nothing.

use ambit_live::{
    Snapshot,
    deployment::{Account, Deployment},
};
use ambit_model::{
    approval::{Approval, ApproverRule, Party},
    caller::{CallerFacts, UserFacts},
    ids::{AgentId, IssuerName, Millis, UserKey},
    operator::Actor,
    server::Server,
};
use ambit_store::{Source, StoreError, accounts};
use serde_json::Value;

use crate::server::{person, session};

/// The account behind a local user.
fn account<'a>(deployment: &'a Deployment, user: &UserKey) -> Option<&'a Account> {
    deployment.accounts.get(&user.subject).filter(|_| user.issuer == IssuerName::local())
}

/// A user with the address that is known of them.
pub fn party(deployment: &Deployment, user: &UserKey) -> Party {
    let email = account(deployment, user).and_then(|account| account.email.clone());
    Party { user: user.clone(), email }
}

/// Who may not say yes to a call of this caller, whoever names them.
pub fn excluded(deployment: &Deployment, server: &Server, caller: &CallerFacts) -> Vec<Party> {
    let mut parties = askers(deployment, caller);
    parties.extend(agent_owner(deployment, server, caller.agent().map(|agent| &agent.id)));
    parties
}

/// The people who ask for what this caller asks for, and so decide none of it.
pub(crate) fn askers(deployment: &Deployment, caller: &CallerFacts) -> Vec<Party> {
    let mut parties = Vec::new();
    if let Some(user) = caller.user() {
        let mut requester = party(deployment, &user.key);
        if requester.email.is_none() {
            requester.email = user.claims.get("email").and_then(Value::as_str).map(ToOwned::to_owned);
        }
        parties.push(requester);
    }
    // Whoever put a token together for somebody else asks as well.
    let operator = caller.operator.as_deref().and_then(Actor::parse);
    let behind = operator.map(|operator| deployment.roles.rights_of(&operator)).unwrap_or_default();
    parties.extend(behind.persons.iter().map(|person| party(deployment, person)));
    parties
}

fn agent_owner(deployment: &Deployment, server: &Server, agent: Option<&AgentId>) -> Option<Party> {
    let agent = agent.filter(|_| server.governance.is_production())?;
    deployment.agents.get(agent).map(|agent| party(deployment, &agent.owner))
}

/// Who may not say yes to a request, as it was when it was made and as it is now.
fn excluded_of(deployment: &Deployment, server: &Server, approval: &Approval) -> Vec<Party> {
    let mut parties = approval.told.excluded.clone();
    parties.extend(approval.user.as_ref().map(|user| party(deployment, user)));
    parties.extend(agent_owner(deployment, server, approval.agent.as_ref()));
    parties
}

/// The rule of a server, with the number of people it takes: never fewer than when the request was made.
pub fn rule_for<'a>(snapshot: &'a Snapshot, approval: &Approval) -> Option<(&'a ApproverRule, u32)> {
    let rule = &snapshot.deployment.servers.get(&approval.server)?.approvals.rule;
    Some((rule, rule.needed.max(approval.needed)))
}

/// The person, if they may say yes to this request at this moment, and nothing they proved `since` was revoked.
///
/// # Errors
/// [`StoreError`].
pub async fn eligible(
    source: impl Source,
    snapshot: &Snapshot,
    approval: &Approval,
    user: &UserKey,
    since: Millis,
) -> Result<Option<Party>, StoreError> {
    let deployment = &snapshot.deployment;
    let Some(server) = deployment.servers.get(&approval.server) else { return Ok(None) };
    let person = party(deployment, user);
    let admitted = person::declared(snapshot, user).is_some_and(|facts| {
        let excluded = excluded_of(deployment, server, approval);
        server.approvals.rule.admits(&facts, person.email.as_deref(), &excluded)
    });
    if !admitted || session::is_dead(snapshot, user, since) {
        return Ok(None);
    }
    Ok(person::standing(source, snapshot, user).await?.map(|_| person))
}

/// Everybody who may say yes to a call on this server now, each person once.
///
/// # Errors
/// [`StoreError`].
pub async fn all_eligible(
    source: impl Source,
    snapshot: &Snapshot,
    server: &Server,
    excluded: &[Party],
    now_ms: Millis,
) -> Result<Vec<Party>, StoreError> {
    let rule = &server.approvals.rule;
    if rule.approvers.is_empty() {
        return Ok(Vec::new());
    }
    everybody(source, snapshot, now_ms, |facts, email| rule.admits(facts, email, excluded)).await
}

/// Every person that something admits and who may act now, each once.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn everybody(
    source: impl Source,
    snapshot: &Snapshot,
    now_ms: Millis,
    admits: impl Fn(&UserFacts, Option<&str>) -> bool,
) -> Result<Vec<Party>, StoreError> {
    let known = accounts::list(source).await?;
    let able = |facts: &UserFacts| {
        known.iter().any(|account| account.name == facts.key.subject && crate::server::may_log_in(account))
            && !session::is_dead(snapshot, &facts.key, now_ms)
    };
    Ok(named(snapshot, |facts, email| able(facts) && admits(facts, email)))
}

/// Every person of the configuration that something admits, each once, whether or not they may act now.
pub fn named(snapshot: &Snapshot, admits: impl Fn(&UserFacts, Option<&str>) -> bool) -> Vec<Party> {
    let mut people: Vec<Party> = Vec::new();
    for (name, account) in &snapshot.deployment.accounts {
        let user = UserKey { issuer: IssuerName::local(), subject: name.clone() };
        let Some(facts) = person::declared(snapshot, &user) else { continue };
        let twice = people.iter().any(|other| other.is(&user, account.email.as_deref()));
        if !twice && admits(&facts, account.email.as_deref()) {
            people.push(Party { user, email: account.email.clone() });
        }
    }
    people
}

/// What people call a person.
pub fn name(snapshot: &Snapshot, user: &UserKey) -> String {
    person::display_name(snapshot, user)
}
