//! Requests for access: somebody's client asks for a toolset in their name. It counts once that person has confirmed it
//! themselves, and entitles to nothing until another person, who answers for every server it reaches, has said yes.
//!
//! ```text
//! unconfirmed ──the person──→ waiting ──yes──→ approved: a grant
//!    │                         │ └──no──→ denied
//!    ├──the person──→ withdrawn ←┤
//!    └──time, revocation, not to be asked for any more──→ lapsed
//! ```
//!
//! Nothing here becomes granted by waiting, and no stage leads back to an earlier one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    approval::{Approver, Party, Via},
    caller::UserFacts,
    endpoint::Endpoint,
    grant::{DEFAULT_GRANT_MS, MAX_GRANT_MS},
    ids::{AccessId, AgentId, ClientId, EndpointSlug, GrantId, Millis, ToolsetSlug, UserKey},
    toolset::Toolset,
};

const HOUR_MS: Millis = 3_600_000;
const DAY_MS: Millis = 24 * HOUR_MS;

/// A request that the person did not confirm is over after this long.
pub const UNCONFIRMED_LIFE_MS: Millis = 15 * 60_000;

/// A confirmed request that nobody decided is over after this long.
pub const WAITING_LIFE_MS: Millis = 7 * DAY_MS;

/// For this long after a no, the same request is told so instead of being made anew.
pub const DENIED_MS: Millis = DAY_MS;

/// Most open requests of one person at a time.
pub const MAX_OPEN: u32 = 5;

/// What may be asked for, by whom, where and for how long. The default lets nobody ask for anything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessRules {
    /// Whether there are requests at all.
    pub enabled: bool,
    /// Endpoints that have none although others do.
    pub off_at: BTreeSet<EndpointSlug>,
    /// The longest life of what is granted, at most a year.
    pub longest_ms: Millis,
    /// Who may ask for which toolset. What is not named here cannot be asked for.
    pub requestable_by: BTreeMap<ToolsetSlug, BTreeSet<Approver>>,
}

impl Default for AccessRules {
    fn default() -> Self {
        Self { enabled: false, off_at: BTreeSet::new(), longest_ms: DEFAULT_GRANT_MS, requestable_by: BTreeMap::new() }
    }
}

/// A wish for a grant that would live longer than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("access is given for at most {}", life_text(*.longest_ms))]
pub struct AccessTooLong {
    /// The longest it may.
    pub longest_ms: Millis,
}

impl AccessRules {
    /// Whether access can be asked for at an endpoint.
    pub fn are_on_at(&self, endpoint: &EndpointSlug) -> bool {
        self.enabled && !self.off_at.contains(endpoint)
    }

    /// Whether a person may ask for a toolset, wherever that is offered.
    pub fn admit(&self, person: &UserFacts, toolset: &ToolsetSlug) -> bool {
        let named = self.requestable_by.get(toolset);
        self.enabled && named.is_some_and(|named| named.iter().any(|one| one.names(person)))
    }

    /// How long what is asked for shall live.
    ///
    /// # Errors
    /// [`AccessTooLong`].
    pub fn life(&self, wished_ms: Option<Millis>) -> Result<Millis, AccessTooLong> {
        let longest_ms = self.longest_ms.clamp(1, MAX_GRANT_MS);
        match wished_ms {
            None => Ok(longest_ms),
            Some(wished) if (1..=longest_ms).contains(&wished) => Ok(wished),
            Some(_) => Err(AccessTooLong { longest_ms }),
        }
    }
}

/// Whether something of a toolset is offered at an endpoint.
pub fn is_offered_at(toolset: &Toolset, endpoint: &Endpoint) -> bool {
    toolset.tools.iter().any(|selector| endpoint.servers.contains(selector.server()))
}

/// Reads a length such as `8h` or `30d`; `None` if it is none.
pub fn parse_life(text: &str) -> Option<Millis> {
    let unit = match text.as_bytes().last()? {
        b'h' => HOUR_MS,
        b'd' => DAY_MS,
        _ => return None,
    };
    let digits = text.get(..text.len().checked_sub(1)?)?;
    let plain = (1..=4).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
    let count: Millis = digits.parse().ok().filter(|_| plain)?;
    (count > 0).then(|| count.saturating_mul(unit))
}

