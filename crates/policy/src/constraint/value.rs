//! JSON values as what they stand for: equality by value, one spelling each, and their size.

use serde_json::{Map, Value};

use super::number;

/// Whether two values are the same in JSON Schema's sense: numbers by value, members in any order.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(one), Value::Bool(other)) => one == other,
        (Value::Number(one), Value::Number(other)) => number::compare(one, other).is_eq(),
        (Value::String(one), Value::String(other)) => one == other,
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, member)| other.get(name).is_some_and(|other| same(member, other)))
        }
        _ => false,
    }
}

/// The one spelling of a value: equal values have equal spellings.
pub(super) fn canonical(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(number::canonical(number)),
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        Value::Object(members) => {
            let mut names: Vec<_> = members.keys().collect();
            names.sort_unstable();
            let member = |name: &String| Some((name.clone(), canonical(members.get(name)?)));
            Value::Object(names.into_iter().filter_map(member).collect::<Map<_, _>>())
        }
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

/// Canonical values, each once, in a fixed order.
pub(super) fn distinct<'v>(values: impl IntoIterator<Item = &'v Value>) -> Vec<Value> {
    let mut keyed: Vec<_> = values
        .into_iter()
        .map(|value| {
            let value = canonical(value);
            (ambit_model::canonical::to_vec(&value), value)
        })
        .collect();
    keyed.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    keyed.dedup_by(|one, other| one.0 == other.0);
    keyed.into_iter().map(|(_, value)| value).collect()
}

/// How much of a bound a value uses up: its text in bytes, roughly. `None` past the bound or below the depth.
pub(super) fn within(value: &Value, depth: usize, bytes: usize) -> Option<usize> {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => bytes.checked_sub(8),
        Value::String(text) => bytes.checked_sub(text.len() + 2),
        Value::Array(items) => {
            let deeper = depth.checked_sub(1)?;
            items.iter().try_fold(bytes.checked_sub(2)?, |left, item| within(item, deeper, left.checked_sub(1)?))
        }
        Value::Object(members) => {
            let deeper = depth.checked_sub(1)?;
            let member = |left: usize, (name, member): (&String, &Value)| {
                within(member, deeper, left.checked_sub(name.len() + 4)?)
            };
            members.iter().try_fold(bytes.checked_sub(2)?, member)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_equal_by_what_they_stand_for() {
        let one: Value = serde_json::from_str(r#"{"a":[1.0,{"b":2}],"c":null}"#).unwrap();
        let other: Value = serde_json::from_str(r#"{"c":null,"a":[1,{"b":2.0}]}"#).unwrap();
        assert!(same(&one, &other));
        assert_eq!(canonical(&one).to_string(), canonical(&other).to_string());
        for (one, other) in [
            (json!(1), json!("1")),
            (json!(0), json!(false)),
            (json!([1]), json!([1, 1])),
            (json!({"a": 1}), json!({"a": 1, "b": 1})),
            (json!({"a": 1}), json!({"b": 1})),
            (json!(null), json!({})),
        ] {
            assert!(!same(&one, &other), "{one} {other}");
        }
        assert_eq!(distinct(&[json!(2), json!(1.0), json!(1), json!("1")]), [json!("1"), json!(1), json!(2)]);
    }

    #[test]
    fn size_and_depth_are_bounded() {
        assert!(within(&json!({"a": ["b"]}), 2, 100).is_some());
        assert!(within(&json!({"a": ["b"]}), 1, 100).is_none());
        assert!(within(&json!("abc"), 0, 4).is_none());
    }
}
