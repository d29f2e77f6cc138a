//! Values written in the styles of OpenAPI's parameter object.
//!
//! Every value and every member name is percent-encoded before a style's own delimiters are put between, so a value never
//! reads as a delimiter. Members of objects are written in the order of their names. A value nested deeper than a style
//! can say is written as JSON text.

use std::borrow::Cow;

use ambit_model::canonical;
use serde_json::{Map, Value};

use crate::encode::{push_encoded, push_reserved};

/// How a parameter is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Simple,
    Label,
    Matrix,
    Form,
    Space,
    Pipe,
    DeepObject,
}

/// A name and a value, both encoded, of a query or a form.
pub(crate) type Pair = (String, String);

/// The text of a value as it stands in a request; nothing for `null`.
pub(crate) fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::Bool(true) => Some(Cow::Borrowed("true")),
        Value::Bool(false) => Some(Cow::Borrowed("false")),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Array(_) | Value::Object(_) => Some(Cow::Owned(json(value))),
    }
}

/// A value as JSON text with sorted members.
pub(crate) fn json(value: &Value) -> String {
    // INVARIANT: canonical JSON is UTF-8.
    String::from_utf8(canonical::to_vec(value)).unwrap_or_default()
}

/// The members of an object by name, without those that are `null`.
pub(crate) fn members(object: &Map<String, Value>) -> Vec<(&str, Cow<'_, str>)> {
    let mut members: Vec<_> = object.iter().filter_map(|(name, value)| Some((name.as_str(), text(value)?))).collect();
    members.sort_unstable_by(|one, other| one.0.cmp(other.0));
    members
}

/// A path parameter in its place (RFC 6570 with the operators of `simple`, `label` and `matrix`).
pub(crate) fn in_path(style: Style, explode: bool, name: &str, value: &Value) -> String {
    match style {
        Style::Label => format!(".{}", joined(value, if explode { "." } else { "," }, explode)),
        Style::Matrix => matrix(name, value, explode),
        Style::Simple | Style::Form | Style::Space | Style::Pipe | Style::DeepObject => joined(value, ",", explode),
    }
}

fn matrix(name: &str, value: &Value, explode: bool) -> String {
    let name = encoded(name);
    match value {
        Value::Array(items) if explode => {
            items.iter().filter_map(text).flat_map(|item| [format!(";{name}="), encoded(&item)]).collect()
        }
        Value::Object(object) if explode => {
            members(object).iter().flat_map(|(key, item)| [format!(";{}=", encoded(key)), encoded(item)]).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            format!(";{name}={}", joined(value, ",", false))
        }
    }
}

/// Items joined; `pairs` writes an object as `a=1,b=2`, otherwise as `a,1,b,2`.
fn joined(value: &Value, separator: &str, pairs: bool) -> String {
    parts(value, pairs, encoded).join(separator)
}

fn parts(value: &Value, pairs: bool, write: impl Fn(&str) -> String) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(text).map(|item| write(&item)).collect(),
        Value::Object(object) if pairs => {
            members(object).iter().map(|(name, item)| format!("{}={}", write(name), write(item))).collect()
        }
        Value::Object(object) => members(object).iter().flat_map(|(name, item)| [write(name), write(item)]).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            text(value).map(|item| write(&item)).into_iter().collect()
        }
    }
}

