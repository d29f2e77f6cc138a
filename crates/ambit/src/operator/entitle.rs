//! Grants and reveals made by operators, and their early end.

use ambit_live::deployment::Deployment;
use ambit_model::{
    claim::ClaimMatch,
    constraints::{Constraints, ToolPattern},
    grant::{DEFAULT_GRANT_MS, Grant, GrantOrigin, GrantSubject, MAX_REVEAL_MS, Reveal},
    ids::{AgentId, ClientId, GrantId, IssuerName, Millis, ToolsetSlug, UserKey},
    operator::Actor,
    shown::is_a_line,
    toolset::Toolset,
};
use ambit_policy::constraint::Constraint;
use ambit_store::{grants, reveals};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use super::{
    act::Done,
    context::OperatorContext,
    perform::{ActError, Entry, settle},
};
use crate::config::quantity::instant_text;

/// What a grant shall be.
pub(super) struct GrantWish {
    pub(super) subject: GrantSubject,
    pub(super) toolset: ToolsetSlug,
    pub(super) reason: String,
    pub(super) ticket: Option<String>,
    pub(super) approved_by: Option<String>,
    pub(super) starts_at: Option<Millis>,
    pub(super) expires_at: Option<Millis>,
    pub(super) constraints: Constraints,
}

/// What a reveal shall be.
pub(super) struct RevealWish {
    pub(super) user: UserKey,
    pub(super) client: ClientId,
    pub(super) agent: Option<AgentId>,
    pub(super) toolset: ToolsetSlug,
    pub(super) reason: String,
    pub(super) approved_by: Option<String>,
    pub(super) life_ms: Millis,
}

pub(super) async fn grant(wish: GrantWish, by: &Actor, context: &OperatorContext) -> Result<Done, ActError> {
    let (grant, advice) = planned(wish, GrantOrigin::Operator, context)?;
    let now = context.clock.now();
    let mut tx = context.store.begin().await?;
    grants::insert(&mut tx, &grant, &by.to_string(), now).await?;
    let subject = grant.subject.to_string();
    let entry = Entry {
        act: "grant.create",
        subject: &subject,
        before: None,
        after: Some(json!(grant)),
        reason: Some(&grant.reason),
    };
    let revision = settle(tx, entry, by, context).await?;
    Ok(Done {
        sentence: format!(
            "{subject} {} toolset {} until {} ({}){advice}",
            match grant.subject {
                GrantSubject::Client(_) => "may carry",
                GrantSubject::User(_) | GrantSubject::Group(_) | GrantSubject::Agent(_) | GrantSubject::Claim(_) =>
                    "holds",
            },
            grant.toolset,
            instant_text(grant.expires_at),
            grant.id
        ),
        result: json!({
            "id": grant.id,
            "kind": "grant",
            "subject": subject,
            "toolset": grant.toolset,
            "starts_at": instant_text(grant.starts_at),
            "expires_at": instant_text(grant.expires_at),
            "ticket": grant.ticket,
            "revision": revision,
        }),
    })
}

/// The grant of a wish, if everything it names is there and it lives as long as grants may; and what its author should know.
pub(super) fn planned(
    wish: GrantWish,
    origin: GrantOrigin,
    context: &OperatorContext,
) -> Result<(Grant, String), ActError> {
    let deployment = context.deployment();
    known_toolset(&deployment, &wish.toolset)?;
    match &wish.subject {
        GrantSubject::User(user) => known_user(&deployment, user)?,
        GrantSubject::Agent(agent) => known_agent(&deployment, agent)?,
        GrantSubject::Claim(claim) => known_claim(&deployment, claim)?,
        // A group is a word of the configuration's mappings, and a client may come tomorrow: either may be nobody yet.
        GrantSubject::Group(_) | GrantSubject::Client(_) => {}
    }
    with_reason(&wish.reason)?;
    if let Some(ticket) = &wish.ticket {
        is_a_line(ticket, 200)
            .then_some(())
            .ok_or_else(|| ActError::Refused("write the ticket on one line of 200 characters".into()))?;
    }
    with_approver(wish.approved_by.as_deref())?;
    let advice = meaningful(&wish.constraints, deployment.toolsets.get(&wish.toolset))?;
    let now = context.clock.now();
    let starts_at = wish.starts_at.unwrap_or(now);
    let expires_at = wish.expires_at.unwrap_or_else(|| starts_at.saturating_add(DEFAULT_GRANT_MS));
    if expires_at <= starts_at || expires_at <= now {
        return Err(ActError::Refused(
            "the grant would end before it begins: give a later `--until`, or `--for`".into(),
        ));
    }
    let grant = Grant {
        id: fresh_id("grant", context)?,
        subject: wish.subject,
        toolset: wish.toolset,
        reason: wish.reason,
        ticket: wish.ticket,
        approved_by: wish.approved_by,
        starts_at,
        expires_at,
        origin,
        constraints: wish.constraints,
    };
    let grant = grant.checked().map_err(|error| {
        ActError::Refused(format!("{error}: give an earlier `--until`, or a shorter `--for`, and renew it in time"))
    })?;
    Ok((grant, advice))
}

