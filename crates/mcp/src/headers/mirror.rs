//! `Mcp-Param-*`: parameters a tool's schema asks clients to mirror in headers (`x-mcp-header`).
//!
//! [`compile`] reads the annotations of an `inputSchema` once, when a tool is published; the result
//! is used inbound to compare ([`Mirrors::agree`]) and outbound to write ([`Mirrors::write`]).
//! Both look only at tools the caller may see. Numbers are never mirrored (their text is not one);
//! integers are compared as numbers.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::{HeaderError, PARAM_PREFIX, decode_value, encode_value, shown, single};

/// How deep annotations are looked for. Schemas are parsed with a lower bound, so none lies deeper.
const MAX_DEPTH: usize = 256;

/// The type of a mirrored property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MirrorType {
    /// `"type": "string"`
    String,
    /// `"type": "integer"`
    Integer,
    /// `"type": "boolean"`
    Boolean,
}

/// One mirrored property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Property names from the root of the arguments.
    path: Vec<String>,
    /// `mcp-param-…`, lower case.
    header: HeaderName,
    /// As annotated, for messages: `Mcp-Param-Region`.
    label: String,
    kind: MirrorType,
}

impl Mirror {
    /// Property names from the root of the arguments.
    pub fn path(&self) -> &[String] {
        &self.path
    }

    /// The header as annotated, `Mcp-Param-Region`.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The type of the property.
    pub const fn kind(&self) -> MirrorType {
        self.kind
    }
}

/// All mirrored properties of one tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirrors(Vec<Mirror>);

/// An annotation that the specification does not allow. A client drops such a tool, so it should
/// not be published with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`x-mcp-header` at `{pointer}` is not usable: {reason}")]
pub struct InvalidMirror {
    /// RFC 6901 pointer to the annotated schema, from the root of the `inputSchema`.
    pub pointer: String,
    /// Why.
    pub reason: MirrorFault,
}

/// Why an annotation is not usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MirrorFault {
    /// Not a string of RFC 9110 token characters.
    #[error("its value must be a header token")]
    NotToken,
    /// Another property has the same header name, except for case.
    #[error("another property uses the same header name")]
    Duplicate,
    /// Not one of the three types.
    #[error("the property must have type string, integer or boolean")]
    NotPrimitive,
    /// Behind something else than `properties`.
    #[error("the property must be reachable through `properties` alone")]
    Unreachable,
}

/// Reads every `x-mcp-header` of an `inputSchema`. The usable ones, and what is wrong with the rest.
pub fn compile(input_schema: &Value) -> (Mirrors, Vec<InvalidMirror>) {
    let mut found = Compile::default();
    found.schema(input_schema, Some(&[]), "", 0);
    (Mirrors(found.mirrors), found.invalid)
}

#[derive(Default)]
struct Compile {
    mirrors: Vec<Mirror>,
    invalid: Vec<InvalidMirror>,
}

impl Compile {
    /// `path` is `None` once something else than `properties` was passed through.
    fn schema(&mut self, schema: &Value, path: Option<&[String]>, pointer: &str, depth: usize) {
        let Value::Object(members) = schema else {
            return;
        };
        if let Some(annotation) = members.get("x-mcp-header") {
            match self.annotated(schema, annotation, path) {
                Ok(mirror) => self.mirrors.push(mirror),
                Err(reason) => self.invalid.push(InvalidMirror { pointer: pointer.to_owned(), reason }),
            }
        }
        if depth >= MAX_DEPTH {
            return;
        }
        for (keyword, inside) in members {
            let here = format!("{pointer}/{}", pointer_step(keyword));
            match (keyword.as_str(), inside) {
                // Data, not schemas: a member named `x-mcp-header` there annotates nothing.
                ("const" | "default" | "enum" | "examples" | "example", _) => {}
                ("properties", Value::Object(properties)) => {
                    for (name, property) in properties {
                        let path = path.map(|path| [path, std::slice::from_ref(name)].concat());
                        self.schema(property, path.as_deref(), &format!("{here}/{}", pointer_step(name)), depth + 1);
                    }
                }
                ("$defs" | "definitions" | "patternProperties" | "dependentSchemas", Value::Object(schemas)) => {
                    for (name, inside) in schemas {
                        self.schema(inside, None, &format!("{here}/{}", pointer_step(name)), depth + 1);
                    }
                }
                (_, Value::Object(_)) => self.schema(inside, None, &here, depth + 1),
                (_, Value::Array(items)) => {
                    for (index, item) in items.iter().enumerate() {
                        self.schema(item, None, &format!("{here}/{index}"), depth + 1);
                    }
                }
                _ => {}
            }
        }
    }

