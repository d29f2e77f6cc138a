//! One value's schema together with what the grants allow there. Exact: what both admit, written as readably as can be done
//! cheaply; keywords that cannot be merged stand in `allOf`, which holds as well.

use serde_json::{Map, Value, json};

use super::{
    Narrowing, members,
    own::{finite_of, is_annotation, lift},
    refs,
};
use crate::constraint::{meet::common_multiple, node::Node, render, types::Types, value::same};

/// How many references and single branches are written out for one value.
const MAX_HOPS: usize = 16;

impl Narrowing<'_> {
    /// A schema of which one of some descriptions must hold too. `None` where no value is left.
    pub(super) fn values(&mut self, own: &Value, nodes: &[Node]) -> Option<Value> {
        if let [only] = nodes {
            return self.value(own, only);
        }
        let (mut left, mut last) = (Vec::new(), None);
        for node in nodes {
            if let Some(narrowed) = self.value(own, node) {
                left.push(node.clone());
                last = Some(narrowed);
            }
        }
        if left.len() < 2 {
            return last;
        }
        let Value::Object(own) = own else { return Some(render::any_of(&left)) };
        let mut out = own.clone();
        let alternatives: Vec<_> = left.iter().map(render::schema).collect();
        render::add(&mut out, "anyOf", Value::Array(alternatives));
        settle_annotations(&mut out, |value| left.iter().any(|node| node.accepts(value)));
        Some(Value::Object(out))
    }

    /// A schema of which a description must hold too. `None` where no value is left.
    pub(super) fn value(&mut self, own: &Value, node: &Node) -> Option<Value> {
        let own = match own {
            Value::Object(own) => own,
            Value::Bool(true) => return Some(render::schema(node)),
            Value::Bool(false) => return None,
            // No schema: the tool cannot be called anyway.
            Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => return Some(own.clone()),
        };
        if !self.spend(1) {
            return Some(json!({"allOf": [own, render::schema(node)]}));
        }
        let own = self.written_out(own, node)?;
        let mut narrowed = match &node.values {
            Some(values) => self.finite(own, values)?,
            None => match finite_of(&own) {
                Some(values) => {
                    let left: Vec<_> = values.into_iter().filter(|value| node.accepts(value)).collect();
                    with_enum(own, left)?
                }
                None => self.limits(own, node)?,
            },
        };
        settle_annotations(&mut narrowed, |value| node.accepts(value));
        Some(Value::Object(narrowed))
    }

    /// A schema with the branches left out that the description excludes, and with what it refers to in its place where
    /// nothing else stands beside the reference.
    fn written_out(&mut self, own: &Map<String, Value>, node: &Node) -> Option<Map<String, Value>> {
        let mut current = own.clone();
        for _ in 0..MAX_HOPS {
            for keyword in ["anyOf", "oneOf"] {
                let Some(Value::Array(branches)) = current.get(keyword) else { continue };
                let left: Vec<_> =
                    branches.iter().filter(|branch| self.value(branch, node).is_some()).cloned().collect();
                if left.is_empty() {
                    return None;
                }
                current.insert(keyword.to_owned(), Value::Array(left));
            }
            let mut speaking = current.iter().filter(|(key, _)| !is_annotation(key));
            let (Some((keyword, argument)), None) = (speaking.next(), speaking.next()) else { break };
            let target = match (keyword.as_str(), argument) {
                ("$ref", Value::String(reference)) => {
                    let target = refs::resolve(self.root, reference);
                    target.filter(|target| refs::size_of_copy(target).is_some_and(|size| self.spend(size)))
                }
                ("allOf" | "anyOf" | "oneOf", Value::Array(branches)) => match branches.as_slice() {
                    [only] => Some(only),
                    _ => None,
                },
                _ => None,
            };
            let Some(target) = target else { break };
            let mut written = match target {
                Value::Object(target) => target.clone(),
                Value::Bool(false) => return None,
                _ => Map::new(),
            };
            for (key, said) in current.iter().filter(|(key, _)| is_annotation(key)) {
                written.insert(key.clone(), said.clone());
            }
            current = written;
        }
        Some(current)
    }

    fn finite(&self, own: Map<String, Value>, values: &[Value]) -> Option<Map<String, Value>> {
        // In the tool's own order and spelling where it lists them.
        let listed = finite_of(&own);
        let candidates: Vec<Value> = match listed {
            Some(listed) => listed.into_iter().filter(|one| values.iter().any(|value| same(value, one))).collect(),
            None => values.to_vec(),
        };
        let own = Value::Object(own);
        let mut sure = true;
        let mut left = Vec::new();
        for value in candidates {
            let verdict = self.admits(&own, &value);
            sure &= verdict.is_some();
            if verdict != Some(false) {
                left.push(value);
            }
        }
        let Value::Object(own) = own else { return None };
        // Once it is known that all of them are valid, nothing else need be said.
        let own =
            if sure { own.into_iter().filter(|(key, _)| is_annotation(key) || key == "type").collect() } else { own };
        let types = left.iter().fold(Types::NONE, |types, value| types.or(Types::of(value)));
        let mut out = with_enum(own, left)?;
        if let Some(types) = types.written().filter(|_| sure || !out.contains_key("type")) {
            out.insert("type".to_owned(), types);
        }
        Some(out)
    }

    fn limits(&mut self, own: Map<String, Value>, node: &Node) -> Option<Map<String, Value>> {
        let lifted = lift(&own);
        let met = lifted.meet(node)?;
        let mut types = met.types;
        let mut out = own;
        if types.meets(Types::OBJECT) && !node.members.is_empty() {
            let rules = node.members.iter().map(|(name, rule)| (&**name, rule.may_be_absent, rule.value.as_slice()));
            match self.plan(&out, rules) {
                Ok(edits) => members::apply(edits, &mut out),
                Err(_) => types = types.without(Types::OBJECT),
            }
        }
        if types.meets(Types::ARRAY) {
            limit(&mut out, "minItems", Some(met.list.min).filter(|min| *min > 0));
            limit(&mut out, "maxItems", met.list.max);
            if met.list.max != Some(0)
                && let Some(items) = &node.list.items
                && !self.items(&mut out, items)
            {
                // No element can exist: only the empty list is left.
                limit(&mut out, "maxItems", Some(0));
                if met.list.min > 0 {
                    types = types.without(Types::ARRAY);
                }
            }
        }
        if types.is_empty() {
            return None;
        }
        if let Some(names) = types.written() {
            out.insert("type".to_owned(), names);
        }
        if types.meets(Types::STRING) {
            limit(&mut out, "minLength", Some(met.text.min).filter(|min| *min > 0));
            limit(&mut out, "maxLength", met.text.max);
            for pattern in &node.text.patterns {
                render::add(&mut out, "pattern", json!(pattern.source()));
            }
        }
        if types.meets(Types::NUMBER) {
            if met.number.min != lifted.number.min || met.number.max != lifted.number.max {
                let bounds = ["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"];
                out = out.into_iter().filter(|(key, _)| !bounds.contains(&key.as_str())).collect();
                render::bounds(&met.number, &mut out);
            }
            for step in &node.number.steps {
                match out.get("multipleOf").and_then(Value::as_u64).map(|own| common_multiple(own.max(1), *step)) {
                    Some(Some(common)) => {
                        out.insert("multipleOf".to_owned(), json!(common));
                    }
                    _ => render::add(&mut out, "multipleOf", json!(step)),
                }
            }
        }
        Some(out)
    }

    /// Makes every element keep a description. Whether any element can.
    fn items(&mut self, out: &mut Map<String, Value>, items: &Node) -> bool {
        let more = |key: &str| out.get(key).is_some_and(|value| *value != Value::Bool(true));
        if more("unevaluatedItems") || out.get("items").is_some_and(Value::is_array) {
            self.told = false;
            return true;
        }
        if out.contains_key("prefixItems") {
            // `items` is about the elements after the first ones; a part of its own is about all.
            let part = json!({"items": render::schema(items)});
            match out.get_mut("allOf") {
                Some(Value::Array(parts)) => parts.push(part),
                _ => {
                    out.insert("allOf".to_owned(), json!([part]));
                }
            }
            return true;
        }
        let narrowed = match out.get("items") {
            None => Some(render::schema(items)),
            Some(own) => self.value(&own.clone(), items),
        };
        match narrowed {
            Some(narrowed) => {
                out.insert("items".to_owned(), narrowed);
                true
            }
            None => false,
        }
    }
}