pub(super) async fn reveal(wish: RevealWish, by: &Actor, context: &OperatorContext) -> Result<Done, ActError> {
    let deployment = context.deployment();
    known_toolset(&deployment, &wish.toolset)?;
    known_user(&deployment, &wish.user)?;
    if let Some(agent) = &wish.agent {
        known_agent(&deployment, agent)?;
    }
    with_reason(&wish.reason)?;
    with_approver(wish.approved_by.as_deref())?;
    let now = context.clock.now();
    let reveal = Reveal {
        id: fresh_id("reveal", context)?,
        user: wish.user,
        client: wish.client,
        agent: wish.agent,
        toolset: wish.toolset,
        reason: wish.reason,
        approved_by: wish.approved_by,
        starts_at: now,
        expires_at: now.saturating_add(wish.life_ms.min(MAX_REVEAL_MS + 1)),
    };
    let reveal = reveal.checked().map_err(|error| ActError::Refused(format!("{error}: shorten `--for`")))?;
    let mut tx = context.store.begin().await?;
    reveals::insert(&mut tx, &reveal, &by.to_string(), now).await?;
    let subject = format!("user {}", reveal.user);
    let entry = Entry {
        act: "reveal.create",
        subject: &subject,
        before: None,
        after: Some(json!(reveal)),
        reason: Some(&reveal.reason),
    };
    let revision = settle(tx, entry, by, context).await?;
    Ok(Done {
        sentence: format!(
            "{subject} sees the destructive tools of toolset {} in client {} until {} ({})",
            reveal.toolset,
            reveal.client,
            instant_text(reveal.expires_at),
            reveal.id
        ),
        result: json!({
            "id": reveal.id,
            "kind": "reveal",
            "user": reveal.user.to_string(),
            "client": reveal.client,
            "agent": reveal.agent,
            "toolset": reveal.toolset,
            "starts_at": instant_text(reveal.starts_at),
            "expires_at": instant_text(reveal.expires_at),
            "revision": revision,
        }),
    })
}

/// Ends a grant or reveal. One of the configuration is ended there.
pub(super) async fn end(id: &GrantId, reason: &str, by: &Actor, context: &OperatorContext) -> Result<Done, ActError> {
    with_reason(reason)?;
    if id.as_str().starts_with("config:") {
        return Err(ActError::Declared(format!("`{id}` stands in the configuration: remove it there and reload")));
    }
    let now = context.clock.now();
    let mut tx = context.store.begin().await?;
    let (act, before) = if grants::end(&mut tx, id, &by.to_string(), now).await? {
        ("grant.end", grants::find(&mut tx, id).await?.map(|record| json!(record.grant)))
    } else if reveals::end(&mut tx, id, &by.to_string(), now).await? {
        ("reveal.end", reveals::find(&mut tx, id).await?.map(|record| json!(record.reveal)))
    } else {
        return Err(ActError::Absent(format!("there is no grant or reveal `{id}`, or it was ended before")));
    };
    let subject = format!("grant {id}");
    let after = Some(json!({ "ended_at": now }));
    let entry = Entry { act, subject: &subject, before, after, reason: Some(reason) };
    let revision = settle(tx, entry, by, context).await?;
    Ok(Done { sentence: format!("{id} is ended"), result: json!({ "id": id, "ended": true, "revision": revision }) })
}

