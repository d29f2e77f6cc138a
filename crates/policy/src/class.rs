//! A caller class: everything standing decisions read about a caller, resolved against one judge's index. Callers of one
//! class get the same decisions, so verdicts are remembered under its key. Made once per token, shared by every request.

use std::sync::{Arc, OnceLock, Weak};

use ambit_model::{
    Digest,
    caller::{CallerFacts, Principal, TokenScopes},
    canonical,
    ceiling::Ceiling,
    claim::ClaimMatch,
    grant::GrantSubject,
    ids::{GroupName, ToolsetSlug},
};
use cedar_policy::EntityUid;

use crate::{
    index::{GrantIndex, Index, RevealIndex, ToolsetIndex},
    slice::Frames,
    validity::Horizon,
};

/// 128 bits of the digest over every fact a standing rule may read about a caller.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ClassKey(pub u128);

/// A caller class of one judge. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CallerClass(pub(crate) Arc<Resolved>);

impl CallerClass {
    /// What tells this class from every other.
    pub fn key(&self) -> ClassKey {
        self.0.key
    }

    /// The facts it was made from.
    pub fn facts(&self) -> &CallerFacts {
        &self.0.facts
    }

    /// A text about the caller that others keep with it: made once, however often it is asked for.
    pub fn note(&self, make: impl FnOnce(&CallerFacts) -> Option<Arc<str>>) -> Option<Arc<str>> {
        self.0.note.get_or_init(|| make(&self.0.facts)).clone()
    }
}

#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) key: ClassKey,
    pub(crate) facts: CallerFacts,
    /// Its principal in the eyes of the rules.
    pub(crate) uid: EntityUid,
    pub(crate) user: Option<UserFactor>,
    /// The agent's grants, by toolset.
    pub(crate) agent: Option<Holdings<GrantIndex>>,
    pub(crate) ceiling: Raised,
    pub(crate) scopes: Cut,
    /// What others keep with it.
    note: OnceLock<Option<Arc<str>>>,
    /// The index the numbers in here belong to. Weak: a remembered class does not keep an old revision alive.
    home: Weak<Index>,
}

#[derive(Debug)]
pub(crate) struct UserFactor {
    /// Own and group grants, by toolset.
    pub(crate) grants: Holdings<GrantIndex>,
    /// Reveals for exactly this user, client and agent, by toolset.
    pub(crate) reveals: Holdings<RevealIndex>,
    /// Toolsets the person declined for this client.
    pub(crate) declined: Vec<ToolsetIndex>,
}

/// The ceiling of the client software: what configuration says, and what grants of the client add while they live.
#[derive(Debug)]
pub(crate) struct Raised {
    pub(crate) standing: Cut,
    pub(crate) grants: Holdings<GrantIndex>,
}

impl Raised {
    /// Whether it lets a toolset through at the instant of the horizon. Grants are asked only where configuration does not.
    pub(crate) fn admits(&self, toolset: ToolsetIndex, index: &Index, horizon: &mut Horizon) -> bool {
        self.standing.leaves(toolset)
            || self.grants.of(toolset).fold(false, |any, number| index.grant_lives(number, horizon) | any)
    }
}

/// Something that only takes away.
#[derive(Debug)]
pub(crate) enum Cut {
    /// Takes nothing away.
    Nothing,
    /// Leaves only these toolsets, sorted.
    AllBut(Vec<ToolsetIndex>),
}

impl Cut {
    pub(crate) fn leaves(&self, toolset: ToolsetIndex) -> bool {
        match self {
            Self::Nothing => true,
            Self::AllBut(kept) => kept.binary_search(&toolset).is_ok(),
        }
    }
}

/// What entitles to which toolset, sorted by toolset, each once.
#[derive(Debug)]
pub(crate) struct Holdings<T>(Vec<(ToolsetIndex, T)>);

impl<T: Copy + Ord> Holdings<T> {
    fn new(mut pairs: Vec<(ToolsetIndex, T)>) -> Self {
        pairs.sort_unstable();
        pairs.dedup();
        Self(pairs)
    }

    /// What entitles to one toolset.
    pub(crate) fn of(&self, toolset: ToolsetIndex) -> impl Iterator<Item = T> + '_ {
        let first = self.0.partition_point(|(held, _)| *held < toolset);
        self.0.iter().skip(first).take_while(move |(held, _)| *held == toolset).map(|(_, by)| *by)
    }

    /// The toolsets it entitles to, each once.
    pub(crate) fn toolsets(&self) -> impl Iterator<Item = ToolsetIndex> + '_ {
        self.0.chunk_by(|a, b| a.0 == b.0).filter_map(|run| run.first().map(|(toolset, _)| *toolset))
    }
}

