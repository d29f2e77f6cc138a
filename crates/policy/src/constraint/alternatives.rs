//! Combinations: sets of calls that are told property by property. What several grants allow is a union of them; where one
//! is left, a schema can say it exactly.
//!
//! Merging never changes the set: combinations that differ in one property only become one, and one that lies inside
//! another goes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{
    allowed::Contradiction,
    node::{Node, Rule},
    parse::Constraint,
    render, words,
};

/// The most combinations that are kept.
pub(super) const MAX_ALTERNATIVES: usize = 32;
/// The most that are looked at while two factors are intersected.
pub(super) const MAX_PRODUCT: usize = 256;
/// The most descriptions of one property.
const MAX_NODES: usize = 64;

/// Calls in which each property is within its slot, independently of the others. Properties without a slot are free.
#[derive(Clone, Debug)]
pub(super) struct Alternative {
    pub(super) slots: BTreeMap<Box<str>, Slot>,
    /// The grants that say so.
    pub(super) origins: BTreeSet<Box<str>>,
}

/// What one property may be.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Slot {
    pub(super) may_be_absent: bool,
    /// One of them holds, in order of their texts. None: it must be absent.
    pub(super) values: Vec<Node>,
}

/// Two sets of grants that have no call in common, and the property that shows it.
pub(super) struct Clash {
    property: Box<str>,
    sides: [(BTreeSet<Box<str>>, Slot); 2],
}

impl Alternative {
    /// Every call.
    pub(super) fn free() -> Self {
        Self { slots: BTreeMap::new(), origins: BTreeSet::new() }
    }

    /// What one grant allows.
    pub(super) fn of(constraint: &Constraint) -> Self {
        let slots = constraint.node().members.iter().map(|(name, rule)| (name.clone(), Slot::of(rule))).collect();
        Self { slots, origins: BTreeSet::from([constraint.origin().into()]) }
    }

    /// The calls of both, or the property over which there are none.
    pub(super) fn meet(&self, other: &Self) -> Result<Result<Self, Clash>, Contradiction> {
        let mut met = self.clone();
        met.origins.extend(other.origins.iter().cloned());
        for (name, slot) in &other.slots {
            let Some(known) = self.slots.get(name) else {
                met.slots.insert(name.clone(), slot.clone());
                continue;
            };
            let both = known.meet(slot)?;
            if both.is_impossible() {
                let sides = [(self.origins.clone(), known.clone()), (other.origins.clone(), slot.clone())];
                return Ok(Err(Clash { property: name.clone(), sides }));
            }
            met.slots.insert(name.clone(), both);
        }
        Ok(Ok(met))
    }

    /// Whether every call of this is one of the other. Never wrongly yes.
    fn is_within(&self, other: &Self) -> bool {
        other.slots.iter().all(|(name, slot)| self.slots.get(name).is_some_and(|own| own.is_within(slot)))
    }

    /// Everything, or everything but one property, as a text to compare.
    fn text(&self, apart_from: Option<&str>) -> String {
        let others = self.slots.iter().filter(|(other, _)| Some(&***other) != apart_from);
        let told: Vec<_> =
            others.map(|(other, slot)| format!("{other:?}:{}{}", slot.may_be_absent, slot.text())).collect();
        told.join("\n")
    }
}

impl Slot {
    fn of(rule: &Rule) -> Self {
        Self { may_be_absent: rule.may_be_absent, values: rule.value.iter().cloned().collect() }
    }

    /// Anything or nothing.
    pub(super) fn free() -> Self {
        Self { may_be_absent: true, values: vec![Node::any()] }
    }

    pub(super) fn is_free(&self) -> bool {
        self.may_be_absent && self.values.iter().any(Node::is_any)
    }

    fn is_impossible(&self) -> bool {
        !self.may_be_absent && self.values.is_empty()
    }

    pub(super) fn accepts(&self, value: Option<&serde_json::Value>) -> bool {
        match value {
            None => self.may_be_absent,
            Some(value) => self.values.iter().any(|node| node.accepts(value)),
        }
    }

    fn meet(&self, other: &Self) -> Result<Self, Contradiction> {
        let pairs = self.values.iter().flat_map(|one| other.values.iter().filter_map(|other| one.meet(other)));
        Self { may_be_absent: self.may_be_absent && other.may_be_absent, values: pairs.collect() }.tidy()
    }