    fn annotated(&self, schema: &Value, annotation: &Value, path: Option<&[String]>) -> Result<Mirror, MirrorFault> {
        let name = annotation.as_str().filter(|name| is_token(name)).ok_or(MirrorFault::NotToken)?;
        let path = path.filter(|path| !path.is_empty()).ok_or(MirrorFault::Unreachable)?;
        let kind = match schema.get("type").and_then(Value::as_str) {
            Some("string") => MirrorType::String,
            Some("integer") => MirrorType::Integer,
            Some("boolean") => MirrorType::Boolean,
            _ => return Err(MirrorFault::NotPrimitive),
        };
        let header = format!("{PARAM_PREFIX}{}", name.to_ascii_lowercase());
        let header = HeaderName::from_bytes(header.as_bytes()).map_err(|_| MirrorFault::NotToken)?;
        if self.mirrors.iter().any(|other| other.header == header) {
            return Err(MirrorFault::Duplicate);
        }
        Ok(Mirror { path: path.to_vec(), header, label: format!("Mcp-Param-{name}"), kind })
    }
}

impl Mirrors {
    /// The mirrored properties, in schema order.
    pub fn iter(&self) -> impl Iterator<Item = &Mirror> {
        self.0.iter()
    }

    /// `true` for most tools.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares each annotated parameter with its header: the same value, or both absent (`null`
    /// counts as absent). Headers the schema does not know are left alone. For modern requests.
    ///
    /// # Errors
    /// [`HeaderError`], answered as `-32020`. A value of another type than the schema's is left to
    /// schema validation.
    pub fn agree(&self, headers: &HeaderMap, arguments: &Value) -> Result<(), HeaderError> {
        self.0.iter().try_for_each(|mirror| mirror.agree(headers, arguments))
    }

    /// Writes the headers for an upstream call with these arguments.
    pub fn write(&self, headers: &mut HeaderMap, arguments: &Value) {
        for mirror in &self.0 {
            let Some(text) = mirror.value(arguments).and_then(plain_text) else {
                continue;
            };
            if let Ok(value) = HeaderValue::from_str(&encode_value(&text)) {
                headers.insert(mirror.header.clone(), value);
            }
        }
    }
}

impl Mirror {
    fn agree(&self, headers: &HeaderMap, arguments: &Value) -> Result<(), HeaderError> {
        let label = || self.label.clone();
        let header = single(headers, &self.header, &self.label)?;
        let Some(value) = self.value(arguments) else {
            return match header {
                None => Ok(()),
                Some(_) => Err(HeaderError::Unexpected(label())),
            };
        };
        let Some(expected) = plain_text(value) else {
            // An object, array or fraction where the schema wants a primitive: schema validation
            // refuses it, and it has no text that a header could mirror.
            return Ok(());
        };
        let header = header.ok_or_else(|| HeaderError::Missing(label(), shown(&expected)))?;
        let found = decode_value(header).ok_or_else(|| HeaderError::Malformed(label()))?;
        if found == expected || self.equal_integers(&found, value) {
            return Ok(());
        }
        Err(HeaderError::Differs { name: label(), found: shown(&found), expected: shown(&expected) })
    }

    /// The argument; `None` if absent or `null`.
    fn value<'v>(&self, arguments: &'v Value) -> Option<&'v Value> {
        let value = self.path.iter().try_fold(arguments, |value, name| value.get(name))?;
        (!value.is_null()).then_some(value)
    }

    /// `+5`, `05` and `5` are one integer; a sign, then digits.
    fn equal_integers(&self, found: &str, value: &Value) -> bool {
        self.kind == MirrorType::Integer
            && found.parse::<i128>().is_ok_and(|found| as_integer(value).is_some_and(|value| value == found))
    }
}

/// Strings as they are, booleans as `true` or `false`, integers in decimal.
fn plain_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(_) => as_integer(value).map(|integer| integer.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn as_integer(value: &Value) -> Option<i128> {
    if let Some(signed) = value.as_i64() {
        return Some(i128::from(signed));
    }
    if let Some(unsigned) = value.as_u64() {
        return Some(i128::from(unsigned));
    }
    // `1.0` and `1e2` are integers for JSON Schema. Below 2^63 the text of a whole float is exact.
    let float = value.as_f64()?;
    (float.fract() == 0.0 && float.abs() < 9.2e18).then(|| format!("{float:.0}").parse().ok())?
}

fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn pointer_step(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
