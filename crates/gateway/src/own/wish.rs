//! The arguments of `ambit_request_access`, read strictly: what is not known is refused, and so is what is too long. The name
//! of a toolset may be any text, so that nothing is learned from which names are well formed.

use ambit_model::{access::parse_life, ids::Millis, shown::says_something};
use serde_json::{Map, Value};

/// Longest name and reason, in characters.
const LONGEST_NAME: usize = 200;
const LONGEST_REASON: usize = 2_000;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WishArguments<'a> {
    pub(super) toolset: &'a str,
    pub(super) reason: &'a str,
    pub(super) life_ms: Option<Millis>,
}

/// Reads them.
///
/// # Errors
/// What is wrong, with the argument's pointer and the remedy.
pub(super) fn read(arguments: &Value) -> Result<WishArguments<'_>, String> {
    let members = object(arguments)?;
    only(members, &["toolset", "reason", "for"])?;
    let toolset = text(members, "toolset", LONGEST_NAME)?;
    let reason = text(members, "reason", LONGEST_REASON)?;
    if !says_something(reason) {
        return Err(empty("reason"));
    }
    let life_ms = match members.get("for") {
        None => None,
        Some(value) => Some(value.as_str().and_then(parse_life).ok_or(
            "`/for` is no length: write a whole number with `h` or `d`, such as `8h` or `30d`, or leave it out",
        )?),
    };
    Ok(WishArguments { toolset, reason, life_ms })
}

/// The members of an object.
///
/// # Errors
/// What else it is.
pub(super) fn object(arguments: &Value) -> Result<&Map<String, Value>, String> {
    arguments.as_object().ok_or_else(|| "the arguments are no object".to_owned())
}

/// Refuses members that are not known.
///
/// # Errors
/// The first of them.
pub(super) fn only(members: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    match members.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(other) => {
            let other: String = other.chars().take(60).flat_map(char::escape_debug).collect();
            let takes = if known.is_empty() { "no arguments".to_owned() } else { format!("`{}`", known.join("`, `")) };
            Err(format!("`/{other}` is no argument of this tool, which takes {takes}: leave it out"))
        }
    }
}

fn empty(name: &str) -> String {
    format!("`/{name}` is empty: say it")
}

fn text<'a>(members: &'a Map<String, Value>, name: &str, longest: usize) -> Result<&'a str, String> {
    let value = members.get(name).ok_or_else(|| format!("`/{name}` is missing: add it"))?;
    let text = value.as_str().ok_or_else(|| format!("`/{name}` is no text: write it as a string"))?;
    if text.trim().is_empty() {
        return Err(empty(name));
    }
    if text.chars().count() > longest {
        return Err(format!("`/{name}` is longer than {longest} characters: shorten it"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wish_is_read_whole_or_not_at_all() {
        let good = json!({"toolset": "No Slug/*", "reason": "the report", "for": "30d"});
        let wish = read(&good).unwrap();
        assert_eq!((wish.toolset, wish.reason, wish.life_ms), ("No Slug/*", "the report", Some(30 * 24 * 3_600_000)));
        assert_eq!(read(&json!({"toolset": "t", "reason": "r"})).unwrap().life_ms, None);
        for (bad, said) in [
            (json!([]), "no object"),
            (json!({"reason": "r"}), "`/toolset` is missing"),
            (json!({"toolset": "t"}), "`/reason` is missing"),
            (json!({"toolset": 1, "reason": "r"}), "`/toolset` is no text"),
            (json!({"toolset": "t", "reason": " \n"}), "`/reason` is empty"),
            (json!({"toolset": "t", "reason": "\u{200b}"}), "`/reason` is empty"),
            (json!({"toolset": "t".repeat(201), "reason": "r"}), "longer than 200"),
            (json!({"toolset": "t", "reason": "r".repeat(2001)}), "longer than 2000"),
            (json!({"toolset": "t", "reason": "r", "for": "forever"}), "`/for` is no length"),
            (json!({"toolset": "t", "reason": "r", "for": 30}), "`/for` is no length"),
            (json!({"toolset": "t", "reason": "r", "for": null}), "`/for` is no length"),
            (json!({"toolset": "t", "reason": "r", "confirmed": true}), "`/confirmed` is no argument"),
            (json!({"toolset": "t", "reason": "r", "user": "bob"}), "`/user` is no argument"),
        ] {
            let told = read(&bad).unwrap_err();
            assert!(told.contains(said), "{told}");
        }
    }
}
