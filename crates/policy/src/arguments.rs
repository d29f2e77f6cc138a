//! What the grants of a caller say about the arguments of one tool, and what the caller is shown for it.
//!
//! The grants of a factor that reach the tool add up; the factors are intersected. Where nothing is left, or nothing that
//! can be told, the tool is hidden. A deployment whose grants say nothing about arguments pays one look at an empty table.

use std::{collections::HashMap, sync::Arc};

use ambit_model::{
    Digest,
    constraints::ToolPattern,
    grant::Grant,
    ids::{Millis, ToolId},
};
use quick_cache::sync::Cache;
use serde_json::{Value, json};

use crate::{
    class::{CallerClass, Holdings, Resolved},
    constraint::{Allowed, Constraint, Contradiction, Factor, Narrowed, narrow},
    index::{GrantIndex, Index, ToolEntry, ToolIndex, ToolsetIndex},
    judge::Judge,
    validity::Horizon,
};

/// Narrowed tools remembered at once, over all callers.
const NARROWED: usize = 8_192;

/// What a caller may say to a tool, and how the tool is shown for it. Shared by everybody whose grants say the same.
#[derive(Clone, PartialEq, Debug)]
pub struct Narrowing {
    /// What a call is held to.
    pub allowed: Arc<Allowed>,
    /// What is shown.
    pub shown: Narrowed,
}

/// The argument constraints of the grants of a judge, read once.
#[derive(Debug, Default)]
pub(crate) struct Sayings(HashMap<GrantIndex, Vec<(ToolPattern, Constraint)>>);

