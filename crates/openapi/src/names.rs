//! Names: of tools, from operation ids; of arguments, from parameters and body fields.
//!
//! A name depends on the document's content, never on its order, so that a re-import or a reordered document yields the
//! same names and nobody's grant or lock entry moves to another operation.

use std::collections::{BTreeMap, BTreeSet};

use ambit_model::{Digest, names::local_name};
use http::Method;

/// The longest argument name; clients refuse longer property names.
const MAX_ARGUMENT: usize = 64;
const HASH_CHARS: usize = 8;

/// What an operation is named after.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity<'d> {
    pub(crate) operation_id: Option<&'d str>,
    pub(crate) method: &'d Method,
    pub(crate) path: &'d str,
}

/// The local names of a document's operations, in their order. `None` where no distinct name is left.
pub(crate) fn tool_names(operations: &[Identity<'_>]) -> Vec<Option<String>> {
    let by_id: Vec<Option<String>> = operations.iter().map(|one| one.operation_id.map(local_name)).collect();
    let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
    for name in by_id.iter().flatten() {
        *uses.entry(name).or_default() += 1;
    }
    // An id used twice names neither operation: which came first is an accident of the document.
    let names: Vec<String> = operations
        .iter()
        .zip(&by_id)
        .map(|(one, name)| match name {
            Some(name) if uses.get(name.as_str()) == Some(&1) => name.clone(),
            Some(_) | None => by_place(one),
        })
        .collect();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for name in &names {
        *seen.entry(name).or_default() += 1;
    }
    names.iter().map(|name| (seen.get(name.as_str()) == Some(&1)).then(|| name.clone())).collect()
}

/// `get_repos_owner_issues_` and a hash: the blank in the raw name makes `local_name` add it, so that `/a/{b}` and `/a/b`
/// stay apart.
fn by_place(operation: &Identity<'_>) -> String {
    local_name(&format!("{} {}", operation.method.as_str().to_ascii_lowercase(), operation.path))
}

/// Where an argument's value goes. The order decides who keeps a name that several want.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    Path,
    Query,
    Header,
    Cookie,
    Body,
}

impl Place {
    /// The word in names and messages.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Cookie => "cookie",
            Self::Body => "body",
        }
    }
}

/// The argument names of wire names, in their order. A name that several places want stays with the first of [`Place`];
/// the others carry their place in front.
pub(crate) fn argument_names(wanted: &[(Place, &str)]) -> Vec<String> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by_key(|index| wanted.get(*index).map(|(place, wire)| (*place, *wire)));
    let mut taken = BTreeSet::new();
    let mut names = vec![String::new(); wanted.len()];
    for index in order {
        let Some((place, wire)) = wanted.get(index) else { continue };
        let plain = argument_name(wire);
        let placed = cut(format!("{}_{plain}", place.as_str()), wire);
        let hashed = with_hash(&placed, &format!("{} {wire}", place.as_str()));
        let free = [plain, placed, hashed].into_iter().find(|name| !taken.contains(name));
        if let (Some(free), Some(slot)) = (free, names.get_mut(index)) {
            taken.insert(free.clone());
            *slot = free;
        }
    }
    names
}

/// A wire name as a property clients accept: `[A-Za-z0-9_.-]`, at most 64 characters. `ids[]` is shown as `ids`.
fn argument_name(wire: &str) -> String {
    let bare = wire.strip_suffix("[]").unwrap_or(wire);
    let mut name = String::with_capacity(bare.len());
    for character in bare.chars() {
        if character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '-') {
            name.push(character);
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
    }
    let name = if name == bare { name } else { name.trim_end_matches('_').to_owned() };
    if name.is_empty() { with_hash("argument", wire) } else { cut(name, wire) }
}

fn cut(name: String, origin: &str) -> String {
    if name.len() <= MAX_ARGUMENT { name } else { with_hash(&name, origin) }
}

fn with_hash(stem: &str, origin: &str) -> String {
    let hash: String = Digest::of(origin.as_bytes()).short().chars().take(HASH_CHARS).collect();
    let stem: String = stem.chars().take(MAX_ARGUMENT - HASH_CHARS - 1).collect();
    format!("{stem}_{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity<'d>(operation_id: Option<&'d str>, method: &'d Method, path: &'d str) -> Identity<'d> {
        Identity { operation_id, method, path }
    }

    #[test]
    fn an_id_used_twice_names_neither_operation() {
        let operations = [
            identity(Some("list"), &Method::GET, "/a"),
            identity(Some("list"), &Method::GET, "/b"),
            identity(Some("get-a"), &Method::GET, "/a/{id}"),
            identity(None, &Method::DELETE, "/a/{id}"),
            identity(None, &Method::DELETE, "/a/id"),
        ];
        let names: Vec<String> = tool_names(&operations).into_iter().flatten().collect();
        assert_eq!(names.len(), 5);
        assert!(names[0].starts_with("get_a_") && names[1].starts_with("get_b_"), "{names:?}");
        assert_eq!(names[2], "get-a");
        assert!(names[3].starts_with("delete_a_id_") && names[3] != names[4], "{names:?}");
        let mut turned = operations;
        turned.reverse();
        let mut again: Vec<String> = tool_names(&turned).into_iter().flatten().collect();
        again.reverse();
        assert_eq!(names, again);
    }

    #[test]
    fn a_parameter_and_a_body_field_of_one_name_stay_apart() {
        let names = argument_names(&[
            (Place::Body, "id"),
            (Place::Query, "id"),
            (Place::Path, "id"),
            (Place::Body, "body_id"),
            (Place::Query, "ids[]"),
            (Place::Query, "ids"),
            (Place::Query, "filter[created][gte]"),
            (Place::Header, "日本"),
            (Place::Cookie, "_trailing_"),
        ]);
        assert!(names[0].starts_with("body_id_"), "{names:?}");
        assert_eq!(names[1..4], ["query_id", "id", "body_id"]);
        assert_eq!(names[5], "ids");
        assert_eq!((names[4].as_str(), names[6].as_str()), ("query_ids", "filter_created_gte"));
        assert!(names[7].starts_with("argument_"));
        assert_eq!(names[8], "_trailing_");
        let distinct: BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
    }

    #[test]
    fn long_names_are_cut_and_marked() {
        let long = "x".repeat(100);
        let other = format!("{long}y");
        let names = argument_names(&[(Place::Query, &long), (Place::Query, &other)]);
        assert!(names.iter().all(|name| name.len() <= MAX_ARGUMENT));
        assert_ne!(names[0], names[1]);
    }
}
