//! How often a schema may look at one value. References let a few lines mean very many checks, or no end of them; such a
//! schema is refused before it is compiled, since a check that was begun cannot be stopped.
//!
//! The bound is a count along one way down into a value: every subschema that is asked about the same place of it, over all
//! ways that lead there. What goes down under different names adds up nothing, so ordinary recursive schemas stay small.

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use serde_json::{Map, Value};

/// Most checks along one way down.
const MOST_CHECKS: u64 = 50_000;

/// Levels a value can have: a body with more is refused where it is read.
const LEVELS: usize = 64;

/// Most subschemas that are looked at.
const MOST_SCHEMAS: usize = 50_000;

/// Longest chain of schemas that are asked about the same place.
const LONGEST_CHAIN: usize = 200;

/// Most pairs of a schema and one that is asked through it.
const MOST_PAIRS: usize = 500_000;

/// Why a schema is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Unbounded {
    #[error("it refers to itself without going a level down")]
    Circle,
    #[error("it would check one value more than {MOST_CHECKS} times")]
    TooOften,
    #[error("it is too large to be followed")]
    TooLarge,
    #[error("it refers to something that is not in it")]
    Elsewhere,
}

/// Whether checking a value by this schema ends, and soon enough.
///
/// # Errors
/// [`Unbounded`].
pub(super) fn is_bounded(schema: &Value) -> Result<(), Unbounded> {
    let mut graph = Graph { document: schema, known: HashMap::new(), nodes: Vec::new(), waiting: Vec::new() };
    graph.number(schema, schema)?;
    while let Some((number, members, resource)) = graph.waiting.pop() {
        graph.read(number, members, resource)?;
    }
    if graph.has_references() { Counting::new(&graph.nodes)?.most() } else { Ok(()) }
}

/// Which part of a value a subschema is asked about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Part<'a> {
    Named(&'a str),
    AnyName,
    Item(usize),
    AnyItem,
}

#[derive(Default)]
struct Node<'a> {
    /// Asked about the same place.
    here: Vec<usize>,
    /// How often, for each time this one is asked.
    times: u64,
    /// Asked about a part of it.
    below: Vec<(Part<'a>, usize)>,
    refers: bool,
}

/// The subschemas that can be reached, each once.
struct Graph<'a> {
    document: &'a Value,
    known: HashMap<usize, usize>,
    nodes: Vec<Node<'a>>,
    waiting: Vec<(usize, &'a Map<String, Value>, &'a Value)>,
}

impl<'a> Graph<'a> {
    fn has_references(&self) -> bool {
        self.nodes.iter().any(|node| node.refers)
    }

    fn number(&mut self, schema: &'a Value, resource: &'a Value) -> Result<usize, Unbounded> {
        let address = std::ptr::from_ref(schema).addr();
        if let Some(number) = self.known.get(&address) {
            return Ok(*number);
        }
        let number = self.nodes.len();
        if number >= MOST_SCHEMAS {
            return Err(Unbounded::TooLarge);
        }
        self.nodes.push(Node { times: 1, ..Node::default() });
        self.known.insert(address, number);
        if let Value::Object(members) = schema {
            let resource = if members.get("$id").is_some_and(Value::is_string) { schema } else { resource };
            self.waiting.push((number, members, resource));
        }
        Ok(number)
    }

    fn read(&mut self, number: usize, members: &'a Map<String, Value>, resource: &'a Value) -> Result<(), Unbounded> {
        let mut node = Node { times: 1, ..Node::default() };
        for (keyword, value) in members {
            match keyword.as_str() {
                "not" | "if" | "then" | "else" => node.here.push(self.number(value, resource)?),
                "allOf" | "anyOf" | "oneOf" => {
                    for schema in value.as_array().into_iter().flatten() {
                        node.here.push(self.number(schema, resource)?);
                    }
                }
                "dependentSchemas" => {
                    for schema in value.as_object().into_iter().flat_map(Map::values) {
                        node.here.push(self.number(schema, resource)?);
                    }
                }
                "properties" => {
                    for (name, schema) in value.as_object().into_iter().flatten() {
                        node.below.push((Part::Named(name), self.number(schema, resource)?));
                    }
                }
                "patternProperties" => {
                    for schema in value.as_object().into_iter().flat_map(Map::values) {
                        node.below.push((Part::AnyName, self.number(schema, resource)?));
                    }
                }
                "additionalProperties" | "propertyNames" => {
                    node.below.push((Part::AnyName, self.number(value, resource)?));
                }
                "prefixItems" => {
                    for (at, schema) in value.as_array().into_iter().flatten().enumerate() {
                        node.below.push((Part::Item(at), self.number(schema, resource)?));
                    }
                }
                "items" | "contains" => node.below.push((Part::AnyItem, self.number(value, resource)?)),
                // To know what nobody looked at, everything is looked at once more.
                "unevaluatedProperties" => {
                    node.times = 2;
                    node.below.push((Part::AnyName, self.number(value, resource)?));
                }
                "unevaluatedItems" => {
                    node.times = 2;
                    node.below.push((Part::AnyItem, self.number(value, resource)?));
                }
                "$ref" | "$dynamicRef" => {
                    node.refers = true;
                    for (schema, resource) in self.referred(value, resource)? {
                        node.here.push(self.number(schema, resource)?);
                    }
                }
                _ => {}
            }
        }
        if let Some(known) = self.nodes.get_mut(number) {
            *known = node;
        }
        Ok(())
    }