impl Resolved {
    pub(crate) fn new(facts: &CallerFacts, index: &Arc<Index>, frames: &Frames) -> Self {
        let numbers = |slugs: &mut dyn Iterator<Item = &ToolsetSlug>| {
            let mut numbers: Vec<_> = slugs.filter_map(|slug| index.toolset_number(slug)).collect();
            numbers.sort_unstable();
            numbers
        };
        let user = facts.user().map(|user| {
            let own = GrantSubject::User(user.key.clone());
            let groups = user.groups.iter().cloned().map(GrantSubject::Group);
            let claims = ClaimMatch::all_of(user).map(GrantSubject::Claim);
            let agent = facts.agent().map(|agent| &agent.id);
            let reveals = index.reveals_of(&user.key).iter().filter_map(|number| {
                let reveal = index.reveal(*number)?;
                let named = reveal.client == facts.client.id && reveal.agent.as_ref() == agent;
                named.then_some((index.toolset_number(&reveal.toolset)?, *number))
            });
            UserFactor {
                grants: grants(index, std::iter::once(own).chain(groups).chain(claims)),
                reveals: Holdings::new(reveals.collect()),
                declined: numbers(&mut facts.declined.iter()),
            }
        });
        let agent = facts.agent().map(|agent| grants(index, [GrantSubject::Agent(agent.id.clone())]));
        let standing = match index.ceilings.of(&facts.client.id) {
            Ceiling::Everything => Cut::Nothing,
            Ceiling::Only(toolsets) => Cut::AllBut(numbers(&mut toolsets.iter())),
        };
        let client = grants(index, [GrantSubject::Client(facts.client.id.clone())]);
        let ceiling = Raised { standing, grants: client };
        let scopes = match &facts.scopes {
            // The issuer has no word for toolsets: the ceiling, which cuts in any case, stands in.
            TokenScopes::None => Cut::Nothing,
            TokenScopes::Toolsets(toolsets) => Cut::AllBut(numbers(&mut toolsets.iter())),
        };
        Self {
            key: key(facts),
            facts: facts.clone(),
            uid: frames.principal(facts),
            user,
            agent,
            ceiling,
            scopes,
            note: OnceLock::new(),
            home: Arc::downgrade(index),
        }
    }

    /// Whether the numbers in here are those of this index.
    pub(crate) fn is_of(&self, index: &Arc<Index>) -> bool {
        std::ptr::eq(self.home.as_ptr(), Arc::as_ptr(index))
    }
}

fn grants(index: &Index, subjects: impl IntoIterator<Item = GrantSubject>) -> Holdings<GrantIndex> {
    let mut pairs = Vec::new();
    for subject in subjects {
        pairs.extend(index.grants_of(&subject).iter().filter_map(|number| {
            let toolset = index.toolset_number(&index.grant(*number)?.toolset)?;
            Some((toolset, *number))
        }));
    }
    Holdings::new(pairs)
}

/// Every fact goes in as a part of its own, lists with their length in front, so no two callers share a digest.
fn key(facts: &CallerFacts) -> ClassKey {
    let CallerFacts { principal, client, scopes, declined, operator } = facts;
    let mut parts = Parts::default();
    match principal {
        Principal::Person { .. } => parts.push("person"),
        Principal::Agent { .. } => parts.push("agent"),
        Principal::Delegated { .. } => parts.push("delegated"),
    }
    if let Some(user) = facts.user() {
        parts.push(user.key.issuer.as_str());
        parts.push(user.key.subject.as_str());
        parts.list(user.groups.iter().map(GroupName::as_str));
        parts.count(user.claims.len());
        for (name, value) in &user.claims {
            parts.push(name);
            parts.0.push(canonical::to_vec(value));
        }
    }
    if let Some(agent) = facts.agent() {
        parts.push(agent.id.as_str());
        parts.push(agent.owner.issuer.as_str());
        parts.push(agent.owner.subject.as_str());
        parts.0.push(agent.expires_at.to_be_bytes().to_vec());
    }
    parts.push(client.id.as_str());
    parts.push(client.assurance.as_str());
    match scopes {
        TokenScopes::None => parts.push("none"),
        TokenScopes::Toolsets(toolsets) => {
            parts.push("toolsets");
            parts.list(toolsets.iter().map(ToolsetSlug::as_str));
        }
    }
    parts.list(declined.iter().map(ToolsetSlug::as_str));
    parts.list(operator.as_deref());
    let Digest(bytes) = Digest::of_parts(parts.0.iter().map(Vec::as_slice));
    ClassKey(bytes.iter().take(16).fold(0, |key, byte| key << 8 | u128::from(*byte)))
}

#[derive(Default)]
struct Parts(Vec<Vec<u8>>);

impl Parts {
    fn push(&mut self, text: &str) {
        self.0.push(text.as_bytes().to_vec());
    }

    fn count(&mut self, length: usize) {
        self.0.push((length as u64).to_be_bytes().to_vec());
    }

    fn list<'a>(&mut self, items: impl IntoIterator<Item = &'a str>) {
        let items: Vec<_> = items.into_iter().collect();
        self.count(items.len());
        for item in items {
            self.push(item);
        }
    }
}