    pub(super) fn join(&self, other: &Self) -> Result<Self, Contradiction> {
        let values = self.values.iter().chain(&other.values).cloned().collect();
        Self { may_be_absent: self.may_be_absent || other.may_be_absent, values }.tidy()
    }

    fn is_within(&self, other: &Self) -> bool {
        (other.may_be_absent || !self.may_be_absent)
            && self.values.iter().all(|node| other.values.iter().any(|wider| node.is_within(wider)))
    }

    fn text(&self) -> String {
        render::text(&render::any_of(&self.values))
    }

    /// One form: finite sets united, none inside another, in order.
    fn tidy(mut self) -> Result<Self, Contradiction> {
        let (finite, mut nodes): (Vec<_>, Vec<_>) = self.values.into_iter().partition(|node| node.values.is_some());
        let values: Vec<_> = finite.iter().filter_map(|node| node.values.as_deref()).flatten().cloned().collect();
        // What an open description admits anyway need not be listed.
        let values = values.into_iter().filter(|value| !nodes.iter().any(|node| node.accepts(value))).collect();
        nodes.extend(Node::finite(values).normal());
        if nodes.len() > MAX_NODES {
            return Err(Contradiction::TooMany { what: "descriptions of one property", limit: MAX_NODES });
        }
        let mut kept: Vec<Node> = Vec::new();
        for node in nodes {
            if !kept.iter().any(|wider| node.is_within(wider)) {
                kept.retain(|narrower| !narrower.is_within(&node));
                kept.push(node);
            }
        }
        kept.sort_by_cached_key(|node| render::text(&render::schema(node)));
        self.values = kept;
        Ok(self)
    }
}

/// The same calls in as few combinations as are found, in a fixed order.
pub(super) fn merged(mut all: Vec<Alternative>) -> Result<Vec<Alternative>, Contradiction> {
    let names: BTreeSet<Box<str>> = all.iter().flat_map(|one| one.slots.keys().cloned()).collect();
    if all.len() > 1 {
        loop {
            let before = all.len();
            for name in &names {
                all = merged_over(all, name)?;
            }
            all = outermost(all);
            if all.len() == before {
                break;
            }
        }
    }
    all.sort_by_cached_key(|one| one.text(None));
    Ok(all)
}

/// Joins the combinations that differ in this property only.
fn merged_over(all: Vec<Alternative>, name: &str) -> Result<Vec<Alternative>, Contradiction> {
    let mut groups: BTreeMap<String, Alternative> = BTreeMap::new();
    for one in all {
        match groups.entry(one.text(Some(name))) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(one);
            }
            std::collections::btree_map::Entry::Occupied(mut place) => {
                let known = place.get_mut();
                let joined = match (known.slots.get(name), one.slots.get(name)) {
                    (Some(known), Some(other)) => known.join(other)?,
                    _ => Slot::free(),
                };
                if joined.is_free() {
                    known.slots.remove(name);
                } else {
                    known.slots.insert(name.into(), joined);
                }
                known.origins.extend(one.origins);
            }
        }
    }
    Ok(groups.into_values().collect())
}

fn outermost(all: Vec<Alternative>) -> Vec<Alternative> {
    let mut kept: Vec<Alternative> = Vec::new();
    for one in all {
        if !kept.iter().any(|wider| one.is_within(wider)) {
            kept.retain(|narrower| !narrower.is_within(&one));
            kept.push(one);
        }
    }
    kept
}

/// Per property, whatever some combination admits: the least that is told property by property and leaves none out.
pub(super) fn hull(all: &[Alternative]) -> Result<BTreeMap<Box<str>, Slot>, Contradiction> {
    let Some((first, rest)) = all.split_first() else { return Ok(BTreeMap::new()) };
    let mut slots = BTreeMap::new();
    for (name, slot) in &first.slots {
        let mut joined = Some(slot.clone());
        for other in rest {
            joined = match (joined, other.slots.get(name)) {
                (Some(joined), Some(slot)) => Some(joined.join(slot)?),
                _ => None,
            };
        }
        slots.extend(joined.filter(|joined| !joined.is_free()).map(|joined| (name.clone(), joined)));
    }
    Ok(slots)
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |(origins, slot): &(BTreeSet<Box<str>>, Slot)| {
            format!("by {} {}", words::origins(origins), words::clause(&self.property, slot, words::Length::Short))
        };
        let [one, other] = &self.sides;
        write!(f, "{}, but {}", side(one), side(other))
    }
}
