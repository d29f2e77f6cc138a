//! References inside a document: found, measured, and decided upon before any schema is converted.
//!
//! A `$ref` is followed only inside the document. Each target is measured once: how large and how deep it is with the
//! small targets below it written out, and whether it can reach itself. Small ones are inlined where they are used; large or
//! recursive ones become an entry of `$defs`. The decision depends on the target's own content, never on the order of
//! the document, so a re-import yields the same schema. Nothing here recurses through references: a chain of any length
//! is walked with an explicit stack.

use std::collections::HashMap;
use std::rc::Rc;

use serde_json::{Map, Value};

/// A target with more nodes than this becomes an entry of `$defs` instead of being repeated.
const INLINE_NODES: usize = 120;
/// A target nesting deeper than this becomes an entry of `$defs`.
const INLINE_HEIGHT: usize = 12;

/// Keywords whose value is one schema.
pub(crate) const ONE: [&str; 11] = [
    "items",
    "not",
    "additionalProperties",
    "contains",
    "propertyNames",
    "if",
    "then",
    "else",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
];
/// Keywords whose value is a list of schemas.
pub(crate) const LIST: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// Keywords whose value is an object of schemas.
pub(crate) const NAMED: [&str; 3] = ["properties", "patternProperties", "dependentSchemas"];

/// Why a reference cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefError {
    /// The reference leaves the document.
    #[error("`$ref` to `{0}` leaves the document and is never fetched: bundle the document into one file")]
    External(String),
    /// The reference points at nothing.
    #[error("`$ref` to `{0}` points at nothing in the document")]
    Missing(String),
    /// A chain of references that only refer to each other.
    #[error("`$ref` to `{0}` leads back to itself without a definition")]
    Circular(String),
}

/// What is known about a reference target.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    /// Nodes with inlined targets written out.
    pub nodes: usize,
    /// Nesting with inlined targets written out.
    pub height: usize,
    /// Written out where it is used, not an entry of `$defs`.
    pub inline: bool,
}

/// References of one document.
pub(crate) struct Refs<'d> {
    document: &'d Value,
    targets: HashMap<Rc<str>, Result<Target, RefError>>,
}

impl<'d> Refs<'d> {
    pub(crate) fn new(document: &'d Value) -> Self {
        Self { document, targets: HashMap::new() }
    }

    /// The value a reference names; one step.
    pub(crate) fn lookup(&self, reference: &str) -> Result<&'d Value, RefError> {
        let shown = || crate::text::clean(reference, 200);
        let Some(fragment) = reference.strip_prefix('#') else { return Err(RefError::External(shown())) };
        let pointer = percent_decoded(fragment).ok_or_else(|| RefError::Missing(shown()))?;
        self.document.pointer(&pointer).ok_or_else(|| RefError::Missing(shown()))
    }

    /// Follows references until a value that is none: for parameters, bodies, path items, responses.
    pub(crate) fn deref(&self, mut value: &'d Value) -> Result<&'d Value, RefError> {
        for _ in 0..32 {
            let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return Ok(value) };
            value = self.lookup(reference)?;
        }
        Err(RefError::Circular(crate::text::clean(value.get("$ref").and_then(Value::as_str).unwrap_or("?"), 200)))
    }

    /// What is known about the target of a reference in a schema.
    pub(crate) fn target(&mut self, reference: &str) -> Result<Target, RefError> {
        if let Some(known) = self.targets.get(reference) {
            return known.clone();
        }
        self.measure(reference);
        self.targets
            .get(reference)
            .cloned()
            .unwrap_or_else(|| Err(RefError::Missing(crate::text::clean(reference, 200))))
    }

    /// Tarjan's components with an explicit stack: a component is finished only after everything it refers to.
    fn measure(&mut self, root: &str) {
        let mut walk = Walk::default();
        self.open(&mut walk, Rc::from(root));
        while let Some(frame) = walk.frames.last_mut() {
            let at = frame.node;
            if let Some(next) = frame.pending.pop() {
                if self.targets.contains_key(&next) {
                    continue;
                }
                match walk.index.get(&next).copied() {
                    Some(seen) => walk.lower(at, seen),
                    None => self.open(&mut walk, next),
                }
                continue;
            }
            walk.frames.pop();
            if let Some(parent) = walk.frames.last().map(|frame| frame.node) {
                let low = walk.nodes.get(at).map_or(at, |node| node.low);
                walk.lower(parent, low);
            }
            self.close(&mut walk, at);
        }
    }

    fn open(&self, walk: &mut Walk, name: Rc<str>) {
        let at = walk.nodes.len();
        let found = self.lookup(&name).map(own_shape);
        let pending =
            found.as_ref().map(|shape| shape.refs.iter().map(|(to, _)| to.clone()).collect()).unwrap_or_default();
        walk.index.insert(name.clone(), at);
        walk.nodes.push(Node { name, low: at, shape: found });
        walk.frames.push(Frame { node: at, pending });
    }

    fn close(&mut self, walk: &mut Walk, at: usize) {
        if walk.nodes.get(at).is_none_or(|node| node.low != at) {
            return;
        }
        let members = walk.nodes.split_off(at);
        for member in &members {
            walk.index.remove(&member.name);
        }
        let several = members.len() > 1;
        for member in members {
            let measured = member.shape.and_then(|shape| {
                let recursive = several || shape.refs.iter().any(|(to, _)| *to == member.name);
                self.written_out(&shape, recursive)
            });
            self.targets.insert(member.name, measured);
        }
    }

    fn written_out(&self, shape: &Shape, recursive: bool) -> Result<Target, RefError> {
        let (mut nodes, mut height) = (shape.nodes, shape.height);
        for (to, depth) in &shape.refs {
            match self.targets.get(to) {
                Some(Ok(target)) if target.inline => {
                    nodes = nodes.saturating_add(target.nodes);
                    height = height.max(depth + target.height);
                }
                // Members of the same component are not measured yet; they become `$defs` like this one.
                Some(Ok(_)) | None => {}
                Some(Err(error)) => return Err(error.clone()),
            }
        }
        let inline = !recursive && nodes <= INLINE_NODES && height <= INLINE_HEIGHT;
        Ok(Target { nodes, height, inline })
    }
}

