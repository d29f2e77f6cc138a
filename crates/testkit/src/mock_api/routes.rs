//! The operations of a document, found by method and concrete path, and what each does.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// All operations, most literal path first.
#[derive(Debug)]
pub(super) struct Routes(Vec<Route>);

#[derive(Debug)]
struct Route {
    method: String,
    template: String,
    segments: Vec<Segment>,
    role: Role,
}

/// One segment of a template: text, or a parameter between two texts (`{ID}.json`).
#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Parameter { before: String, after: String },
}

/// What an operation is, as its place among the others says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    List,
    Create,
    Read,
    Update,
    Delete,
    Action,
    Report,
    Media(&'static str),
}

/// What to do for one request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) kind: Kind,
    /// The item that must exist for it, as a path.
    pub(super) needs: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    List,
    Create,
    Read,
    Update,
    Delete,
    /// A word after an item.
    Action {
        item: String,
        verb: String,
    },
    /// Figures without items of their own.
    Report,
    /// Not JSON.
    Media(&'static str),
}

impl Routes {
    pub(super) fn of(document: &Value) -> Result<Self> {
        let paths = document["paths"].as_object().context("the document has no `paths`")?;
        let known: BTreeSet<(&str, &str)> = paths
            .iter()
            .flat_map(|(path, item)| METHODS.iter().filter(|m| item.get(**m).is_some()).map(|m| (path.as_str(), *m)))
            .collect();
        let mut routes = Vec::new();
        for (template, method) in &known {
            let segments = split(template).map(Segment::parse).collect::<Result<Vec<_>>>()?;
            let role = Role::of(template, method, &known);
            routes.push(Route { method: method.to_uppercase(), template: (*template).to_owned(), segments, role });
        }
        routes.sort_by_key(|route| {
            route.segments.iter().filter(|segment| !matches!(segment, Segment::Literal(_))).count()
        });
        Ok(Self(routes))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Collections that stand at the top, so that items can be made without a parent.
    pub(super) fn seedable(&self) -> Vec<String> {
        let collections = self.0.iter().filter(|route| route.role == Role::Create && !route.template.contains('{'));
        collections.map(|route| route.template.clone()).collect()
    }

    #[cfg(test)]
    pub(super) fn templates(&self) -> Vec<(String, String)> {
        self.0.iter().map(|route| (route.method.clone(), route.template.clone())).collect()
    }

    pub(super) fn find(&self, method: &str, path: &str) -> Option<Found> {
        let parts: Vec<&str> = split(path).collect();
        let route = self.0.iter().find(|route| route.method == method && route.matches(&parts))?;
        let kind = match route.role {
            Role::List => Kind::List,
            Role::Create => Kind::Create,
            Role::Read => Kind::Read,
            Role::Update => Kind::Update,
            Role::Delete => Kind::Delete,
            Role::Report => Kind::Report,
            Role::Media(content_type) => Kind::Media(content_type),
            Role::Action => {
                let (item, verb) = path.rsplit_once('/')?;
                Kind::Action { item: item.to_owned(), verb: verb.to_owned() }
            }
        };
        Some(Found { kind, needs: self.parent_item(&route.segments, &parts, route.role) })
    }

    /// The nearest item above the path that the document can read: it must exist.
    fn parent_item(&self, segments: &[Segment], parts: &[&str], role: Role) -> Option<String> {
        if matches!(role, Role::Media(_)) {
            return None;
        }
        (1..parts.len()).rev().find_map(|length| {
            let above = segments.get(..length)?;
            let is_item = self.0.iter().any(|route| route.role == Role::Read && route.segments == above);
            is_item.then(|| format!("/{}", parts.get(..length).unwrap_or_default().join("/")))
        })
    }
}

impl Route {
    fn matches(&self, parts: &[&str]) -> bool {
        self.segments.len() == parts.len()
            && self.segments.iter().zip(parts).all(|(segment, part)| segment.matches(part))
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self> {
        let Some((before, rest)) = text.split_once('{') else {
            return Ok(Self::Literal(text.to_owned()));
        };
        let (_, after) =
            rest.split_once('}').with_context(|| format!("`{text}` opens a brace and does not close it"))?;
        if after.contains('{') {
            bail!("`{text}` has two parameters in one segment");
        }
        Ok(Self::Parameter { before: before.to_owned(), after: after.to_owned() })
    }

    fn matches(&self, part: &str) -> bool {
        match self {
            Self::Literal(text) => text == part,
            Self::Parameter { before, after } => part
                .strip_prefix(before.as_str())
                .and_then(|rest| rest.strip_suffix(after.as_str()))
                .is_some_and(|value| !value.is_empty() && !value.contains(['{', '}'])),
        }
    }
}

impl Role {
    fn of(template: &str, method: &str, known: &BTreeSet<(&str, &str)>) -> Self {
        let (above, last) = template.rsplit_once('/').unwrap_or(("", template));
        if let Some(content_type) = media_type(last) {
            return Self::Media(content_type);
        }
        let whole_parameter = last.starts_with('{') && last.ends_with('}');
        let in_collection = whole_parameter && (known.contains(&(above, "post")) || known.contains(&(above, "get")));
        let reports = template.starts_with("/data/") && method == "get" && !known.contains(&(above, "post"));
        match method {
            _ if reports && !has_items(template, known) => Self::Report,
            "get" if in_collection => Self::Read,
            "put" | "patch" if in_collection => Self::Update,
            "delete" if in_collection => Self::Delete,
            "get" if whole_parameter && !above.contains('{') && above.len() > 1 => Self::Read,
            "get" if whole_parameter => Self::Media("application/octet-stream"),
            "get" if has_items(template, known) => Self::List,
            "post" if has_items(template, known) => Self::Create,
            "post" if !above.ends_with('}') => Self::Create,
            "post" | "put" | "patch" | "delete" => Self::Action,
            _ => Self::Report,
        }
    }
}

/// Whether the document has items right below this path that can be made or removed.
fn has_items(template: &str, known: &BTreeSet<(&str, &str)>) -> bool {
    let below =
        |path: &str| path.rsplit_once('/').is_some_and(|(above, last)| above == template && last.starts_with('{'));
    known.contains(&(template, "post")) && known.iter().any(|(path, _)| below(path))
        || known.iter().any(|(path, method)| below(path) && *method != "get")
}

fn media_type(last: &str) -> Option<&'static str> {
    let (_, extension) = last.rsplit_once('.')?;
    Some(match extension {
        "m3u8" => "application/vnd.apple.mpegurl",
        "vtt" => "text/vtt",
        "txt" => "text/plain",
        "json" => "application/json",
        _ => "image/png",
    })
}

fn split(path: &str) -> impl Iterator<Item = &str> {
    path.trim_start_matches('/').split('/')
}