/// A length in words: `30 days`, `8 hours`.
pub fn life_text(life_ms: Millis) -> String {
    let (count, unit) = if life_ms >= DAY_MS && life_ms % DAY_MS == 0 {
        (life_ms / DAY_MS, "day")
    } else if life_ms >= HOUR_MS {
        (life_ms / HOUR_MS, "hour")
    } else {
        (life_ms.max(0) / 60_000, "minute")
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// Where a request stands. Each stage carries what it came with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AccessStage {
    /// Only a client has asked: the person has not said that they want it.
    Unconfirmed {
        /// Until just before this instant.
        until: Millis,
    },
    /// The person wants it; somebody has to decide.
    Waiting {
        /// Since when.
        since: Millis,
        /// Until just before this instant.
        until: Millis,
    },
    /// Somebody said yes.
    Approved {
        /// When.
        at: Millis,
        /// The grant that was made.
        grant: GrantId,
    },
    /// Somebody said no.
    Denied {
        /// When.
        at: Millis,
    },
    /// The person does not want it (any more).
    Withdrawn {
        /// When.
        at: Millis,
    },
    /// It will never be decided.
    Lapsed {
        /// When that was noticed.
        at: Millis,
        /// Why.
        why: AccessLapse,
    },
}

/// Why a request lapsed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccessLapse {
    /// Its time was over.
    Expired,
    /// The person, the client or the endpoint it was made with was revoked.
    Revoked,
    /// The person may not ask for it any more, or it is not there any more.
    NotRequestable,
}

impl AccessLapse {
    /// The word of store and trail.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::NotRequestable => "not_requestable",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Expired, Self::Revoked, Self::NotRequestable].into_iter().find(|lapse| lapse.as_str() == text)
    }
}

impl AccessStage {
    /// The word of pages, commands, answers and trail.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Unconfirmed { .. } => "unconfirmed",
            Self::Waiting { .. } => "waiting",
            Self::Approved { .. } => "approved",
            Self::Denied { .. } => "denied",
            Self::Withdrawn { .. } => "withdrawn",
            Self::Lapsed { .. } => "lapsed",
        }
    }

    /// The stage as it counts at an instant: what has run out has lapsed, whether or not somebody noticed.
    #[must_use]
    pub fn at(self, now_ms: Millis) -> Self {
        match self {
            Self::Unconfirmed { until } | Self::Waiting { until, .. } if until <= now_ms => {
                Self::Lapsed { at: until, why: AccessLapse::Expired }
            }
            other => other,
        }
    }

    /// Until when it waits for the next person, if something can still become of it.
    pub const fn open_until(&self) -> Option<Millis> {
        match self {
            Self::Unconfirmed { until } | Self::Waiting { until, .. } => Some(*until),
            Self::Approved { .. } | Self::Denied { .. } | Self::Withdrawn { .. } | Self::Lapsed { .. } => None,
        }
    }

    /// Whether something can still become of it.
    pub const fn is_open(&self) -> bool {
        self.open_until().is_some()
    }

    /// Whether the same wish, made again at this instant, is told of this one instead of being made anew.
    pub fn answers_for(&self, now_ms: Millis) -> bool {
        match self {
            Self::Unconfirmed { until } | Self::Waiting { until, .. } => now_ms < *until,
            Self::Denied { at } => now_ms < at.saturating_add(DENIED_MS),
            Self::Approved { .. } | Self::Withdrawn { .. } | Self::Lapsed { .. } => false,
        }
    }
}

/// A request for access, as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessRequest {
    /// Its id, the same for every repetition of the wish.
    pub id: AccessId,
    /// Who gets the grant.
    pub user: UserKey,
    /// What for.
    pub toolset: ToolsetSlug,
    /// Where it was asked for.
    pub endpoint: EndpointSlug,
    /// The client software that asked.
    pub client: ClientId,
    /// The agent that asked for the person.
    pub agent: Option<AgentId>,
    /// How long the grant shall live.
    pub life_ms: Millis,
    /// What people are shown of it besides.
    pub told: AccessTold,
    /// Why, in the person's own words, if they gave any when they confirmed.
    pub words: Option<String>,
    /// When it was asked for.
    pub requested_at: Millis,
    /// How often.
    pub asked: u64,
    /// Who decided, and what they said to it.
    pub decided: Option<AccessDecision>,
    /// Where it stands, as it was written down; [`AccessStage::at`] says how that counts now.
    pub stage: AccessStage,
}

impl AccessRequest {
    /// Why: the person's own words, or else what the client said.
    pub fn reason(&self) -> &str {
        self.words.as_deref().unwrap_or(&self.told.reason)
    }
}

/// What people are shown of a request besides who asks for what, as it was when it was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AccessTold {
    /// Why, in the words of the client. Its own claim.
    pub reason: String,
    /// How sure we are of the client software.
    pub assurance: String,
    /// The name the client software gives itself. Its own claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed: Option<String>,
    /// Who may not decide whatever they are: the person themselves, and whoever put their token together.
    pub excluded: Vec<Party>,
}

