//! The direction between the crates, what each may depend on, and the licences of everything that is linked.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Finding;

/// Each room and the rooms it may use. Everything points downwards; a pair that is not here is refused.
const ROOMS: &[(&str, &[&str])] = &[
    ("ambit-model", &[]),
    ("ambit-mcp", &[]),
    ("ambit-egress", &[]),
    ("ambit-ledger", &["model"]),
    ("ambit-openapi", &["model"]),
    ("ambit-policy", &["model"]),
    ("ambit-store", &["model"]),
    ("ambit-trail", &["ledger", "model", "store"]),
    ("ambit-live", &["ledger", "mcp", "model", "openapi", "policy", "store", "trail"]),
    ("ambit-identity", &["egress", "live", "model", "policy", "store"]),
    ("ambit-gateway", &["egress", "identity", "live", "mcp", "model", "openapi", "policy"]),
    (
        "ambit",
        &["egress", "gateway", "identity", "ledger", "live", "mcp", "model", "openapi", "policy", "store", "trail"],
    ),
    ("ambit-testkit", &["ambit", "egress", "gateway", "identity", "ledger", "live", "model", "store", "trail"]),
    ("xtask", &[]),
];

/// Rooms without IO, clock or randomness.
pub const PURE: &[&str] = &["model", "mcp", "ledger", "openapi", "policy"];

/// What a pure room never links.
const IMPURE: &[&str] =
    &["tokio", "hyper", "hyper-util", "axum", "sqlx", "reqwest", "rand", "getrandom", "uuid", "chrono"];

/// Crates that one room owns: who else links them goes around it.
const OWNED: &[(&str, &[&str])] = &[
    ("sqlx", &["ambit-store"]),
    ("hyper-rustls", &["ambit-egress"]),
    ("cedar-policy", &["ambit-policy"]),
    ("reqwest", &[]),
    ("rusqlite", &[]),
];

/// Checks the workspace's own manifests.
pub fn check(metadata: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in workspace_packages(metadata) {
        let name = text(package, "name");
        let Some((_, allowed)) = ROOMS.iter().find(|(room, _)| *room == name) else {
            findings.push(finding(
                name,
                "this room is not in the table of `xtask/src/tidy/rooms.rs`: add it and what it may use",
            ));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            // A room may use any other in its tests: only what is linked counts.
            if text(dependency, "kind") == "dev" {
                continue;
            }
            let used = text(dependency, "name");
            let room = used.strip_prefix("ambit-").unwrap_or(used);
            if used.starts_with("ambit") && !allowed.contains(&room) {
                findings.push(finding(name, &format!("it may not use `{used}`: rooms point downwards only")));
            }
            let pure = name.strip_prefix("ambit-").is_some_and(|room| PURE.contains(&room));
            if pure && IMPURE.contains(&used) {
                findings.push(finding(
                    name,
                    &format!("it is pure and may not link `{used}`: take the value as an argument"),
                ));
            }
            if let Some((_, owners)) = OWNED.iter().find(|(owned, _)| *owned == used)
                && !owners.contains(&name)
            {
                findings.push(finding(name, &format!("`{used}` belongs to {owners:?}: ask that room instead")));
            }
        }
    }
    findings
}

/// Checks that every linked package has a licence that `deny.toml` allows.
pub fn check_licences(metadata: &Value, deny: &str) -> Vec<Finding> {
    let allowed = allowed_licences(deny);
    let excepted = excepted_packages(deny);
    let mut findings = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let (name, licence) = (text(package, "name"), text(package, "license"));
        if !excepted.contains(name) && !is_allowed(licence, &allowed) {
            findings.push(finding(name, &format!("its licence `{licence}` is not allowed by `deny.toml`")));
        }
    }
    findings
}

/// The names in the `allow` list of `[licenses]`.
fn allowed_licences(deny: &str) -> BTreeSet<&str> {
    let list = deny.split_once("\nallow = [").and_then(|(_, rest)| rest.split_once(']')).map_or("", |(list, _)| list);
    list.split('"').skip(1).step_by(2).collect()
}

