//! Whole numbers, written as servers expect them.
//!
//! JSON Schema holds `1e2` and `100.0` for integers, and many servers read only `100` as one. A number keeps its value here,
//! never more: what is not whole, or too large to be exact, is left as it came.

use std::borrow::Cow;

use serde_json::{Map, Number, Value};

/// The largest magnitude below which every whole `f64` is exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A value with its whole numbers written without a fraction; borrowed where there is nothing to rewrite.
pub(super) fn written(value: &Value) -> Cow<'_, Value> {
    if needs_rewriting(value) { Cow::Owned(rewritten(value)) } else { Cow::Borrowed(value) }
}

fn needs_rewriting(value: &Value) -> bool {
    match value {
        Value::Number(number) => integer(number).is_some(),
        Value::Array(items) => items.iter().any(needs_rewriting),
        Value::Object(members) => members.values().any(needs_rewriting),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

fn rewritten(value: &Value) -> Value {
    match value {
        Value::Number(number) => integer(number).map_or_else(|| value.clone(), Value::from),
        Value::Array(items) => items.iter().map(rewritten).collect(),
        Value::Object(members) => {
            let members: Map<_, _> = members.iter().map(|(name, member)| (name.clone(), rewritten(member))).collect();
            Value::Object(members)
        }
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

fn integer(number: &Number) -> Option<i64> {
    let whole = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0 && float.abs() <= EXACT)?;
    #[expect(clippy::cast_possible_truncation, reason = "whole and within ±2^53, so the cast is exact")]
    let exact = whole as i64;
    Some(exact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_lose_their_fraction_and_nothing_else_changes() {
        for (given, sent) in [
            ("1e2", "100"),
            ("100.0", "100"),
            ("-0.0", "0"),
            ("[1.5, 2.0, {\"a\": 3e0}]", "[1.5,2,{\"a\":3}]"),
            ("9007199254740992.0", "9007199254740992"),
            ("1e300", "1e+300"),
            ("7", "7"),
            ("\"1e2\"", "\"1e2\""),
        ] {
            let value: Value = serde_json::from_str(given).unwrap();
            assert_eq!(written(&value).to_string(), sent, "{given}");
        }
    }
}
