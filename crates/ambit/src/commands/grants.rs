//! `ambit grants`: who holds what, until when, and where it was said. It reads and changes nothing.

use ambit_model::{
    constraints::Constraints,
    grant::{Grant, GrantOrigin, Reveal},
    ids::{AgentId, ClientId, GroupName, IssuerName, Millis, ToolsetSlug, UserKey},
};
use ambit_store::{
    grants::{self, GrantFilter, GrantRecord},
    reveals::{self, RevealFilter, RevealRecord},
};
use clap::Args;
use serde::Serialize;

use super::{Context, DONE, Ended, Failure, grant::Holder, render, view};
use crate::config::{ENDS_SOON_MS, quantity::instant_text};

/// List grants and reveals: who, what, until when, and where it was said.
#[derive(Args, Debug)]
#[command(after_help = "Example: ambit grants --group analysts --json")]
pub struct Grants {
    /// Only of this user.
    #[arg(long, value_parser = UserKey::parse)]
    user: Option<UserKey>,
    /// Only of this group.
    #[arg(long)]
    group: Option<GroupName>,
    /// Only of this agent.
    #[arg(long)]
    agent: Option<AgentId>,
    /// Only of this client software.
    #[arg(long)]
    client: Option<ClientId>,
    /// Only of this claim.
    #[arg(long, value_name = "CLAIM=VALUE")]
    claim: Option<String>,
    /// The issuer that vouches for the claim.
    #[arg(long, requires = "claim")]
    issuer: Option<IssuerName>,
    /// Only of this toolset.
    #[arg(long)]
    toolset: Option<ToolsetSlug>,
    /// Also what is over.
    #[arg(long)]
    all: bool,
}

/// Whether it counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Live,
    /// Live, and over within 14 days.
    EndsSoon,
    /// Its start is to come.
    Ahead,
    Expired,
    /// Somebody ended it.
    Ended,
}

/// One line of the listing.
#[derive(Debug, Serialize)]
struct Line {
    id: String,
    kind: &'static str,
    holder: String,
    toolset: ToolsetSlug,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    starts: Option<String>,
    expires: String,
    origin: &'static str,
    reason: String,
    #[serde(skip_serializing_if = "Constraints::is_none")]
    constraints: Constraints,
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approved_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_by: Option<String>,
    #[serde(skip)]
    expires_at: Millis,
}

impl Grants {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Ended {
        let resolved = context.resolved()?;
        let now = context.clock.now();
        let Self { user, group, agent, client, claim, issuer, toolset, all } = self;
        let subject = Holder { user, group, agent, client, claim, issuer }.subject(&resolved.deployment)?;
        let live_at = (!all).then_some(now);
        let declared = resolved.deployment.grants.iter().filter(|grant| {
            subject.as_ref().is_none_or(|subject| grant.subject == *subject)
                && toolset.as_ref().is_none_or(|toolset| grant.toolset == *toolset)
                && live_at.is_none_or(|now| grant.expires_at > now)
        });
        let mut lines: Vec<Line> = declared.map(|grant| Line::of_grant(grant, None, now)).collect();
        if let Some(store) = view::store_if_any(&resolved).await? {
            let filter = GrantFilter { subject: subject.clone(), toolset: toolset.clone(), live_at };
            let stored = grants::list(&store, &filter).await.map_err(Failure::because)?;
            lines.extend(stored.iter().map(|record| Line::of_grant(&record.grant, Some(record), now)));
            let revealed = reveals::list(&store, &RevealFilter { live_at, ..RevealFilter::default() }).await;
            let wanted = |record: &&RevealRecord| {
                let reveal = &record.reveal;
                subject.as_ref().is_none_or(|subject| subject.is_named_by(reveal))
                    && toolset.as_ref().is_none_or(|toolset| reveal.toolset == *toolset)
            };
            let revealed = revealed.map_err(Failure::because)?;
            lines.extend(revealed.iter().filter(wanted).map(|record| Line::of_reveal(record, now)));
            store.close().await;
        }
        lines.sort_by(|a, b| (a.expires_at, &a.id).cmp(&(b.expires_at, &b.id)));
        let text = in_words(&lines);
        context.print(&lines, &text)?;
        Ok(DONE)
    }
}

