//! The types of JSON values as a set. `integer` is a part of `number`, as in JSON Schema; it knows nothing of keywords.

use serde_json::{Value, json};

use super::number;

/// A set of types.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Types(u8);

const NAMES: [(&str, Types); 7] = [
    ("string", Types::STRING),
    ("number", Types::NUMBER),
    ("integer", Types::INTEGER),
    ("boolean", Types::BOOLEAN),
    ("array", Types::ARRAY),
    ("object", Types::OBJECT),
    ("null", Types::NULL),
];

impl Types {
    pub(super) const NONE: Self = Self(0);
    pub(super) const NULL: Self = Self(1);
    pub(super) const BOOLEAN: Self = Self(2);
    pub(super) const INTEGER: Self = Self(4);
    /// Numbers that are not whole. Only ever together with [`Self::INTEGER`], or as the type of one value.
    const FRACTION: Self = Self(8);
    pub(super) const NUMBER: Self = Self(4 | 8);
    pub(super) const STRING: Self = Self(16);
    pub(super) const ARRAY: Self = Self(32);
    pub(super) const OBJECT: Self = Self(64);
    pub(super) const ALL: Self = Self(127);

    /// The type of a value.
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Number(number) if number::is_whole(number) => Self::INTEGER,
            Value::Number(_) => Self::FRACTION,
            Value::String(_) => Self::STRING,
            Value::Array(_) => Self::ARRAY,
            Value::Object(_) => Self::OBJECT,
        }
    }

    /// The type of a name.
    pub(super) fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, types)| *types)
    }

    /// What a `type` keyword admits. `None` where it is no such keyword.
    pub(super) fn read(keyword: &Value) -> Option<Self> {
        match keyword {
            Value::String(name) => Self::named(name),
            Value::Array(names) if !names.is_empty() => {
                names.iter().try_fold(Self::NONE, |types, name| Some(types.or(Self::named(name.as_str()?)?)))
            }
            _ => None,
        }
    }

    /// The value of a `type` keyword. `None` where it would say nothing.
    pub(super) fn written(self) -> Option<Value> {
        if self == Self::ALL {
            return None;
        }
        match self.names().as_slice() {
            [one] => Some(json!(one)),
            several => Some(json!(several)),
        }
    }

    /// The names that together are this set: `number` where fractions count, else `integer`.
    pub(super) fn names(self) -> Vec<&'static str> {
        let whole_only = !self.meets(Self::FRACTION);
        let listed = |name: &str| if whole_only { name != "number" } else { name != "integer" };
        NAMES.iter().filter(|(name, types)| listed(name) && self.meets(*types)).map(|(name, _)| *name).collect()
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Without the numbers that are not whole.
    pub(super) fn whole(self) -> Self {
        self.without(Self::FRACTION)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the two have a type in common.
    pub(super) fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}
