//! Who holds what, as the admin API shows it: admins and auditors see everything, owners what reaches their servers. In pages, in
//! an order that does not move while somebody turns them.

use ambit_identity::access::people::servers_of;
use ambit_live::{Live, deployment::Deployment};
use ambit_model::{
    grant::GrantSubject,
    ids::{GrantId, Millis, ToolsetSlug},
    operator::{Actor, Rights, Role},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use super::{
    gives::Holdings,
    problem::{Kind, Trouble},
    wants::HolderKind,
};
use crate::{
    holdings::{self, Holding, Wanted},
    operator::{ActError, rights::toolset_of},
};

/// The largest page.
const MOST: usize = 500;

/// A page if nothing is said.
const USUAL: usize = 100;

/// What is listed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Only of a holder of this kind, named by `holder`.
    #[serde(default)]
    pub holder_kind: Option<HolderKind>,
    /// Only of this holder, of the kind in `holder_kind`.
    #[serde(default)]
    pub holder: Option<String>,
    /// Only of this toolset.
    #[serde(default)]
    pub toolset: Option<String>,
    /// Also what is over.
    #[serde(default)]
    pub all: Option<Whether>,
    /// How many at most: 100 if absent, never more than 500.
    #[serde(default, deserialize_with = "number")]
    #[schemars(with = "Option<u32>", range(min = 1, max = 500))]
    pub limit: Option<usize>,
    /// Where the page before said the next one begins.
    #[serde(default)]
    pub after: Option<String>,
}

/// Whether it is so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Whether {
    /// It is.
    True,
    /// It is not.
    False,
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let wrong = |_| serde::de::Error::custom("`limit` is a number from 1 to 500");
    let number = text.map(|text| text.parse::<usize>()).transpose().map_err(wrong)?;
    match number {
        Some(number) if !(1..=MOST).contains(&number) => Err(serde::de::Error::custom("`limit` is from 1 to 500")),
        other => Ok(other),
    }
}

impl Query {
    fn wanted(&self, now: Millis) -> Result<Wanted, Trouble> {
        let subject = match (self.holder_kind, &self.holder) {
            (None, None) => None,
            (Some(kind), Some(name)) => {
                let subject = GrantSubject::parse(kind.as_str(), name).and_then(Result::ok);
                Some(
                    subject
                        .ok_or_else(|| Trouble::new(Kind::Refused, "it names no holder of this kind").at("/holder"))?,
                )
            }
            (Some(_), None) => {
                return Err(
                    Trouble::new(Kind::Refused, "is missing beside `holder_kind`: name the holder").at("/holder")
                );
            }
            (None, Some(_)) => {
                return Err(
                    Trouble::new(Kind::Refused, "is missing beside `holder`: say of what kind").at("/holder_kind")
                );
            }
        };
        let toolset = match self.toolset.as_deref().map(ToolsetSlug::parse).transpose() {
            Ok(toolset) => toolset,
            Err(error) => return Err(Trouble::new(Kind::Refused, error.to_string()).at("/toolset")),
        };
        let live_at = (self.all != Some(Whether::True)).then_some(now);
        Ok(Wanted { subject, toolset, live_at })
    }
}

/// A page of what somebody may see.
pub(super) async fn list(live: &Live, by: &Actor, query: &Query) -> Result<Holdings, Trouble> {
    let snapshot = live.current();
    let rights = snapshot.deployment.roles.rights_of(by);
    if ![Role::Admin, Role::Auditor, Role::Owner].iter().any(|role| rights.are(*role)) {
        let why = "this takes an admin, an auditor or the owner of a server: ask one of them";
        return Err(Trouble::new(Kind::NotYours, why));
    }
    let now = live.clock().now();
    let after = query.after.as_deref().map(read_place).transpose()?;
    let wanted = query.wanted(now)?;
    let all = holdings::list(&snapshot.deployment, Some(live.store()), &wanted, now).await;
    let all = all.map_err(ActError::from)?;
    let reached = |holding: &&Holding| sees(&rights, &holding.toolset, &snapshot.deployment);
    let beyond = |holding: &&Holding| {
        after.as_ref().is_none_or(|(at, id)| (holding.expires_at, holding.id.as_str()) > (*at, id.as_str()))
    };
    let limit = query.limit.unwrap_or(USUAL);
    let mut page: Vec<_> = all.iter().filter(reached).filter(beyond).take(limit + 1).collect();
    let next = if page.len() > limit {
        page.truncate(limit);
        page.last().map(|last| place(last))
    } else {
        None
    };
    Ok(Holdings { grants: page.into_iter().map(|holding| json!(holding)).collect(), next })
}

/// Whether somebody may know of a grant or reveal.
pub(super) async fn is_shown(live: &Live, by: &Actor, id: &GrantId) -> Result<bool, ActError> {
    let snapshot = live.current();
    let deployment = &snapshot.deployment;
    let rights = deployment.roles.rights_of(by);
    let toolset = toolset_of(id, deployment, live.store()).await?;
    Ok(toolset.is_some_and(|toolset| sees(&rights, &toolset, deployment)))
}

fn sees(rights: &Rights, toolset: &ToolsetSlug, deployment: &Deployment) -> bool {
    let reads_all = rights.are(Role::Admin) || rights.are(Role::Auditor);
    reads_all || servers_of(deployment, toolset).iter().any(|server| rights.own(server))
}

/// The place of a grant in the order, as a page gives it on.
fn place(holding: &Holding) -> String {
    URL_SAFE_NO_PAD.encode(format!("{} {}", holding.expires_at, holding.id))
}

fn read_place(text: &str) -> Result<(Millis, String), Trouble> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (at, id) = text.split_once(' ')?;
        Some((at.parse().ok()?, id.to_owned()))
    };
    read().ok_or_else(|| {
        Trouble::new(Kind::Refused, "is no `next` of a page: leave it out, or send it as it was").at("/after")
    })
}
