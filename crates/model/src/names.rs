//! Tool names as clients see them: `[A-Za-z0-9_-]`, at most 40 characters after our prefix, stable across imports.
//!
//! Clients put their own prefix in front and cap the whole near 60 characters, so the part we control stays short. A
//! name that has to change carries a hash of the original, so that two originals never meet in one shown name.

use crate::Digest;

/// The longest local name, in characters.
pub const MAX_LOCAL: usize = 40;

/// Names that start with this belong to Ambit's own tools.
pub const RESERVED_PREFIX: &str = "ambit_";

/// Whose tools they are in the trail. No upstream server is called so.
pub const OWN_SERVER: &str = "ambit";

const HASH_CHARS: usize = 8;

/// Turns a raw name (an operation id, an upstream tool name) into a local one.
///
/// A raw name that already fits is kept. Any other has its foreign characters replaced by `_`, is cut, and ends in eight
/// hexadecimal digits of the raw name's digest.
pub fn local_name(raw: &str) -> String {
    let fits =
        (1..=MAX_LOCAL).contains(&raw.len()) && raw.bytes().all(is_name_byte) && !raw.starts_with(RESERVED_PREFIX);
    if fits {
        return raw.to_owned();
    }
    let mut name = String::with_capacity(MAX_LOCAL);
    for byte in raw.bytes() {
        if name.len() == MAX_LOCAL - HASH_CHARS - 1 {
            break;
        }
        if is_name_byte(byte) {
            name.push(char::from(byte));
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
    }
    let stem = name.trim_end_matches('_');
    let stem = if stem.starts_with(RESERVED_PREFIX) || stem == "ambit" { "x" } else { stem };
    let hash: String = Digest::of(raw.as_bytes()).short().chars().take(HASH_CHARS).collect();
    if stem.is_empty() { format!("tool_{hash}") } else { format!("{stem}_{hash}") }
}

/// The name a client sees: the server in front on endpoints that carry several servers.
pub fn shown_name(server_prefix: Option<&str>, local: &str) -> String {
    match server_prefix {
        Some(server) => format!("{server}_{local}"),
        None => local.to_owned(),
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fitting_name_is_kept() {
        for name in ["get-asset", "a", "List_All-2", &"x".repeat(40)] {
            assert_eq!(local_name(name), name);
        }
    }

    #[test]
    fn any_other_name_is_cut_and_marked_with_its_hash() {
        let long = "repos/get-all-deployment-protection-rules-and-then-some-more-of-them";
        let name = local_name(long);
        assert!(name.len() <= MAX_LOCAL && name.starts_with("repos_get-all-deployment-"), "{name}");
        assert_ne!(local_name("a.b"), local_name("a/b"));
        assert_ne!(local_name("a.b"), "a_b");
        assert!(local_name("").starts_with("tool_"));
        assert!(!local_name("ambit_status").starts_with(RESERVED_PREFIX));
        assert!(local_name("日本語").bytes().all(is_name_byte));
    }
}
