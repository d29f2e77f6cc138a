//! What the grants of a caller allow together: united inside a factor, intersected across factors.

use std::{collections::BTreeSet, sync::Arc};

use ambit_model::Digest;

use super::{
    alternatives::{Alternative, Clash, MAX_ALTERNATIVES, MAX_PRODUCT, merged},
    parse::Constraint,
};

/// The most constrained grants of one factor.
const MAX_GRANTS: usize = 64;

/// One factor of a caller (user and groups, agent, client ceiling) with its grants of one tool.
#[derive(Clone, PartialEq, Debug)]
pub struct Factor(Option<Vec<Constraint>>);

impl Factor {
    /// A factor that says nothing about arguments.
    pub fn unconstrained() -> Self {
        Self(None)
    }

    /// The grants of a factor that entitle to the tool, each with its constraint if it has one. One without makes the whole
    /// factor unconstrained. No grant at all allows no call.
    pub fn of(grants: impl IntoIterator<Item = Option<Constraint>>) -> Self {
        let constraints: Option<Vec<Constraint>> = grants.into_iter().collect();
        Self(constraints.map(|mut all| {
            all.sort_by(|one, other| (one.canonical(), one.origin()).cmp(&(other.canonical(), other.origin())));
            all.dedup_by(|one, other| one.canonical() == other.canonical());
            all
        }))
    }
}

/// Why nothing is left to call, or nothing that can be told. The tool is hidden; operators read the reason.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Contradiction {
    /// A factor without a grant.
    #[error("one factor of the caller has no grant for this tool")]
    NoGrant,
    /// Factors that have no call in common.
    #[error("the grants contradict each other: {0}; change one of them")]
    Grants(String),
    /// Grants that demand what the tool refuses, or refuse what it demands.
    #[error("the grants do not fit this tool: {0}; grant a toolset without it, or change the constraint")]
    Tool(String),
    /// More combinations than are told apart.
    #[error("the grants come to more than {limit} {what}: constrain fewer arguments, or use fewer grants")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are taken.
        limit: usize,
    },
}

/// What all factors of a caller allow: the intersection of their unions.
#[derive(Clone, Debug)]
pub struct Allowed {
    /// Every constrained factor, in order of its canonical text.
    factors: Vec<Vec<Constraint>>,
    /// The same set as combinations that are each told property by property. One of them, without any property, where
    /// nothing is constrained.
    alternatives: Arc<[Alternative]>,
}

impl Allowed {
    /// Every call.
    pub fn anything() -> Self {
        Self { factors: Vec::new(), alternatives: vec![Alternative::free()].into() }
    }

    /// What the factors allow together.
    ///
    /// # Errors
    /// [`Contradiction`] where nothing is left, or more than can be handled: the tool must be hidden.
    pub fn across(factors: impl IntoIterator<Item = Factor>) -> Result<Self, Contradiction> {
        let mut factors: Vec<Vec<Constraint>> = factors.into_iter().filter_map(|factor| factor.0).collect();
        let names = |factor: &[Constraint]| factor.iter().map(|one| one.canonical().to_owned()).collect::<Vec<_>>();
        factors.sort_by_cached_key(|factor| names(factor));
        factors.dedup_by(|one, other| names(one) == names(other));
        let mut left = vec![Alternative::free()];
        for factor in &factors {
            left = narrowed_by(&left, factor)?;
        }
        Ok(Self { factors, alternatives: left.into() })
    }

    /// Whether no grant constrains anything.
    pub fn is_anything(&self) -> bool {
        self.factors.is_empty()
    }

    /// Whether every factor allows these arguments; the sentence of [`Self::check`] is not built.
    pub fn accepts(&self, arguments: &serde_json::Value) -> bool {
        self.factors.iter().all(|factor| factor.iter().any(|constraint| constraint.accepts(arguments)))
    }

    /// The one text of what is allowed: a list of factors, each a list of schemas. Part of the trail.
    pub fn canonical(&self) -> String {
        let factor = |factor: &Vec<Constraint>| {
            let schemas: Vec<_> = factor.iter().map(Constraint::canonical).collect();
            format!("[{}]", schemas.join(","))
        };
        let factors: Vec<_> = self.factors.iter().map(factor).collect();
        format!("[{}]", factors.join(","))
    }

    /// The digest of [`Self::canonical`]. Callers with equal digests are shown equal schemas.
    pub fn digest(&self) -> Digest {
        Digest::of(self.canonical().as_bytes())
    }

    /// The arguments that are constrained.
    pub fn names(&self) -> BTreeSet<&str> {
        self.alternatives.iter().flat_map(|one| one.slots.keys()).map(AsRef::as_ref).collect()
    }

    /// Where the constraints came from, each once, in order.
    pub fn origins(&self) -> Vec<&str> {
        let mut origins: Vec<_> = self.factors.iter().flatten().map(Constraint::origin).collect();
        origins.sort_unstable();
        origins.dedup();
        origins
    }

    pub(super) fn alternatives(&self) -> &[Alternative] {
        &self.alternatives
    }
}

impl PartialEq for Allowed {
    fn eq(&self, other: &Self) -> bool {
        self.factors == other.factors
    }
}

/// The combinations that are left when one more factor counts.
fn narrowed_by(left: &[Alternative], factor: &[Constraint]) -> Result<Vec<Alternative>, Contradiction> {
    if factor.is_empty() {
        return Err(Contradiction::NoGrant);
    }
    if factor.len() > MAX_GRANTS {
        return Err(Contradiction::TooMany { what: "constrained grants of one holder", limit: MAX_GRANTS });
    }
    let own = merged(factor.iter().map(Alternative::of).collect())?;
    if left.len() * own.len() > MAX_PRODUCT {
        return Err(Contradiction::TooMany { what: "combinations", limit: MAX_PRODUCT });
    }
    let mut met = Vec::new();
    let mut clash: Option<Clash> = None;
    for one in left {
        for other in &own {
            match one.meet(other)? {
                Ok(both) => met.push(both),
                Err(apart) => clash = clash.or(Some(apart)),
            }
        }
    }
    if met.is_empty() {
        return Err(Contradiction::Grants(clash.map_or_else(String::new, |clash| clash.to_string())));
    }
    let met = merged(met)?;
    if met.len() > MAX_ALTERNATIVES {
        return Err(Contradiction::TooMany { what: "combinations", limit: MAX_ALTERNATIVES });
    }
    Ok(met)
}
