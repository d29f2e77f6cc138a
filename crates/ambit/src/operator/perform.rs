//! Performs one act: check it, write it, record it, commit it, wait until requests see it.
//!
//! The record is durable before the commit, so that nothing counts that is not written down; a commit that fails afterwards
//! is recorded as well.

use ambit_identity::mint::{self, MintError, OperatorRequest};
use ambit_live::recorder::{Deed, RecordError};
use ambit_model::{Digest, ids::InvalidId, operator::Actor};
use ambit_store::{StoreError, Tx, acceptances, accounts};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{
    access,
    act::{AcceptedTool, Act, Done, MAX_ACCEPTED},
    approve,
    context::OperatorContext,
    entitle, glass, import, mark, rights,
};
use crate::config::quantity::instant_text;

/// How long a link to set a password can be used.
const LINK_LIFE_MS: i64 = 24 * 3_600_000;

/// Why an act was not performed.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The deployment does not allow it, or it names something that is not there.
    #[error("{0}")]
    Refused(String),
    /// What it names is not there, or not any more.
    #[error("{0}")]
    Absent(String),
    /// Configuration declares it, and only there it is changed.
    #[error("{0}")]
    Declared(String),
    /// It is not theirs to do. Recorded.
    #[error("not done: {0}")]
    NotYours(String),
    /// The store did not take it.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// It could not be written down, so it does not count.
    #[error("the act could not be recorded, so it was not performed: {0}")]
    Record(#[from] RecordError),
    /// It was performed, but this server does not show it yet.
    #[error("the act was performed (revision {0}), but this server does not show it yet: look at its log")]
    NotPublished(u64),
}

impl From<InvalidId> for ActError {
    fn from(error: InvalidId) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<MintError> for ActError {
    fn from(error: MintError) -> Self {
        Self::Refused(error.to_string())
    }
}

/// What is written down of an act.
pub(super) struct Entry<'a> {
    pub(super) act: &'static str,
    pub(super) subject: &'a str,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
    pub(super) reason: Option<&'a str>,
}

/// Performs an act of somebody.
///
/// # Errors
/// [`ActError`].
pub async fn perform(act: Act, by: &Actor, context: &OperatorContext) -> Result<Done, ActError> {
    if let Err(error) = rights::check(&act, by, context).await {
        if let ActError::NotYours(why) = &error {
            let subject = act.subject();
            let after = Some(json!({ "asked": act.word() }));
            let entry = Entry { act: "operator.refused", subject: &subject, before: None, after, reason: Some(why) };
            record(&entry, by, context).await?;
        }
        return Err(error);
    }
    match act {
        Act::Grant { subject, toolset, reason, ticket, approved_by, starts_at, expires_at, constraints } => {
            let wish = entitle::GrantWish {
                subject,
                toolset,
                reason,
                ticket,
                approved_by,
                starts_at,
                expires_at,
                constraints,
            };
            entitle::grant(wish, by, context).await
        }
        Act::Import { grants } => import::import(&grants, by, context).await,
        Act::Reveal { user, client, agent, toolset, reason, approved_by, life_ms } => {
            let wish = entitle::RevealWish { user, client, agent, toolset, reason, approved_by, life_ms };
            entitle::reveal(wish, by, context).await
        }
        Act::End { id, reason } => entitle::end(&id, &reason, by, context).await,
        Act::Revoke { scope, reason } => mark::revoke(&scope.0, &reason, by, context).await,
        Act::Block { scope, reason } => mark::block(&scope.0, &reason, by, context).await,
        Act::Unblock { scope, reason } => mark::unblock(&scope.0, &reason, by, context).await,
        Act::Token { user, agent, endpoint, toolsets, life_ms } => {
            let Actor::OsUser(operator) = by else {
                return Err(ActError::Refused(
                    "a token is minted on the machine alone: use `ambit token` there".into(),
                ));
            };
            let operator = operator.clone();
            let toolsets = toolsets.map(|all| all.into_iter().collect());
            token(OperatorRequest { operator, user, agent, toolsets, life_ms }, &endpoint, by, context).await
        }
        Act::AccountLink { account } => account_link(&account, by, context).await,
        Act::Accept { tools } => accept(&tools, by, context).await,
        Act::ListApprovals {} => approve::list(by, context).await,
        Act::ShowApproval { id } => approve::show(&id, by, context).await,
        Act::Decide { id, says, reason } => approve::decide((&id, says, reason.as_deref()), by, context).await,
        Act::ListAccess {} => access::list(by, context).await,
        Act::DecideAccess { id, says, reason } => access::decide((&id, says, reason.as_deref()), by, context).await,
        Act::ListGlass {} => glass::list(context).await,
        Act::ReviewGlass { id, says } => glass::review((&id, &says), by, context).await,
        Act::Reload {} => {
            context.reload().await.map_err(ActError::Refused)?;
            Ok(Done { sentence: "configuration and lock file were read again".to_owned(), result: json!({}) })
        }
    }
}

/// Records an act durably, commits what it changed, and waits until requests see it.
pub(super) async fn settle(
    tx: Tx,
    entry: Entry<'_>,
    by: &Actor,
    context: &OperatorContext,
) -> Result<Option<u64>, ActError> {
    record(&entry, by, context).await?;
    let revision = match tx.commit().await {
        Ok(revision) => revision,
        Err(error) => {
            let failed = json!({ "failed": error.to_string() });
            record(&Entry { before: None, after: Some(failed), ..entry }, by, context).await?;
            return Err(error.into());
        }
    };
    match revision {
        Some(revision) if !context.published(revision).await => Err(ActError::NotPublished(revision)),
        other => Ok(other),
    }
}

