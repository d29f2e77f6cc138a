//! Intersections: the values that belong to two descriptions, in normal form, or nothing.
//!
//! Exact: what belongs to both belongs to the result, and nothing else. That nothing is left is found where limits,
//! finite sets or members contradict each other; two patterns that no text satisfies are kept, and then no call passes.

use super::{
    node::{Bound, ListLimits, Node, NumberLimits, Rule, TextLimits},
    number,
    types::Types,
    value::distinct,
};

impl Node {
    /// The values that belong to both. `None` where there are none.
    pub(super) fn meet(&self, other: &Self) -> Option<Self> {
        match (&self.values, &other.values) {
            (Some(values), _) => {
                Self::finite(values.iter().filter(|value| other.accepts(value)).cloned().collect()).normal()
            }
            (None, Some(_)) => other.meet(self),
            (None, None) => self.meet_limits(other),
        }
    }

    fn meet_limits(&self, other: &Self) -> Option<Self> {
        let mut met = Self {
            types: self.types.and(other.types),
            values: None,
            text: self.text.meet(&other.text),
            number: self.number.meet(&other.number),
            list: ListLimits::default(),
            members: self.members.clone(),
        };
        let mut impossible = Types::NONE;
        match self.list.meet(&other.list) {
            Some(list) => met.list = list,
            None => impossible = impossible.or(Types::ARRAY),
        }
        for (name, rule) in &other.members {
            let Some(met_rule) = met.members.get(name).map_or_else(|| Some(rule.clone()), |known| known.meet(rule))
            else {
                impossible = impossible.or(Types::OBJECT);
                break;
            };
            met.members.insert(name.clone(), met_rule);
        }
        met.types = met.types.without(impossible);
        met.normal()
    }

    /// One form per description. `None` where nothing belongs to it.
    pub(super) fn normal(mut self) -> Option<Self> {
        if let Some(values) = self.values.take() {
            let values = distinct(values.iter().filter(|value| self.limits_accept(value)));
            if values.is_empty() {
                return None;
            }
            let types = values.iter().fold(Types::NONE, |types, value| types.or(Types::of(value)));
            return Some(Self { values: Some(values.into()), ..Self::of(types) });
        }
        if !self.number.steps.is_empty() {
            self.types = self.types.whole();
        }
        if self.text.max.is_some_and(|max| max < self.text.min) {
            self.types = self.types.without(Types::STRING);
        }
        if self.number.is_empty() {
            self.types = self.types.without(Types::NUMBER);
        }
        if self.list.max.is_some_and(|max| max < self.list.min) {
            self.types = self.types.without(Types::ARRAY);
        }
        if self.list.max == Some(0) || self.list.items.as_ref().is_some_and(|items| items.is_any()) {
            self.list.items = None;
        }
        if !self.types.meets(Types::STRING) {
            self.text = TextLimits::default();
        }
        if !self.types.meets(Types::NUMBER) {
            self.number = NumberLimits::default();
        }
        if !self.types.meets(Types::ARRAY) {
            self.list = ListLimits::default();
        }
        if self.types.meets(Types::OBJECT) {
            self.members.retain(|_, rule| !rule.is_free());
        } else {
            self.members.clear();
        }
        (!self.types.is_empty()).then_some(self)
    }

    /// Whether every value of this belongs to the other. Never wrongly yes.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.meet(other).is_some_and(|met| met == *self)
    }
}

impl Rule {
    /// What both rules allow. `None` where neither presence nor absence is left.
    pub(super) fn meet(&self, other: &Self) -> Option<Self> {
        let may_be_absent = self.may_be_absent && other.may_be_absent;
        let value = self.value.as_ref().zip(other.value.as_ref()).and_then(|(one, other)| one.meet(other));
        (may_be_absent || value.is_some()).then_some(Self { may_be_absent, value })
    }

    /// Whether it says nothing.
    pub(super) fn is_free(&self) -> bool {
        self.may_be_absent && self.value.as_ref().is_some_and(Node::is_any)
    }
}

impl TextLimits {
    fn meet(&self, other: &Self) -> Self {
        let mut patterns = self.patterns.clone();
        patterns.extend(other.patterns.iter().filter(|pattern| !self.patterns.contains(pattern)).cloned());
        patterns.sort_by(|one, other| one.source().cmp(other.source()));
        Self { min: self.min.max(other.min), max: lower(self.max, other.max), patterns }
    }
}

impl NumberLimits {
    pub(super) fn meet(&self, other: &Self) -> Self {
        let mut steps: Vec<u64> = Vec::new();
        for step in self.steps.iter().chain(&other.steps) {
            match steps.last().and_then(|last| common_multiple(*last, *step)) {
                Some(common) => {
                    steps.pop();
                    steps.push(common);
                }
                None => steps.push(*step),
            }
        }
        steps.sort_unstable();
        steps.dedup();
        let min = tighter(self.min.as_ref(), other.min.as_ref(), true);
        Self { min, max: tighter(self.max.as_ref(), other.max.as_ref(), false), steps }
    }

    fn is_empty(&self) -> bool {
        match (&self.min, &self.max) {
            (Some(min), Some(max)) => {
                let order = number::compare(&min.at, &max.at);
                order.is_gt() || (order.is_eq() && (min.open || max.open))
            }
            _ => false,
        }
    }
}

impl ListLimits {
    fn meet(&self, other: &Self) -> Option<Self> {
        let (min, mut max) = (self.min.max(other.min), lower(self.max, other.max));
        let items = match (&self.items, &other.items) {
            (Some(one), Some(other)) => {
                let met = one.meet(other);
                if met.is_none() {
                    // No element can exist: only the empty list is left.
                    max = Some(0);
                }
                met.map(Box::new)
            }
            (one, other) => one.clone().or_else(|| other.clone()),
        };
        max.is_none_or(|max| min <= max).then_some(Self { min, max, items })
    }
}

fn lower(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

/// The end that admits less: the higher of two lower ends, the lower of two upper ones; at the same place the open one.
fn tighter(one: Option<&Bound>, other: Option<&Bound>, is_lower: bool) -> Option<Bound> {
    let (Some(left), Some(right)) = (one, other) else { return one.or(other).cloned() };
    let order = number::compare(&left.at, &right.at);
    let order = if is_lower { order } else { order.reverse() };
    Some(if order.is_gt() || (order.is_eq() && left.open) { left.clone() } else { right.clone() })
}

pub(super) fn common_multiple(one: u64, other: u64) -> Option<u64> {
    let (mut a, mut b) = (one, other);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    (one / a).checked_mul(other).filter(|multiple| *multiple <= number::MAX_STEP)
}