/// The crates in the `exceptions` of `[licenses]`.
fn excepted_packages(deny: &str) -> BTreeSet<&str> {
    let list =
        deny.split_once("\nexceptions = [").and_then(|(_, rest)| rest.split_once("\n]")).map_or("", |(list, _)| list);
    list.split("crate = \"").skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// Reads a licence expression: an `OR` needs one side, an `AND` needs both, parentheses bind.
fn is_allowed(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let expression = expression.replace('/', " OR ");
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace(" WITH ", "_WITH_");
    let mut tokens = spaced.split_whitespace().peekable();
    let result = any_of(&mut tokens, allowed);
    result && tokens.peek().is_none()
}

type Tokens<'t> = std::iter::Peekable<std::str::SplitWhitespace<'t>>;

fn any_of(tokens: &mut Tokens<'_>, allowed: &BTreeSet<&str>) -> bool {
    let mut result = all_of(tokens, allowed);
    while tokens.next_if_eq(&"OR").is_some() {
        result |= all_of(tokens, allowed);
    }
    result
}

fn all_of(tokens: &mut Tokens<'_>, allowed: &BTreeSet<&str>) -> bool {
    let mut result = one(tokens, allowed);
    while tokens.next_if_eq(&"AND").is_some() {
        result &= one(tokens, allowed);
    }
    result
}

fn one(tokens: &mut Tokens<'_>, allowed: &BTreeSet<&str>) -> bool {
    match tokens.next() {
        Some("(") => {
            let result = any_of(tokens, allowed);
            result && tokens.next() == Some(")")
        }
        Some(name) => allowed.contains(name.replace("_WITH_", " WITH ").as_str()),
        None => false,
    }
}

fn workspace_packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    let members: BTreeSet<&str> =
        metadata["workspace_members"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages.filter(move |package| members.contains(text(package, "id")))
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn finding(name: &str, rule: &str) -> Finding {
    Finding { place: name.to_owned(), rule: rule.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workspace(name: &str, dependency: &str, kind: &Value) -> Value {
        json!({
            "workspace_members": ["one"],
            "packages": [{"id": "one", "name": name, "dependencies": [{"name": dependency, "kind": kind}]}],
        })
    }

    #[test]
    fn a_room_uses_only_what_lies_below_it() {
        assert_eq!(check(&workspace("ambit-store", "ambit-model", &Value::Null)), []);
        assert_eq!(check(&workspace("ambit-store", "ambit-live", &Value::Null)).len(), 1);
        assert_eq!(check(&workspace("ambit-store", "ambit-live", &json!("dev"))), []);
        assert_eq!(check(&workspace("ambit-unheard-of", "serde", &Value::Null)).len(), 1);
    }

    #[test]
    fn pure_rooms_and_owned_crates_are_kept() {
        assert_eq!(check(&workspace("ambit-policy", "tokio", &Value::Null)).len(), 1);
        assert_eq!(check(&workspace("ambit-gateway", "sqlx", &Value::Null)).len(), 1);
        assert_eq!(check(&workspace("ambit-store", "sqlx", &Value::Null)), []);
        assert_eq!(check(&workspace("ambit-egress", "reqwest", &Value::Null)).len(), 1);
    }

    #[test]
    fn a_licence_expression_is_read_with_its_parentheses() {
        let allowed = allowed_licences("[licenses]\nallow = [\n  \"MIT\",\n  \"Apache-2.0 WITH LLVM-exception\",\n]\n");
        for good in ["MIT", "MIT OR GPL-3.0", "MIT/Apache-2.0", "(GPL-3.0 OR MIT) AND Apache-2.0 WITH LLVM-exception"] {
            assert!(is_allowed(good, &allowed), "{good}");
        }
        for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR GPL-3.0) AND MPL-2.0", "MIT)"] {
            assert!(!is_allowed(bad, &allowed), "{bad}");
        }
    }

    #[test]
    fn every_room_of_the_table_stands_below_those_that_use_it() {
        for (position, (room, uses)) in ROOMS.iter().enumerate() {
            for used in *uses {
                let below = ROOMS.iter().position(|(name, _)| name.strip_prefix("ambit-").unwrap_or(name) == *used);
                assert!(below.is_some_and(|below| below < position), "`{room}` uses `{used}`");
            }
        }
    }
}
