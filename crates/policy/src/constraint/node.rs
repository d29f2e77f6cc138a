//! A set of values, described: what may stand at one place of the arguments. Closed under intersection ([`super::meet`]), so
//! whatever grants say together is again such a description. It knows nothing of any tool.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Number, Value};

use super::{number, pattern::Pattern, types::Types, value::same};

/// Values of some types, each within its type's limits. In normal form ([`Node::normal`]) the limits of types that are not
/// admitted are empty, and a finite set carries no limits at all.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Node {
    pub(super) types: Types,
    /// Exactly these values, canonical and in order; every limit has been applied to them.
    pub(super) values: Option<Arc<[Value]>>,
    pub(super) text: TextLimits,
    pub(super) number: NumberLimits,
    pub(super) list: ListLimits,
    pub(super) members: BTreeMap<Box<str>, Rule>,
}

/// Limits of strings; lengths in code points.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct TextLimits {
    pub(super) min: u64,
    pub(super) max: Option<u64>,
    /// All of them match; in order of their texts.
    pub(super) patterns: Vec<Pattern>,
}

/// Limits of numbers.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct NumberLimits {
    pub(super) min: Option<Bound>,
    pub(super) max: Option<Bound>,
    /// Multiples of each of these. More than one only where their common multiple is too large.
    pub(super) steps: Vec<u64>,
}

/// One end of a range of numbers.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Bound {
    pub(super) at: Number,
    /// The end itself is outside.
    pub(super) open: bool,
}

/// Limits of arrays.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct ListLimits {
    pub(super) min: u64,
    pub(super) max: Option<u64>,
    /// Every element.
    pub(super) items: Option<Box<Node>>,
}

/// What may be at one member of an object, and whether it may be absent. Members without a rule are free.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Rule {
    pub(super) may_be_absent: bool,
    /// `None`: it must be absent.
    pub(super) value: Option<Node>,
}

impl Node {
    /// Every value.
    pub(super) fn any() -> Self {
        Self {
            types: Types::ALL,
            values: None,
            text: TextLimits::default(),
            number: NumberLimits::default(),
            list: ListLimits::default(),
            members: BTreeMap::new(),
        }
    }

    /// Every value of some types.
    pub(super) fn of(types: Types) -> Self {
        Self { types, ..Self::any() }
    }

    /// Exactly these values.
    pub(super) fn finite(values: Vec<Value>) -> Self {
        Self { values: Some(values.into()), ..Self::any() }
    }

    /// Whether it says nothing.
    pub(super) fn is_any(&self) -> bool {
        *self == Self::any()
    }

    /// Whether a value belongs to it.
    pub(super) fn accepts(&self, value: &Value) -> bool {
        match &self.values {
            Some(values) => values.iter().any(|known| same(known, value)),
            None => self.limits_accept(value),
        }
    }

    /// Whether a value is of an admitted type and within its limits.
    pub(super) fn limits_accept(&self, value: &Value) -> bool {
        self.types.meets(Types::of(value))
            && match value {
                Value::Null | Value::Bool(_) => true,
                Value::Number(number) => self.number.accept(number),
                Value::String(text) => self.text.accept(text),
                Value::Array(items) => self.list.accept(items),
                Value::Object(members) => self.members_accept(members),
            }
    }

    /// Whether every member keeps its rule.
    pub(super) fn members_accept(&self, members: &Map<String, Value>) -> bool {
        self.members.iter().all(|(name, rule)| rule.accepts(members.get(&**name)))
    }
}

impl Rule {
    pub(super) fn accepts(&self, value: Option<&Value>) -> bool {
        match value {
            None => self.may_be_absent,
            Some(value) => self.value.as_ref().is_some_and(|node| node.accepts(value)),
        }
    }
}

impl TextLimits {
    fn accept(&self, text: &str) -> bool {
        self.length_accepts(text) && self.patterns.iter().all(|pattern| pattern.matches(text))
    }

    fn length_accepts(&self, text: &str) -> bool {
        if self.min == 0 && self.max.is_none() {
            return true;
        }
        let length = text.chars().count() as u64;
        self.min <= length && self.max.is_none_or(|max| length <= max)
    }
}

impl NumberLimits {
    fn accept(&self, number: &Number) -> bool {
        self.min.as_ref().is_none_or(|min| min.is_below(number))
            && self.max.as_ref().is_none_or(|max| max.is_above(number))
            && self.steps.iter().all(|step| number::is_multiple(number, *step))
    }
}

impl Bound {
    /// Whether a number is on the right side of this lower end.
    pub(super) fn is_below(&self, number: &Number) -> bool {
        let order = number::compare(&self.at, number);
        if self.open { order.is_lt() } else { order.is_le() }
    }

    /// Whether a number is on the right side of this upper end.
    pub(super) fn is_above(&self, number: &Number) -> bool {
        let order = number::compare(&self.at, number);
        if self.open { order.is_gt() } else { order.is_ge() }
    }
}

impl ListLimits {
    fn accept(&self, items: &[Value]) -> bool {
        let length = items.len() as u64;
        self.min <= length
            && self.max.is_none_or(|max| length <= max)
            && self.items.as_ref().is_none_or(|node| items.iter().all(|item| node.accepts(item)))
    }
}