/// Somebody's word on a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessDecision {
    /// Who.
    pub by: UserKey,
    /// How.
    pub via: Via,
    /// Why, in their words.
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{GroupName, ServerSlug};

    fn person(name: &str, groups: &[&str]) -> UserFacts {
        UserFacts {
            key: UserKey::local(name).unwrap(),
            groups: groups.iter().map(|group| GroupName::parse(group).unwrap()).collect(),
            claims: BTreeMap::new(),
        }
    }

    fn slug(text: &str) -> ToolsetSlug {
        ToolsetSlug::parse(text).unwrap()
    }

    #[test]
    fn only_who_is_named_may_ask_and_only_for_what_they_are_named_for() {
        let named = ["user alice", "group staff"].map(|text| Approver::parse(text).unwrap());
        let rules = AccessRules {
            enabled: true,
            requestable_by: [(slug("a"), named.into()), (slug("nobody"), BTreeSet::new())].into(),
            ..AccessRules::default()
        };
        assert!(rules.admit(&person("alice", &[]), &slug("a")) && rules.admit(&person("bob", &["staff"]), &slug("a")));
        assert!(!rules.admit(&person("bob", &["other"]), &slug("a")));
        for unnamed in ["b", "nobody"] {
            assert!(!rules.admit(&person("alice", &["staff"]), &slug(unnamed)), "{unnamed}");
        }
        let off = AccessRules { enabled: false, ..rules.clone() };
        assert!(!off.admit(&person("alice", &[]), &slug("a")));
        let default = EndpointSlug::parse("default").unwrap();
        assert!(rules.are_on_at(&default) && !off.are_on_at(&default));
        assert!(!AccessRules { off_at: [default.clone()].into(), ..rules }.are_on_at(&default));
        assert!(!AccessRules::default().are_on_at(&default));
    }

    #[test]
    fn a_wish_may_be_shorter_than_the_longest_and_never_longer() {
        let rules = AccessRules { longest_ms: 30 * DAY_MS, ..AccessRules::default() };
        assert_eq!(rules.life(None), Ok(30 * DAY_MS));
        assert_eq!(rules.life(Some(HOUR_MS)), Ok(HOUR_MS));
        assert_eq!(rules.life(Some(30 * DAY_MS)), Ok(30 * DAY_MS));
        for bad in [0, -1, 30 * DAY_MS + 1] {
            assert!(rules.life(Some(bad)).is_err(), "{bad}");
        }
        let told = rules.life(Some(Millis::MAX)).unwrap_err().to_string();
        assert_eq!(told, "access is given for at most 30 days");
        let endless = AccessRules { longest_ms: Millis::MAX, ..AccessRules::default() };
        assert_eq!(endless.life(None), Ok(MAX_GRANT_MS));
    }

    #[test]
    fn a_length_is_digits_and_a_unit() {
        assert_eq!(parse_life("8h"), Some(8 * HOUR_MS));
        assert_eq!(parse_life("30d"), Some(30 * DAY_MS));
        for bad in ["", "h", "0d", "8", "8 h", "-1d", "+1d", "1w", "99999d", "1.5h", "٣d", "8H"] {
            assert_eq!(parse_life(bad), None, "{bad}");
        }
        for (life, text) in
            [(DAY_MS, "1 day"), (90 * DAY_MS, "90 days"), (36 * HOUR_MS, "36 hours"), (60_000, "1 minute")]
        {
            assert_eq!(life_text(life), text);
        }
    }

    #[test]
    fn what_has_run_out_has_lapsed_and_a_no_is_remembered_for_a_while() {
        let expired = AccessStage::Lapsed { at: 10, why: AccessLapse::Expired };
        for open in [AccessStage::Unconfirmed { until: 10 }, AccessStage::Waiting { since: 1, until: 10 }] {
            assert_eq!(open.clone().at(9), open);
            assert_eq!(open.clone().at(10), expired);
            assert!(open.is_open() && open.answers_for(9) && !open.answers_for(10));
        }
        let denied = AccessStage::Denied { at: 10 };
        assert!(denied.answers_for(9 + DENIED_MS) && !denied.answers_for(10 + DENIED_MS) && !denied.is_open());
        let grant = GrantId::parse("g").unwrap();
        for over in [AccessStage::Approved { at: 10, grant }, AccessStage::Withdrawn { at: 10 }, expired] {
            assert!(!over.answers_for(10) && !over.is_open(), "{over:?}");
        }
        for lapse in [AccessLapse::Expired, AccessLapse::Revoked, AccessLapse::NotRequestable] {
            assert_eq!(AccessLapse::parse(lapse.as_str()), Some(lapse));
        }
    }

    #[test]
    fn a_toolset_is_offered_where_one_of_its_servers_is() {
        let toolset = |tools: &[&str]| Toolset {
            slug: slug("t"),
            title: String::new(),
            tools: tools.iter().map(|text| (*text).to_owned().try_into().unwrap()).collect(),
            effects: Vec::new(),
        };
        let endpoint = Endpoint {
            slug: EndpointSlug::parse("default").unwrap(),
            path: "/mcp".into(),
            resource: "https://gw.example/mcp".into(),
            title: String::new(),
            servers: vec![ServerSlug::parse("mux").unwrap()],
            prefix: false,
            issuer: crate::endpoint::EndpointIssuer::Embedded { issuer: "https://gw.example/as/default".into() },
        };
        assert!(is_offered_at(&toolset(&["crm/get", "mux/*"]), &endpoint));
        assert!(!is_offered_at(&toolset(&["crm/get"]), &endpoint) && !is_offered_at(&toolset(&[]), &endpoint));
    }
}
