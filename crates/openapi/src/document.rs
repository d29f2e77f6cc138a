//! Bytes of an OpenAPI document to a JSON value: the first step.
//!
//! JSON or YAML, bounded in size, depth, nodes and alias expansion before anything looks at the content. It accepts
//! OpenAPI 3.0.x and 3.1.x and says clearly what it refuses. It never follows a reference.

use serde_json::Value;

/// The largest document, in bytes.
pub const MAX_BYTES: usize = 32 << 20;
/// The deepest nesting of a document.
pub const MAX_DEPTH: usize = 128;
/// The most values in a YAML document, after its aliases are written out.
pub const MAX_NODES: usize = 2_000_000;

/// Why a whole document cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// More bytes than [`MAX_BYTES`].
    #[error("the document has `{0}` bytes, at most `{MAX_BYTES}` are read: split it or remove examples")]
    TooLarge(usize),
    /// Deeper than [`MAX_DEPTH`].
    #[error("the document nests deeper than `{MAX_DEPTH}` levels: flatten it")]
    TooDeep,
    /// Neither JSON nor YAML within the limits.
    #[error("the document is neither valid JSON nor YAML within the limits on aliases and size: {0}")]
    Syntax(String),
    /// Valid data without `openapi` or `swagger`.
    #[error("not an OpenAPI document: the member `openapi` is missing")]
    NotOpenApi,
    /// A version that is not 3.0.x or 3.1.x.
    #[error("OpenAPI `{0}` is not supported: convert the document to 3.0 or 3.1")]
    Version(String),
    /// No `paths` object.
    #[error("the document has no object `paths`, so there is nothing to call")]
    NoPaths,
    /// More operations than [`crate::compile::MAX_OPERATIONS`].
    #[error("the document has more than `{0}` operations: split it")]
    TooManyOperations(usize),
    /// No usable base URL.
    #[error("the base URL `{url}` cannot be used: {problem}; set `base_url` of this server in the configuration")]
    BaseUrl {
        /// The URL as it stands in the document or the configuration.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// The dialect of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 3.0.x: schemas are an own dialect.
    V30,
    /// 3.1.x: schemas are JSON Schema 2020-12.
    V31,
}

/// Parses a document, JSON first, YAML otherwise, and checks its version.
pub fn parse(bytes: &[u8]) -> Result<Value, DocumentError> {
    if bytes.len() > MAX_BYTES {
        return Err(DocumentError::TooLarge(bytes.len()));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|_| DocumentError::Syntax("it is not UTF-8".to_owned()))?
        .trim_start_matches('\u{feff}');
    let value = if text.trim_start().starts_with('{') { parse_json(text)? } else { parse_yaml(text)? };
    version(&value)?;
    Ok(value)
}

fn parse_json(text: &str) -> Result<Value, DocumentError> {
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(error) if error.to_string().contains("recursion limit") => Err(DocumentError::TooDeep),
        // A YAML flow mapping also opens with a brace.
        Err(error) => parse_yaml(text).map_err(|_| DocumentError::Syntax(error.to_string())),
    }
}

fn parse_yaml(text: &str) -> Result<Value, DocumentError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_events: 2 * MAX_NODES,
            max_nodes: MAX_NODES,
            max_aliases: 10_000,
            max_anchors: 10_000,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 200_000,
            max_replay_stack_depth: 32,
            max_alias_expansions_per_anchor: 5_000,
        },
        strict_booleans: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| DocumentError::Syntax(crate::text::clean(&error.to_string(), 300)))
}

/// The dialect of a parsed document.
pub fn version(document: &Value) -> Result<Version, DocumentError> {
    if !within_depth(document, MAX_DEPTH) {
        return Err(DocumentError::TooDeep);
    }
    if let Some(swagger) = document.get("swagger") {
        return Err(DocumentError::Version(format!("swagger {}", spelled(swagger))));
    }
    let version = spelled(document.get("openapi").ok_or(DocumentError::NotOpenApi)?);
    match version.as_str() {
        "3.0" => Ok(Version::V30),
        "3.1" => Ok(Version::V31),
        text if text.starts_with("3.0.") => Ok(Version::V30),
        text if text.starts_with("3.1.") => Ok(Version::V31),
        _ => Err(DocumentError::Version(version)),
    }
}

/// A version as text; YAML reads `3.0` as a number.
fn spelled(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    crate::text::clean(&text, 40)
}

fn within_depth(value: &Value, left: usize) -> bool {
    let Some(left) = left.checked_sub(1) else { return false };
    match value {
        Value::Array(items) => items.iter().all(|item| within_depth(item, left)),
        Value::Object(members) => members.values().all(|member| within_depth(member, left)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_yaml_say_the_same() {
        let json =
            parse(br#"{"openapi":"3.1.0","paths":{"/a":{"get":{"responses":{"200":{"description":"x"}}}}}}"#).unwrap();
        let yaml =
            b"openapi: 3.1.0\npaths:\n  /a:\n    get:\n      responses:\n        200:\n          description: x\n";
        assert_eq!(parse(yaml).unwrap(), json);
    }

    #[test]
    fn other_versions_are_named() {
        for (text, shown) in [
            (r#"{"swagger":"2.0"}"#, "swagger 2.0"),
            (r#"{"openapi":"3.2.0"}"#, "3.2.0"),
            (r#"{"openapi":"4.0.0"}"#, "4.0.0"),
            (r#"{"openapi":31}"#, "31"),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(DocumentError::Version(shown.to_owned())));
        }
        assert_eq!(parse(b"{}"), Err(DocumentError::NotOpenApi));
        assert_eq!(parse(b"openapi: 3.0\npaths: {}\n").and_then(|v| version(&v)), Ok(Version::V30));
    }

    #[test]
    fn a_yaml_bomb_is_refused() {
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for level in 1..12 {
            let line = format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(","));
            bomb.push_str(&line);
        }
        bomb.push_str("openapi: 3.1.0\n");
        assert!(matches!(parse(bomb.as_bytes()), Err(DocumentError::Syntax(_))));
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let deep = format!("{{\"openapi\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(matches!(parse(deep.as_bytes()), Err(DocumentError::TooDeep | DocumentError::Syntax(_))));
        let deep = format!("openapi: {}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(matches!(parse(deep.as_bytes()), Err(DocumentError::Syntax(_))));
        assert!(matches!(parse(&vec![b' '; MAX_BYTES + 1]), Err(DocumentError::TooLarge(_))));
        assert!(matches!(parse(&[0xff, 0xfe]), Err(DocumentError::Syntax(_))));
    }
}
