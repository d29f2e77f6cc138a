//! Constraints of grants that speak of an argument none of their tools has, or of no tool at all: the argument that was meant
//! stays as free as it was.

use std::collections::BTreeSet;

use ambit_live::catalogue::PublishedTool;
use ambit_model::{
    constraints::ToolPattern,
    grant::Grant,
    ids::ServerSlug,
    toolset::{Selector, Toolset},
};
use serde_json::Value;

use super::Found;
use crate::config::Problem;

/// How deep arguments and the references of a schema are followed.
const DEEPEST: usize = 16;

pub(super) fn unknown(found: &Found<'_>) -> Vec<Problem> {
    let deployment = &found.resolved.deployment;
    let mut problems = Vec::new();
    for (number, grant) in deployment.grants.iter().enumerate() {
        let Some(toolset) = deployment.toolsets.get(&grant.toolset) else { continue };
        for (pattern, fragment) in grant.constraints.iter() {
            problems.extend(of_fragment(found, (number, grant), (toolset, pattern), fragment));
        }
    }
    problems
}

fn of_fragment(
    found: &Found<'_>,
    (number, grant): (usize, &Grant),
    (toolset, pattern): (&Toolset, &ToolPattern),
    fragment: &Value,
) -> Vec<Problem> {
    let servers = |selector: &&Selector| pattern.server().is_none_or(|server| selector.server() == server);
    let meant = toolset.tools.iter().filter(servers);
    // Of a server that is not read here, nobody can say which arguments its tools have.
    let known = |slug: &ServerSlug| found.with_tools().any(|read| read.slug == *slug);
    if !meant.clone().all(|selector| known(selector.server())) {
        return Vec::new();
    }
    let tools: Vec<&PublishedTool> = found
        .with_tools()
        .flat_map(|read| read.tools.values())
        .map(AsRef::as_ref)
        .filter(|tool| pattern.fits(tool.id()) && toolset.contains(tool.id(), tool.effect.effect))
        .collect();
    let place = format!("grants[{number}].constraints.\"{pattern}\"");
    if tools.is_empty() {
        let message = format!(
            "is about no tool of toolset `{}`, so it limits nothing: correct it; `ambit tools` lists the names",
            grant.toolset
        );
        return vec![found.problem(place, message)];
    }
    let mut named = BTreeSet::new();
    collect(fragment, &mut Vec::new(), &mut named);
    let missing = named.into_iter().filter(|path| {
        // What lies below an argument that is not there is told with it.
        let whole = |upto: usize| tools.iter().any(|tool| declares(tool, path.get(..upto).unwrap_or_default()));
        !whole(path.len()) && whole(path.len().saturating_sub(1))
    });
    let told = missing.map(|path| {
        let message = format!(
            "speaks of the argument `{}`, which no tool it is about has, so the argument that is meant is not limited: correct \
             the name; `ambit tools --server {} --json` lists the arguments of each tool",
            path.join("."),
            tools.first().map_or("", |tool| tool.id().server.as_str()),
        );
        found.problem(place.clone(), message)
    });
    told.collect()
}

/// The arguments a fragment speaks of, by their paths.
fn collect(fragment: &Value, at: &mut Vec<String>, named: &mut BTreeSet<Vec<String>>) {
    let Some(fragment) = fragment.as_object().filter(|_| at.len() < DEEPEST) else { return };
    let path = |at: &[String], name: &str| at.iter().cloned().chain([name.to_owned()]).collect::<Vec<_>>();
    for (name, inner) in fragment.get("properties").and_then(Value::as_object).into_iter().flatten() {
        named.insert(path(at, name));
        at.push(name.clone());
        collect(inner, at, named);
        at.pop();
    }
    let required = fragment.get("required").and_then(Value::as_array).into_iter().flatten();
    named.extend(required.filter_map(Value::as_str).map(|name| path(at, name)));
}

/// Whether the schema of a tool has an argument, or cannot be seen through so far.
fn declares(tool: &PublishedTool, path: &[String]) -> bool {
    let root: &Value = tool.input_schema();
    let mut now = vec![root];
    for name in path {
        let mut next = Vec::new();
        for schema in now {
            match step(root, schema, name, 0) {
                Step::To(found) => next.extend(found),
                Step::Unseen => return true,
            }
        }
        now = next;
    }
    !now.is_empty()
}

/// Where one step into an argument leads.
enum Step<'a> {
    To(Vec<&'a Value>),
    /// Nothing is declared there at all, so anything may be meant.
    Unseen,
}

fn step<'a>(root: &'a Value, schema: &'a Value, name: &str, depth: usize) -> Step<'a> {
    let Some(object) = schema.as_object().filter(|_| depth < DEEPEST) else { return Step::Unseen };
    let mut parts: Vec<&Value> = Vec::new();
    if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
        let Some(target) = reference.strip_prefix('#').and_then(|at| root.pointer(at)) else { return Step::Unseen };
        parts.push(target);
    }
    for combined in ["allOf", "anyOf", "oneOf"] {
        parts.extend(object.get(combined).and_then(Value::as_array).into_iter().flatten());
    }
    let own = object.get("properties").and_then(Value::as_object);
    if object.contains_key("patternProperties") || (own.is_none() && parts.is_empty()) {
        return Step::Unseen;
    }
    let mut found: Vec<&Value> = own.and_then(|own| own.get(name)).into_iter().collect();
    for part in parts {
        match step(root, part, name, depth + 1) {
            Step::To(more) => found.extend(more),
            // A part that only adds to what is declared beside it declares nothing.
            Step::Unseen if own.is_some() => {}
            Step::Unseen => return Step::Unseen,
        }
    }
    Step::To(found)
}
