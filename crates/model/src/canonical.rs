//! Canonical JSON: keys sorted by code point, no white space, one spelling per value.
//!
//! Used for digests of definitions and arguments and for the arguments that are sent. It follows RFC 8785 in shape; keys
//! are ordered by UTF-8 bytes and numbers keep serde_json's spelling, because a value that is digested here was also
//! written here. Recursion is bounded by the parser that made the value.

use serde_json::Value;

use crate::Digest;

/// Appends the canonical form of a value.
pub fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => {
            out.push(b'{');
            let mut members: Vec<_> = map.iter().collect();
            members.sort_unstable_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
            for (index, (key, member)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_scalar(key, out);
                out.push(b':');
                write(member, out);
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => write_scalar(value, out),
    }
}

fn write_scalar<T: serde::Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    // INVARIANT: a scalar always serialises, and writing to a vector cannot fail.
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.extend_from_slice(b"null");
    }
}

/// The canonical bytes of a value.
pub fn to_vec(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write(value, &mut out);
    out
}

/// The digest of the canonical bytes.
pub fn digest(value: &Value) -> Digest {
    Digest::of(&to_vec(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_sorted_at_every_depth() {
        let value: Value = serde_json::from_str(r#"{"b":{"z":1,"a":[{"y":2,"x":"é\n"}]},"a":null}"#).unwrap();
        assert_eq!(String::from_utf8(to_vec(&value)).unwrap(), r#"{"a":null,"b":{"a":[{"x":"é\n","y":2}],"z":1}}"#);
    }

    #[test]
    fn order_of_members_does_not_change_the_digest() {
        let one: Value = serde_json::from_str(r#"{"a":1,"b":2}"#).unwrap();
        let two: Value = serde_json::from_str(r#"{"b":2,"a":1}"#).unwrap();
        assert_eq!(digest(&one), digest(&two));
        assert_ne!(digest(&one), digest(&json!({"a":1,"b":3})));
    }
}
