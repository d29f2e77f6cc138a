//! Who holds what, until when, and where it was said: grants of the configuration, grants of the store, and reveals, in one
//! list. What `ambit grants` and the admin API show. It reads and changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use ambit_live::deployment::Deployment;
use ambit_model::{
    constraints::Constraints,
    grant::{Grant, GrantOrigin, GrantSubject, Reveal},
    ids::{Millis, ToolsetSlug},
};
use ambit_store::{
    Store, StoreError, broken_glass,
    grants::{self, GrantFilter, GrantRecord},
    reveals::{self, RevealFilter, RevealRecord},
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::config::{ENDS_SOON_MS, quantity::instant_text};

/// Whether it counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It does.
    Live,
    /// Live, and over within 14 days.
    EndsSoon,
    /// Its start is to come.
    Ahead,
    /// Its time is over.
    Expired,
    /// Somebody ended it.
    Ended,
}

/// A grant or reveal, with where it was said and how it stands.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Holding")]
pub struct Holding {
    /// Its id.
    pub id: String,
    /// `grant` or `reveal`.
    pub kind: &'static str,
    /// Who holds it.
    pub holder: String,
    /// What it entitles to.
    #[schemars(with = "String")]
    pub toolset: ToolsetSlug,
    /// How it stands.
    pub state: State,
    /// When it begins to count; absent if it always did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts: Option<String>,
    /// When it stops counting.
    pub expires: String,
    /// Where it was said. What says `config` is changed in the configuration alone.
    pub origin: &'static str,
    /// Why.
    pub reason: String,
    /// What it says about arguments.
    #[serde(skip_serializing_if = "Constraints::is_none")]
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    pub constraints: Constraints,
    /// The ticket or change it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Who said yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Who ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
    /// When it stops counting, for sorting.
    #[serde(skip)]
    #[schemars(skip)]
    pub expires_at: Millis,
}

/// What is listed. The default lists everything.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Only of this holder.
    pub subject: Option<GrantSubject>,
    /// Only of this toolset.
    pub toolset: Option<ToolsetSlug>,
    /// Only what counts, or will, at this instant.
    pub live_at: Option<Millis>,
}

/// The list, what ends first in front. Without a store: what configuration declares.
///
/// # Errors
/// [`StoreError`].
pub async fn list(
    deployment: &Deployment,
    store: Option<&Store>,
    wanted: &Wanted,
    now: Millis,
) -> Result<Vec<Holding>, StoreError> {
    let Wanted { subject, toolset, live_at } = wanted;
    let declared = deployment.grants.iter().filter(|grant| {
        subject.as_ref().is_none_or(|subject| grant.subject == *subject)
            && toolset.as_ref().is_none_or(|toolset| grant.toolset == *toolset)
            && live_at.is_none_or(|now| grant.expires_at > now)
    });
    let mut all: Vec<Holding> = declared.map(|grant| Holding::of_grant(grant, None, now)).collect();
    if let Some(store) = store {
        let filter = GrantFilter { subject: subject.clone(), toolset: toolset.clone(), live_at: *live_at };
        let stored = grants::list(store, &filter).await?;
        all.extend(stored.iter().map(|record| Holding::of_grant(&record.grant, Some(record), now)));
        let revealed = reveals::list(store, &RevealFilter { live_at: *live_at, ..RevealFilter::default() }).await?;
        let is_wanted = |record: &&RevealRecord| {
            let reveal = &record.reveal;
            subject.as_ref().is_none_or(|subject| subject.is_named_by(reveal))
                && toolset.as_ref().is_none_or(|toolset| reveal.toolset == *toolset)
        };
        let glass: BTreeSet<_> = broken_glass::every(store).await?.into_iter().collect();
        let origin = |record: &RevealRecord| {
            if glass.contains(&record.reveal.id) { GrantOrigin::BreakGlass } else { GrantOrigin::Operator }
        };
        all.extend(revealed.iter().filter(is_wanted).map(|record| Holding::of_reveal(record, origin(record), now)));
    }
    all.sort_by(|a, b| (a.expires_at, &a.id).cmp(&(b.expires_at, &b.id)));
    Ok(all)
}

impl Holding {
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

    fn of_reveal(record: &RevealRecord, origin: GrantOrigin, now: Millis) -> Self {
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
            origin: origin.as_str(),
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
    /// The word of listings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::EndsSoon => "ends soon",
            Self::Ahead => "ahead",
            Self::Expired => "expired",
            Self::Ended => "ended",
        }
    }
}