impl Sayings {
    /// Reads the constraints of numbered grants.
    pub(crate) fn read<'g>(grants: impl Iterator<Item = (GrantIndex, &'g Grant)>) -> Self {
        let constrained = grants.filter(|(_, grant)| !grant.constraints.is_none());
        Self(constrained.filter_map(|(number, grant)| Some((number, read(grant)?))).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a grant says about a tool. Patterns of one grant share no tool.
    fn of(&self, grant: GrantIndex, tool: &ToolId) -> Option<Constraint> {
        self.0.get(&grant)?.iter().find(|(pattern, _)| pattern.fits(tool)).map(|(_, constraint)| constraint.clone())
    }

    /// Which grants tell a tool from others of their toolset: those with a pattern that names it and not all.
    pub(crate) fn telling(&self) -> impl Iterator<Item = (GrantIndex, usize, &ToolPattern)> {
        self.0.iter().flat_map(|(grant, all)| {
            let named = all.iter().enumerate().filter(|(_, (pattern, _))| *pattern != ToolPattern::All);
            named.map(move |(at, (pattern, _))| (*grant, at, pattern))
        })
    }
}

/// Whether a grant counts. One whose constraint means nothing here must not count as one without: it counts for nothing.
pub(crate) fn is_usable(grant: &Grant) -> bool {
    grant.constraints.is_none() || read(grant).is_some()
}

fn read(grant: &Grant) -> Option<Vec<(ToolPattern, Constraint)>> {
    grant.constraints.check().ok()?;
    let origin = format!("grant `{}`", grant.id);
    let constraint = |fragment: &Value| Some(Constraint::parse(fragment).ok()?.from_origin(origin.as_str()));
    grant.constraints.iter().map(|(pattern, fragment)| Some((pattern.clone(), constraint(fragment)?))).collect()
}

/// What is left of the arguments of a tool, known by its name.
#[derive(Debug)]
pub(crate) struct Within {
    allowed: Arc<Allowed>,
    digest: Digest,
}

/// What the factors of a caller say together; `None` where they say nothing.
fn within(
    index: &Index,
    class: &Resolved,
    entry: &ToolEntry,
    now: Millis,
) -> Result<Option<Arc<Within>>, Contradiction> {
    let says = |holdings: &Holdings<GrantIndex>, toolset: ToolsetIndex| -> Vec<Option<Constraint>> {
        let live = |number: &GrantIndex| index.grant_lives(*number, &mut Horizon::new(now));
        holdings.of(toolset).filter(live).map(|number| index.sayings.of(number, &entry.facts.id)).collect()
    };
    let mut factors = Vec::with_capacity(3);
    if let Some(user) = &class.user {
        let all = || entry.toolsets.iter().flat_map(|toolset| says(&user.grants, *toolset));
        let offered = entry.toolsets.iter().filter(|toolset| user.declined.binary_search(toolset).is_err());
        let offered: Vec<_> = offered.flat_map(|toolset| says(&user.grants, *toolset)).collect();
        // A reveal makes visible. It says nothing about arguments and lifts nothing that a grant says, also not one whose
        // toolset the person declined: that would be a way around it.
        factors.push(if offered.is_empty() { all().collect() } else { offered });
    }
    if let Some(agent) = &class.agent {
        factors.push(entry.toolsets.iter().flat_map(|toolset| says(agent, *toolset)).collect());
    }
    if !entry.toolsets.iter().any(|toolset| class.ceiling.standing.leaves(*toolset)) {
        factors.push(entry.toolsets.iter().flat_map(|toolset| says(&class.ceiling.grants, *toolset)).collect());
    }
    // A factor that no grant speaks for does not hold the tool, or by a reveal alone: that is decided elsewhere.
    let factors = factors.into_iter().filter(|says| !says.is_empty()).map(Factor::of);
    let allowed = Allowed::across(factors)?;
    if allowed.is_anything() {
        return Ok(None);
    }
    let digest = name(&allowed);
    Ok(Some(Arc::new(Within { allowed: Arc::new(allowed), digest })))
}

/// What tells one limit from another: what it allows, and by whose grants. What is told about it names them.
fn name(allowed: &Allowed) -> Digest {
    let (canonical, origins) = (allowed.canonical(), allowed.origins());
    Digest::of_parts(std::iter::once(canonical.as_bytes()).chain(origins.into_iter().map(str::as_bytes)))
}

/// Tools narrowed before, by what is allowed of them.
pub(crate) struct Narrowings(Cache<(Digest, ToolIndex), Result<Arc<Narrowing>, Contradiction>>);

impl Narrowings {
    pub(crate) fn new() -> Self {
        Self(Cache::new(NARROWED))
    }

    fn of(&self, within: &Within, tool: ToolIndex, entry: &ToolEntry) -> Result<Arc<Narrowing>, Contradiction> {
        let key = (within.digest, tool);
        if let Some(known) = self.0.get(&key) {
            return known;
        }
        let unknown = json!({"type": "object"});
        let schema = entry.facts.input_schema.as_deref().unwrap_or(&unknown);
        let narrowing = narrow(schema, &within.allowed)
            .map(|shown| Arc::new(Narrowing { allowed: Arc::clone(&within.allowed), shown }));
        self.0.insert(key, narrowing.clone());
        narrowing
    }
}

/// What the arguments of listed tools are limited to, for one caller at one instant.
pub(crate) struct Limits<'a> {
    judge: &'a Judge,
    class: &'a CallerClass,
    now: Millis,
    by_shape: HashMap<usize, Result<Option<Arc<Within>>, Contradiction>>,
}

impl<'a> Limits<'a> {
    pub(crate) fn new(judge: &'a Judge, class: &'a CallerClass, now: Millis) -> Self {
        Self { judge, class, now, by_shape: HashMap::new() }
    }

    /// How a tool is narrowed; `None` if it is not.
    ///
    /// # Errors
    /// [`Contradiction`]: the tool is hidden.
    pub(crate) fn of(&mut self, tool: ToolIndex) -> Result<Option<Arc<Narrowing>>, Contradiction> {
        let index = self.judge.index();
        let Some(entry) = index.tool(tool).filter(|_| !index.sayings.is_empty()) else { return Ok(None) };
        let (class, now) = (&self.class.0, self.now);
        let within = self.by_shape.entry(entry.shape).or_insert_with(|| within(index, class, entry, now));
        match within {
            Ok(None) => Ok(None),
            Ok(Some(within)) => self.judge.narrowings().of(within, tool, entry).map(Some),
            Err(contradiction) => Err(contradiction.clone()),
        }
    }
}

/// The sentence of an operator about what is left.
pub(crate) fn limited_by(narrowing: &Narrowing) -> String {
    let origins = narrowing.allowed.origins().join(", ");
    format!("its arguments are limited by {origins}: {}", narrowing.allowed.canonical())
}
