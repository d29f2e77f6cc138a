//! The name of this node's trail: made from the public URL and the node's name when the directory is begun, and kept from then
//! on. Whoever keeps its checkpoints elsewhere knows it by that name, so a public URL that moves must not rename it.
//!
//! What is read here is not trusted: the trail opens only if the checkpoint carries this key's signature under that name.

use std::{
    fs,
    io::{ErrorKind, Read as _},
    path::Path,
};

use anyhow::Context as _;

use crate::config::Resolved;

/// What a node is called that was given no name.
const USUAL_NODE: &str = "node";

/// Between the host and the node in an origin.
const BETWEEN: &str = "/trail/";

/// The longest beginning of a checkpoint that is read for its first line.
const MAX_ORIGIN_BYTES: u64 = 4096;

/// How a trail is called.
#[derive(Debug, PartialEq, Eq)]
pub struct TrailName {
    /// The node that writes it.
    pub node: String,
    /// The origin line of its checkpoints.
    pub origin: String,
}

impl TrailName {
    /// The name that the trail of this directory has, or gets when it is begun.
    ///
    /// # Errors
    /// If its checkpoint is there and cannot be read.
    pub fn of(resolved: &Resolved) -> anyhow::Result<Self> {
        let configured = resolved.trail.node.clone();
        if let Some(origin) = kept(&resolved.trail_dir())? {
            // A name that is configured anew is compared with the records' own when the trail is opened.
            let node = configured.or_else(|| origin.split_once(BETWEEN).map(|(_, node)| node.to_owned()));
            return Ok(Self { node: node.unwrap_or_else(|| USUAL_NODE.to_owned()), origin });
        }
        let node = configured.unwrap_or_else(|| USUAL_NODE.to_owned());
        let host = resolved.deployment.public_url.split_once("://").map_or("ambit", |(_, host)| host);
        Ok(Self { origin: format!("{host}{BETWEEN}{node}"), node })
    }
}

/// The origin line of the latest checkpoint, if there is one.
fn kept(directory: &Path) -> anyhow::Result<Option<String>> {
    let path = directory.join("checkpoint");
    let file = match fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    };
    let mut beginning = Vec::new();
    let read = file.take(MAX_ORIGIN_BYTES).read_to_end(&mut beginning);
    read.with_context(|| format!("cannot read `{}`", path.display()))?;
    let text = String::from_utf8_lossy(&beginning);
    Ok(text.split_once('\n').map(|(origin, _)| origin.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Overrides};

    fn at(directory: &Path, public_url: &str, node: Option<&str>) -> TrailName {
        let mut resolved = config::empty(directory, 0).unwrap();
        resolved.deployment.public_url = public_url.to_owned();
        let resolved = resolved.overridden(Overrides { node: node.map(str::to_owned), ..Overrides::default() });
        TrailName::of(&resolved).unwrap()
    }

    fn named(node: &str, origin: &str) -> TrailName {
        TrailName { node: node.to_owned(), origin: origin.to_owned() }
    }

    #[test]
    fn a_new_trail_is_named_after_host_and_node() {
        let directory = tempfile::tempdir().unwrap();
        let name = at(directory.path(), "https://gateway.example", None);
        assert_eq!(name, named("node", "gateway.example/trail/node"));
        let name = at(directory.path(), "https://gateway.example", Some("one"));
        assert_eq!(name, named("one", "gateway.example/trail/one"));
    }

    #[test]
    fn a_trail_keeps_its_name_when_the_public_url_moves() {
        let directory = tempfile::tempdir().unwrap();
        let trail = directory.path().join("ambit-data/trail");
        fs::create_dir_all(&trail).unwrap();
        fs::write(trail.join("checkpoint"), "127.0.0.1:8080/trail/one\n3\nroot\n\n— signature\n").unwrap();
        for node in [None, Some("one")] {
            let name = at(directory.path(), "https://gateway.example", node);
            assert_eq!(name, named("one", "127.0.0.1:8080/trail/one"), "{node:?}");
        }
        // Another node's name is not taken for this trail's: opening it compares them.
        let name = at(directory.path(), "https://gateway.example", Some("two"));
        assert_eq!(name, named("two", "127.0.0.1:8080/trail/one"));
    }
}