impl Line {
    fn of_grant(grant: &Grant, record: Option<&GrantRecord>, now: Millis) -> Self {
        let ended = record.and_then(|record| record.ended.as_ref());
        Self {
            id: grant.id.to_string(),
            kind: "grant",
            holder: grant.subject.to_string(),
            toolset: grant.toolset.clone(),
            state: state((grant.starts_at, grant.expires_at), ended.is_some(), now),
            // What configuration declares without a start counts from the beginning of time.
            starts: (grant.starts_at > 0).then(|| instant_text(grant.starts_at)),
            expires: instant_text(grant.expires_at),
            origin: grant.origin.as_str(),
            reason: grant.reason.clone(),
            constraints: grant.constraints.clone(),
            ticket: grant.ticket.clone(),
            approved_by: grant.approved_by.clone(),
            created_by: record.map(|record| record.created_by.clone()),
            ended_by: ended.map(|(by, _)| by.clone()),
            expires_at: grant.expires_at,
        }
    }

    fn of_reveal(record: &RevealRecord, now: Millis) -> Self {
        let reveal = &record.reveal;
        Self {
            id: reveal.id.to_string(),
            kind: "reveal",
            holder: reveal_holder(reveal),
            toolset: reveal.toolset.clone(),
            state: match state((reveal.starts_at, reveal.expires_at), record.ended.is_some(), now) {
                // Every reveal ends soon.
                State::EndsSoon => State::Live,
                other => other,
            },
            starts: Some(instant_text(reveal.starts_at)),
            expires: instant_text(reveal.expires_at),
            origin: GrantOrigin::Operator.as_str(),
            reason: reveal.reason.clone(),
            constraints: Constraints::default(),
            ticket: None,
            approved_by: reveal.approved_by.clone(),
            created_by: Some(record.created_by.clone()),
            ended_by: record.ended.as_ref().map(|(by, _)| by.clone()),
            expires_at: reveal.expires_at,
        }
    }
}

fn reveal_holder(reveal: &Reveal) -> String {
    let through = reveal.agent.as_ref().map_or(String::new(), |agent| format!(" through agent {agent}"));
    format!("user {} in client {}{through}", reveal.user, reveal.client)
}

fn state((starts_at, expires_at): (Millis, Millis), is_ended: bool, now: Millis) -> State {
    if is_ended {
        State::Ended
    } else if now >= expires_at {
        State::Expired
    } else if now < starts_at {
        State::Ahead
    } else if expires_at - now <= ENDS_SOON_MS {
        State::EndsSoon
    } else {
        State::Live
    }
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::EndsSoon => "ends soon",
            Self::Ahead => "ahead",
            Self::Expired => "expired",
            Self::Ended => "ended",
        }
    }
}

fn in_words(lines: &[Line]) -> String {
    if lines.is_empty() {
        return "nobody holds anything of that: `ambit grant` grants, `--all` lists what is over".to_owned();
    }
    let rows: Vec<_> = lines
        .iter()
        .map(|line| {
            [
                line.holder.clone(),
                format!("{}{}", line.toolset, if line.constraints.is_none() { "" } else { " (constrained)" }),
                line.state.as_str().to_owned(),
                line.expires.clone(),
                line.origin.to_owned(),
                line.ticket.clone().unwrap_or_default(),
                line.id.clone(),
            ]
        })
        .collect();
    let what = render::counted(lines.len(), "grant");
    format!("{}\n{what}", render::table(["HOLDER", "TOOLSET", "STATE", "UNTIL", "ORIGIN", "TICKET", "ID"], &rows))
}