fn limit(out: &mut Map<String, Value>, keyword: &str, limit: Option<u64>) {
    if let Some(limit) = limit {
        out.insert(keyword.to_owned(), json!(limit));
    }
}

/// A schema with exactly these values of it. `None` where there are none.
fn with_enum(own: Map<String, Value>, values: Vec<Value>) -> Option<Map<String, Value>> {
    if values.is_empty() {
        return None;
    }
    let mut out: Map<_, _> = own.into_iter().filter(|(key, _)| key != "const").collect();
    out.insert("enum".to_owned(), Value::Array(values));
    Some(out)
}

/// A default or an example that would be refused only misleads.
fn settle_annotations(out: &mut Map<String, Value>, accepts: impl Fn(&Value) -> bool) {
    let stale = |key: &str| out.get(key).is_some_and(|said| !accepts(said));
    let mut gone: Vec<&str> = ["default", "example"].into_iter().filter(|key| stale(key)).collect();
    if let Some(Value::Array(examples)) = out.get_mut("examples") {
        examples.retain(|example| accepts(example));
        if examples.is_empty() {
            gone.push("examples");
        }
    }
    if !gone.is_empty() {
        *out = std::mem::take(out).into_iter().filter(|(key, _)| !gone.contains(&key.as_str())).collect();
    }
}