    /// What a reference may mean, with the resource it stands in.
    fn referred(&self, reference: &'a Value, resource: &'a Value) -> Result<Vec<(&'a Value, &'a Value)>, Unbounded> {
        let reference = reference.as_str().ok_or(Unbounded::Elsewhere)?;
        let (id, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let resource = match id {
            "" => resource,
            _ => found(self.document, &|members| members.get("$id").and_then(Value::as_str) == Some(id))
                .first()
                .copied()
                .ok_or(Unbounded::Elsewhere)?,
        };
        let meant = match fragment {
            "" => vec![resource],
            pointer if pointer.starts_with('/') => resource.pointer(&unescaped(pointer)).into_iter().collect(),
            anchor => found(resource, &|members| {
                ["$anchor", "$dynamicAnchor"]
                    .iter()
                    .any(|keyword| members.get(*keyword).and_then(Value::as_str) == Some(anchor))
            }),
        };
        if meant.is_empty() {
            Err(Unbounded::Elsewhere)
        } else {
            Ok(meant.into_iter().map(|one| (one, resource)).collect())
        }
    }
}

/// Every object of a document that is one of these.
fn found<'a>(document: &'a Value, is: &dyn Fn(&Map<String, Value>) -> bool) -> Vec<&'a Value> {
    let (mut found, mut waiting) = (Vec::new(), vec![document]);
    while let Some(value) = waiting.pop() {
        match value {
            Value::Object(members) => {
                if is(members) {
                    found.push(value);
                }
                waiting.extend(members.values());
            }
            Value::Array(items) => waiting.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    found
}

/// A pointer in a fragment is percent-encoded (RFC 6901 §6).
fn unescaped(pointer: &str) -> String {
    let mut bytes = Vec::with_capacity(pointer.len());
    let mut rest = pointer;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        if let Some(byte) = after.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok()) {
            bytes.push(byte);
            rest = after.get(2..).unwrap_or_default();
        } else {
            bytes.push(b'%');
            rest = after;
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What one schema asks about a place, all that it asks through others included.
struct Asked<'a> {
    checks: u64,
    named: BTreeMap<Part<'a>, Vec<(usize, u64)>>,
}

/// The counts, schema by schema.
struct Counting<'a> {
    asked: Vec<Asked<'a>>,
}

/// Every schema that is asked through one, and how often.
type Through = Rc<BTreeMap<usize, u64>>;

#[derive(Clone)]
enum Visit {
    Not,
    Now,
    Done(Through),
}

impl<'a> Counting<'a> {
    fn new(nodes: &[Node<'a>]) -> Result<Self, Unbounded> {
        let mut visits = vec![Visit::Not; nodes.len()];
        let (mut asked, mut pairs) = (Vec::with_capacity(nodes.len()), 0);
        for number in 0..nodes.len() {
            let through = through(nodes, number, &mut visits, (LONGEST_CHAIN, &mut pairs))?;
            let mut own = Asked { checks: 0, named: BTreeMap::new() };
            for (number, times) in through.iter() {
                own.checks = own.checks.saturating_add(*times);
                for (part, target) in nodes.get(*number).into_iter().flat_map(|node| &node.below) {
                    own.named.entry(*part).or_default().push((*target, *times));
                    pairs += 1;
                }
            }
            if pairs > MOST_PAIRS {
                return Err(Unbounded::TooLarge);
            }
            asked.push(own);
        }
        Ok(Self { asked })
    }

    /// Holds the way down with the most checks to the bound. The root has number 0.
    fn most(&self) -> Result<(), Unbounded> {
        let mut below = vec![0; self.asked.len()];
        for _ in 0..=LEVELS {
            let here: Vec<u64> = self.asked.iter().map(|asked| asked.most(&below)).collect();
            if here.first().is_some_and(|checks| *checks > MOST_CHECKS) {
                return Err(Unbounded::TooOften);
            }
            if here == below {
                break;
            }
            below = here;
        }
        Ok(())
    }
}

impl Asked<'_> {
    fn most(&self, below: &[u64]) -> u64 {
        let sum = |part: &Part<'_>| {
            let targets = self.named.get(part).into_iter().flatten();
            targets.fold(0_u64, |sum, (target, times)| {
                sum.saturating_add(times.saturating_mul(below.get(*target).copied().unwrap_or(0)))
            })
        };
        let (any_name, any_item) = (sum(&Part::AnyName), sum(&Part::AnyItem));
        let parts = self.named.keys().map(|part| match part {
            Part::Named(_) => sum(part).saturating_add(any_name),
            Part::Item(_) => sum(part).saturating_add(any_item),
            Part::AnyName => any_name,
            Part::AnyItem => any_item,
        });
        self.checks.saturating_add(parts.max().unwrap_or(0))
    }
}