#[derive(Default)]
struct Walk {
    index: HashMap<Rc<str>, usize>,
    nodes: Vec<Node>,
    frames: Vec<Frame>,
}

impl Walk {
    fn lower(&mut self, at: usize, to: usize) {
        if let Some(node) = self.nodes.get_mut(at) {
            node.low = node.low.min(to);
        }
    }
}

struct Node {
    name: Rc<str>,
    low: usize,
    shape: Result<Shape, RefError>,
}

struct Frame {
    node: usize,
    pending: Vec<Rc<str>>,
}

/// A schema's own size and the references in it, each with its depth.
struct Shape {
    nodes: usize,
    height: usize,
    refs: Vec<(Rc<str>, usize)>,
}

fn own_shape(schema: &Value) -> Shape {
    let mut shape = Shape { nodes: 0, height: 0, refs: Vec::new() };
    let mut open = vec![(schema, 1_usize)];
    while let Some((value, depth)) = open.pop() {
        shape.nodes += 1;
        shape.height = shape.height.max(depth);
        let Value::Object(members) = value else { continue };
        if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
            shape.refs.push((Rc::from(reference), depth));
        }
        shape.nodes += members.get("enum").and_then(Value::as_array).map_or(0, |values| values.len() / 8);
        open.extend(children(members).map(|child| (child, depth + 1)));
    }
    shape
}

/// The sub-schemas of a schema.
pub(crate) fn children(schema: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    let one = ONE.iter().filter_map(|key| schema.get(*key)).filter(|value| value.is_object());
    let list = LIST.iter().chain(&["items"]).filter_map(|key| schema.get(*key)?.as_array()).flatten();
    let named = NAMED.iter().filter_map(|key| schema.get(*key)?.as_object()).flat_map(Map::values);
    one.chain(list).chain(named)
}

fn percent_decoded(fragment: &str) -> Option<String> {
    if !fragment.contains('%') {
        return Some(fragment.to_owned());
    }
    String::from_utf8(crate::encode::percent_decode(fragment.as_bytes())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn recursion_is_found_and_small_targets_are_inlined() {
        let document = json!({"s": {
            "leaf": {"type": "string"},
            "tree": {"properties": {"value": {"$ref": "#/s/leaf"}, "next": {"$ref": "#/s/twig"}}},
            "twig": {"properties": {"back": {"$ref": "#/s/tree"}}},
            "above": {"properties": {"a": {"$ref": "#/s/tree"}}},
            "me": {"items": {"$ref": "#/s/me"}},
        }});
        let mut refs = Refs::new(&document);
        for (name, inline) in [("above", true), ("leaf", true), ("tree", false), ("twig", false), ("me", false)] {
            assert_eq!(refs.target(&format!("#/s/{name}")).unwrap().inline, inline, "{name}");
        }
    }

    #[test]
    fn a_long_chain_neither_overflows_nor_grows() {
        let links: Map<String, Value> = (0..50_000)
            .map(|n| (format!("s{n}"), json!({"properties": {"a": {"$ref": format!("#/s{}", n + 1)}, "b": {"$ref": format!("#/s{}", n + 1)}}})))
            .chain([("s50000".to_owned(), json!({}))])
            .collect();
        let document = Value::Object(links);
        let mut refs = Refs::new(&document);
        let target = refs.target("#/s0").unwrap();
        assert!(target.nodes <= 3 + 2 * INLINE_NODES && target.height <= 2 + INLINE_HEIGHT);
    }

    #[test]
    fn references_out_of_the_document_or_to_nothing_are_errors() {
        let document = json!({"a": {"$ref": "#/b"}, "b": {"$ref": "#/a"}, "c": {"items": {"$ref": "http://169.254.169.254/x"}}, "x y": {}});
        let mut refs = Refs::new(&document);
        for reference in ["http://169.254.169.254/x", "file:///etc/passwd", "other.json#/a", "//host/x"] {
            assert!(matches!(refs.target(reference), Err(RefError::External(_))), "{reference}");
        }
        assert!(matches!(refs.target("#/c"), Err(RefError::External(_))));
        assert!(matches!(refs.target("#/nowhere"), Err(RefError::Missing(_))));
        assert!(matches!(refs.deref(&document["a"]), Err(RefError::Circular(_))));
        assert!(refs.target("#/x%20y").is_ok());
    }
}