pub(super) fn known_user(deployment: &Deployment, user: &UserKey) -> Result<(), ActError> {
    let known = if user.issuer == IssuerName::local() {
        deployment.accounts.contains_key(&user.subject)
    } else {
        deployment.issuers.contains_key(&user.issuer)
    };
    if known {
        return Ok(());
    }
    Err(ActError::Refused(format!(
        "user `{user}` is neither a declared account nor of a declared issuer: write an account's name, or `issuer:subject`"
    )))
}

pub(super) fn known_agent(deployment: &Deployment, agent: &AgentId) -> Result<(), ActError> {
    if deployment.agents.contains_key(agent) {
        return Ok(());
    }
    Err(ActError::Refused(format!("agent `{agent}` is not declared: add `[agents.{agent}]` and reload")))
}

/// Whether every constraint can be understood and is about some tool of the toolset; and what their author should know.
fn meaningful(constraints: &Constraints, toolset: Option<&Toolset>) -> Result<String, ActError> {
    constraints.check().map_err(|error| ActError::Refused(error.to_string()))?;
    let mut advice = String::new();
    for (pattern, fragment) in constraints.iter() {
        let selectors = toolset.into_iter().flat_map(|toolset| toolset.tools.iter().cloned());
        if !selectors.map(ToolPattern::Of).any(|selected| selected.overlaps(pattern)) {
            return Err(ActError::Refused(format!("`{pattern}` names no tool of the toolset: correct it")));
        }
        let constraint = Constraint::parse(fragment)
            .map_err(|error| ActError::Refused(format!("the constraint of `{pattern}` cannot be used: {error}")))?;
        for line in constraint.advice() {
            advice.push_str("\nnote: ");
            advice.push_str(line);
        }
    }
    Ok(advice)
}

/// A claim counts only where the issuer's rules let policies read it.
fn known_claim(deployment: &Deployment, claim: &ClaimMatch) -> Result<(), ActError> {
    let (issuer, name) = (claim.issuer(), claim.name());
    match deployment.issuers.get(issuer) {
        Some(rules) if rules.claims.contains(name) => Ok(()),
        Some(_) => Err(ActError::Refused(format!(
            "claim `{name}` of issuer `{issuer}` is not read: add it to `issuers.{issuer}.claims` and reload"
        ))),
        None => {
            Err(ActError::Refused(format!("issuer `{issuer}` is not declared: add `[issuers.{issuer}]` and reload")))
        }
    }
}

fn known_toolset(deployment: &Deployment, toolset: &ToolsetSlug) -> Result<(), ActError> {
    if deployment.toolsets.contains_key(toolset) {
        return Ok(());
    }
    let known: Vec<_> = deployment.toolsets.keys().map(|slug| format!("`{slug}`")).collect();
    let there =
        if known.is_empty() { "none is declared".to_owned() } else { format!("there are {}", known.join(", ")) };
    Err(ActError::Refused(format!("toolset `{toolset}` is not declared: {there}")))
}

pub(super) fn with_reason(reason: &str) -> Result<(), ActError> {
    is_a_line(reason, 1000)
        .then_some(())
        .ok_or_else(|| ActError::Refused("give a reason of 1 to 1000 characters on one line: `--reason`".into()))
}

fn with_approver(approved_by: Option<&str>) -> Result<(), ActError> {
    let fits = approved_by.is_none_or(|who| is_a_line(who, 200));
    fits.then_some(()).ok_or_else(|| ActError::Refused("write who approved it on one line of 200 characters".into()))
}

fn fresh_id(kind: &str, context: &OperatorContext) -> Result<GrantId, ActError> {
    let random: [u8; 12] = context.keys.random().map_err(|error| ActError::Refused(error.to_string()))?;
    Ok(GrantId::parse(&format!("{kind}:{}", URL_SAFE_NO_PAD.encode(random)))?)
}