fn through(
    nodes: &[Node<'_>],
    number: usize,
    visits: &mut [Visit],
    (chain, pairs): (usize, &mut usize),
) -> Result<Through, Unbounded> {
    match visits.get(number) {
        Some(Visit::Done(known)) => return Ok(Rc::clone(known)),
        Some(Visit::Now) => return Err(Unbounded::Circle),
        Some(Visit::Not) if chain > 0 => {}
        Some(Visit::Not) | None => return Err(Unbounded::TooLarge),
    }
    let mut all = BTreeMap::from([(number, 1)]);
    if let (Some(node), Some(visit)) = (nodes.get(number), visits.get_mut(number)) {
        *visit = Visit::Now;
        for next in &node.here {
            for (number, times) in through(nodes, *next, visits, (chain - 1, &mut *pairs))?.iter() {
                let count: &mut u64 = all.entry(*number).or_default();
                *count = count.saturating_add(times.saturating_mul(node.times));
            }
        }
    }
    *pairs += all.len();
    if *pairs > MOST_PAIRS {
        return Err(Unbounded::TooLarge);
    }
    let all = Rc::new(all);
    if let Some(visit) = visits.get_mut(number) {
        *visit = Visit::Done(Rc::clone(&all));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ordinary_recursion_is_bounded() {
        let refer = |name: &str| json!({"$ref": format!("#/$defs/{name}")});
        for schema in [
            json!({"type": "object"}),
            json!(true),
            json!({"properties": {"child": {"$ref": "#"}, "other": {"$ref": "#"}}}),
            // A filter as real APIs have it: alternatives that go down under names of their own.
            json!({"$ref": "#/$defs/filter", "$defs": {"filter": {"anyOf": [
                {"properties": {"and": {"items": refer("filter")}}, "required": ["and"]},
                {"properties": {"or": {"items": refer("filter")}}, "required": ["or"]},
                {"properties": {"not": refer("filter")}, "required": ["not"]},
                {"properties": {"property": {"type": "string"}}},
            ]}}}),
            json!({"$id": "https://x.example/a", "properties": {"a": {"$ref": "https://x.example/a"}, "b": {"$ref": "#here"}},
                "$defs": {"b c": {"$anchor": "here", "items": {"$ref": "#/$defs/b%20c"}}}}),
            json!({"$dynamicAnchor": "node", "properties": {"children": {"items": {"$dynamicRef": "#node"}}}}),
            json!({"anyOf": (0..500).map(|_| json!({"$ref": "#/$defs/a"})).collect::<Vec<_>>(), "$defs": {"a": {"type": "string"}}}),
        ] {
            assert_eq!(is_bounded(&schema), Ok(()), "{:.300}", schema.to_string());
        }
    }

    #[test]
    fn circles_doublings_and_forks_are_not() {
        let doubled = |n: usize| json!({"anyOf": [{"$ref": format!("#/$defs/d{}", n + 1)}, {"$ref": format!("#/$defs/d{}", n + 1)}]});
        let mut defs: Map<String, Value> = (0..40).map(|n| (format!("d{n}"), doubled(n))).collect();
        defs.insert("d40".into(), json!({"type": "integer"}));
        let mut chain: Map<String, Value> =
            (0..1_000).map(|n| (format!("d{n}"), json!({"$ref": format!("#/$defs/d{}", n + 1)}))).collect();
        chain.insert("d1000".into(), json!(true));
        let fork = json!({"anyOf": [{"properties": {"c": {"$ref": "#"}}}, {"properties": {"c": {"$ref": "#"}}, "required": ["x"]}]});
        let any =
            json!({"allOf": [{"additionalProperties": {"$ref": "#"}}, {"patternProperties": {"^c": {"$ref": "#"}}}]});
        let items = json!({"allOf": [{"items": {"$ref": "#"}}, {"contains": {"$ref": "#"}}]});
        for (schema, why) in [
            (json!({"allOf": [{"$ref": "#"}]}), Unbounded::Circle),
            (json!({"$dynamicAnchor": "a", "not": {"$dynamicRef": "#a"}}), Unbounded::Circle),
            (
                json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"if": {"$ref": "#/$defs/a"}}}}),
                Unbounded::Circle,
            ),
            (json!({"$ref": "#/$defs/d0", "$defs": defs}), Unbounded::TooOften),
            (json!({"$ref": "#/$defs/d0", "$defs": chain}), Unbounded::TooLarge),
            (fork, Unbounded::TooOften),
            (any, Unbounded::TooOften),
            (items, Unbounded::TooOften),
            (json!({"properties": {"a": {"$ref": "#"}}, "unevaluatedProperties": {"$ref": "#"}}), Unbounded::TooOften),
            (json!({"$ref": "https://elsewhere.example/schema"}), Unbounded::Elsewhere),
            (json!({"$ref": "#/$defs/none"}), Unbounded::Elsewhere),
            (json!({"properties": {"a": {"$ref": 7}}}), Unbounded::Elsewhere),
        ] {
            assert_eq!(is_bounded(&schema), Err(why), "{:.300}", schema.to_string());
        }
    }
}