pub(super) async fn record(entry: &Entry<'_>, by: &Actor, context: &OperatorContext) -> Result<(), ActError> {
    let by = by.to_string();
    let deed = Deed {
        by: &by,
        act: entry.act,
        subject: entry.subject,
        before: entry.before.clone(),
        after: entry.after.clone(),
        reason: entry.reason,
    };
    Ok(context.recorder.act(deed).await?)
}

async fn token(
    request: OperatorRequest,
    endpoint: &str,
    by: &Actor,
    context: &OperatorContext,
) -> Result<Done, ActError> {
    let deployment = context.deployment();
    let Some(endpoint) = deployment.endpoints.iter().find(|own| own.path == endpoint) else {
        let paths: Vec<_> = deployment.endpoints.iter().map(|own| format!("`{}`", own.path)).collect();
        let there = if paths.is_empty() { "there is none".to_owned() } else { format!("use {}", paths.join(", ")) };
        return Err(ActError::Refused(format!("there is no endpoint at `{endpoint}`: {there}")));
    };
    let subject = request.user.to_string();
    let agent = request.agent.clone();
    let minted = mint::mint_for_operator(&context.signing, &deployment, endpoint, request, context.clock.now())?;
    let after = json!({
        "token": minted.record,
        "endpoint": endpoint.slug,
        "agent": agent,
        "scope": minted.scope,
        "expires_in": minted.expires_in,
    });
    let entry = Entry { act: "mint", subject: &subject, before: None, after: Some(after), reason: None };
    record(&entry, by, context).await?;
    Ok(Done {
        sentence: minted.token.clone(),
        result: json!({
            "access_token": minted.token,
            "token_type": "Bearer",
            "expires_in": minted.expires_in,
            "scope": minted.scope,
            "resource": endpoint.resource,
        }),
    })
}

async fn account_link(
    account: &ambit_model::ids::Subject,
    by: &Actor,
    context: &OperatorContext,
) -> Result<Done, ActError> {
    let deployment = context.deployment();
    if !deployment.accounts.contains_key(account) {
        return Err(ActError::Refused(format!(
            "`{account}` is no declared account: add `[accounts.{account}]` and reload"
        )));
    }
    let secret: [u8; 32] = context.keys.random().map_err(|error| ActError::Refused(error.to_string()))?;
    let link = URL_SAFE_NO_PAD.encode(secret);
    let now = context.clock.now();
    let expires_at = now + LINK_LIFE_MS;
    let mut tx = context.store.begin().await?;
    accounts::create(&mut tx, account, None, now).await?;
    accounts::insert_link(&mut tx, &Digest::of(link.as_bytes()), account, expires_at).await?;
    let subject = format!("account {account}");
    let after = json!({ "expires_at": expires_at });
    let entry = Entry { act: "account.link", subject: &subject, before: None, after: Some(after), reason: None };
    settle(tx, entry, by, context).await?;
    let url = format!("{}/setup/{link}", deployment.public_url);
    Ok(Done {
        sentence: format!("{account} sets a password once, until {}, at:\n{url}", instant_text(expires_at)),
        result: json!({ "account": account, "url": url, "expires_at": instant_text(expires_at) }),
    })
}

async fn accept(tools: &[AcceptedTool], by: &Actor, context: &OperatorContext) -> Result<Done, ActError> {
    if tools.is_empty() || tools.len() > MAX_ACCEPTED {
        return Err(ActError::Refused(format!("accept between 1 and {MAX_ACCEPTED} tools at once")));
    }
    let mut tx = context.store.begin().await?;
    keep_definitions(&mut tx, tools, context).await?;
    let list = |digest: fn(&AcceptedTool) -> Value| {
        Value::Object(tools.iter().map(|tool| (tool.tool.to_string(), digest(tool))).collect())
    };
    let subject = match tools {
        [one] => format!("tool {}", one.tool),
        several => format!("{} tools", several.len()),
    };
    let entry = Entry {
        act: "tools.accept",
        subject: &subject,
        before: Some(list(|tool| json!(tool.before))),
        after: Some(list(|tool| json!({ "digest": tool.after, "effect": tool.effect }))),
        reason: None,
    };
    settle(tx, entry, by, context).await?;
    Ok(Done { sentence: format!("recorded: {subject} accepted"), result: json!({ "accepted": tools.len() }) })
}

/// Keeps what was accepted, so that a later change can be shown.
async fn keep_definitions(tx: &mut Tx, tools: &[AcceptedTool], context: &OperatorContext) -> Result<(), ActError> {
    let servers = context.seen().await;
    for accepted in tools {
        let server = servers.iter().find(|server| server.slug == accepted.tool.server);
        let seen = server.and_then(|server| server.tools.get(&accepted.tool.tool));
        if let Some(seen) = seen.filter(|seen| seen.digest == accepted.after)
            && let Ok(definition) = serde_json::to_string(&seen.definition)
        {
            let now = context.clock.now();
            acceptances::keep_definition(tx, &accepted.tool, &seen.digest, &definition, now).await?;
        }
    }
    Ok(())
}