/// A query parameter or a form field as name-value pairs. A value of nothing but absent items writes nothing.
pub(crate) fn in_query(style: Style, explode: bool, reserved: bool, name: &str, value: &Value) -> Vec<Pair> {
    let write = |item: &str| if reserved { kept_reserved(item) } else { encoded(item) };
    if style == Style::DeepObject && matches!(value, Value::Object(_) | Value::Array(_)) {
        let mut pairs = Vec::new();
        deep(&encoded(name), value, &write, &mut pairs);
        return pairs;
    }
    match value {
        Value::Array(items) if explode => {
            items.iter().filter_map(text).map(|item| (encoded(name), write(&item))).collect()
        }
        Value::Object(object) if explode => {
            members(object).iter().map(|(key, item)| (encoded(key), write(item))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            let separator = match style {
                Style::Space => "%20",
                Style::Pipe => "%7C",
                Style::Simple | Style::Label | Style::Matrix | Style::Form | Style::DeepObject => ",",
            };
            let parts = parts(value, false, write);
            if parts.is_empty() { Vec::new() } else { vec![(encoded(name), parts.join(separator))] }
        }
    }
}

/// `name[a][b]=1`; the specification leaves deeper levels open, this is what servers that read brackets agree on: lists
/// of plain values as `name[a][]`, lists of objects with their index. Depth is bounded by the parser of the arguments.
fn deep(prefix: &str, value: &Value, write: &impl Fn(&str) -> String, pairs: &mut Vec<Pair>) {
    match value {
        Value::Object(object) => {
            let mut members: Vec<_> = object.iter().collect();
            members.sort_unstable_by(|one, other| one.0.cmp(other.0));
            for (name, member) in members {
                deep(&format!("{prefix}%5B{}%5D", encoded(name)), member, write, pairs);
            }
        }
        Value::Array(items) => {
            let nested = items.iter().any(|item| matches!(item, Value::Object(_) | Value::Array(_)));
            for (index, item) in items.iter().enumerate() {
                let index = if nested { index.to_string() } else { String::new() };
                deep(&format!("{prefix}%5B{index}%5D"), item, write, pairs);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            if let Some(item) = text(value) {
                pairs.push((prefix.to_owned(), write(&item)));
            }
        }
    }
}

/// A header parameter; always `simple`, and not percent-encoded: a header's value is text already.
pub(crate) fn in_header(explode: bool, value: &Value) -> String {
    parts(value, explode, str::to_owned).join(",")
}

/// Cookie pairs; always `form`.
pub(crate) fn in_cookie(explode: bool, name: &str, value: &Value) -> Vec<Pair> {
    in_query(Style::Form, explode, false, name, value)
}

pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_encoded(&mut out, text);
    out
}

fn kept_reserved(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_reserved(&mut out, text);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn query(style: Style, explode: bool, name: &str, value: &Value) -> String {
        let pairs = in_query(style, explode, false, name, value);
        pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    }

    /// The table of the specification (3.1.1, "Style Examples"), every cell that it defines.
    #[test]
    fn the_examples_of_the_specification() {
        let text = json!("blue");
        let list = json!(["blue", "black", "brown"]);
        let object = json!({"R": 100, "G": 200, "B": 150});
        for (style, explode, expected) in [
            (Style::Matrix, false, [";color=blue", ";color=blue,black,brown", ";color=B,150,G,200,R,100"]),
            (Style::Matrix, true, [";color=blue", ";color=blue;color=black;color=brown", ";B=150;G=200;R=100"]),
            (Style::Label, false, [".blue", ".blue,black,brown", ".B,150,G,200,R,100"]),
            (Style::Label, true, [".blue", ".blue.black.brown", ".B=150.G=200.R=100"]),
            (Style::Simple, false, ["blue", "blue,black,brown", "B,150,G,200,R,100"]),
            (Style::Simple, true, ["blue", "blue,black,brown", "B=150,G=200,R=100"]),
        ] {
            let written = [&text, &list, &object].map(|value| in_path(style, explode, "color", value));
            assert_eq!(written, expected, "{style:?} {explode}");
        }
        for (style, explode, value, expected) in [
            (Style::Form, false, &text, "color=blue"),
            (Style::Form, false, &list, "color=blue,black,brown"),
            (Style::Form, false, &object, "color=B,150,G,200,R,100"),
            (Style::Form, true, &list, "color=blue&color=black&color=brown"),
            (Style::Form, true, &object, "B=150&G=200&R=100"),
            (Style::Space, false, &list, "color=blue%20black%20brown"),
            (Style::Space, false, &object, "color=B%20150%20G%20200%20R%20100"),
            (Style::Space, true, &list, "color=blue&color=black&color=brown"),
            (Style::Pipe, false, &list, "color=blue%7Cblack%7Cbrown"),
            (Style::Pipe, false, &object, "color=B%7C150%7CG%7C200%7CR%7C100"),
            (Style::DeepObject, true, &object, "color%5BB%5D=150&color%5BG%5D=200&color%5BR%5D=100"),
        ] {
            assert_eq!(query(style, explode, "color", value), expected, "{style:?} {explode}");
        }
        assert_eq!(in_header(false, &object), "B,150,G,200,R,100");
        assert_eq!(in_header(true, &object), "B=150,G=200,R=100");
        assert_eq!(in_cookie(false, "color", &list), [("color".to_owned(), "blue,black,brown".to_owned())]);
    }

    #[test]
    fn brackets_nest_and_names_with_brackets_are_encoded() {
        assert_eq!(query(Style::Form, true, "ids[]", &json!([1, 2])), "ids%5B%5D=1&ids%5B%5D=2");
        let nested = json!({"created": {"gte": 1}, "tags": ["a", "b"], "lines": [{"id": "x"}], "none": null});
        assert_eq!(
            query(Style::DeepObject, true, "f", &nested),
            "f%5Bcreated%5D%5Bgte%5D=1&f%5Blines%5D%5B0%5D%5Bid%5D=x&f%5Btags%5D%5B%5D=a&f%5Btags%5D%5B%5D=b"
        );
    }

    #[test]
    fn a_value_never_reads_as_a_delimiter() {
        let value = json!(["a,b", "c&d=e", "f|g h"]);
        assert_eq!(query(Style::Form, false, "x", &value), "x=a%2Cb,c%26d%3De,f%7Cg%20h");
        assert_eq!(query(Style::Form, true, "x", &json!({"a&b": "1"})), "a%26b=1");
        assert_eq!(query(Style::Form, true, "x", &json!([{"deep": [1]}])), "x=%7B%22deep%22%3A%5B1%5D%7D");
        assert_eq!(in_path(Style::Matrix, true, "a;b", &json!("c;d")), ";a%3Bb=c%3Bd");
        let kept = in_query(Style::Form, true, true, "x", &json!("/a?b#c&d=e"));
        assert_eq!(kept, [("x".to_owned(), "/a?b%23c%26d%3De".to_owned())]);
    }

    #[test]
    fn absent_items_write_nothing() {
        assert!(in_query(Style::Form, true, false, "x", &Value::Null).is_empty());
        assert!(in_query(Style::Form, false, false, "x", &json!([])).is_empty());
        assert!(in_query(Style::Form, false, false, "x", &json!([null])).is_empty());
    }
}
