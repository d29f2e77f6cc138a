//! A callable of a server, its pinned definition and whether it is accepted.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Digest, Effect, canonical, ids::ToolId};

/// What a tool says it is: everything a model reads before it calls. Its digest is what `ambit.lock` pins.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Definition {
    /// The tool.
    pub id: ToolId,
    /// A title for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What the model reads.
    pub description: String,
    /// The schema of the arguments; its root is an object.
    pub input_schema: Value,
    /// The schema of the result, where the upstream declares one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// The upstream's own annotations, as received. Untrusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Value>,
    /// Every other member the upstream sent, so that nothing a client is shown stays outside the digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest: Option<Value>,
    /// What stands behind the tool: for a REST API `METHOD path`, so that a moved operation is a changed tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<String>,
}

impl Definition {
    /// SHA-256 over the canonical form of every member.
    pub fn digest(&self) -> Digest {
        canonical::digest(&json!({
            "id": self.id.to_string(),
            "title": self.title,
            "description": self.description,
            "inputSchema": self.input_schema,
            "outputSchema": self.output_schema,
            "annotations": self.annotations,
            "rest": self.rest,
            "binding": self.binding,
        }))
    }
}

/// Whether a definition stands in `ambit.lock`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acceptance {
    /// The digest is pinned.
    Accepted,
    /// Nobody has accepted a tool of this name yet: hidden.
    New,
    /// Another digest is pinned: hidden.
    Changed,
}

impl Acceptance {
    /// Compares the pinned digest, if any, with the one seen.
    pub fn of(pinned: Option<Digest>, seen: Digest) -> Self {
        match pinned {
            Some(pinned) if pinned == seen => Self::Accepted,
            Some(_) => Self::Changed,
            None => Self::New,
        }
    }
}

/// An effect together with the sentence that explains it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ClassifiedEffect {
    /// The effect that counts.
    pub effect: Effect,
    /// Why.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition() -> Definition {
        Definition {
            id: ToolId::parse("mux/get-asset").unwrap(),
            title: None,
            description: "reads".into(),
            input_schema: json!({"type": "object"}),
            output_schema: None,
            annotations: Some(json!({"readOnlyHint": true})),
            rest: None,
            binding: None,
        }
    }

    #[test]
    fn every_member_is_part_of_the_digest() {
        let base = definition().digest();
        let changes: [fn(&mut Definition); 8] = [
            |d| d.rest = Some(json!({"_meta": {}})),
            |d| d.id = ToolId::parse("mux/other").unwrap(),
            |d| d.title = Some("t".into()),
            |d| d.description.push('!'),
            |d| d.input_schema = json!({"type": "object", "properties": {}}),
            |d| d.output_schema = Some(json!({})),
            |d| d.annotations = Some(json!({"readOnlyHint": false})),
            |d| d.binding = Some("DELETE /x".into()),
        ];
        for change in changes {
            let mut other = definition();
            change(&mut other);
            assert_ne!(other.digest(), base, "{other:?}");
        }
    }

    #[test]
    fn unknown_is_not_accepted() {
        let seen = definition().digest();
        assert_eq!(Acceptance::of(None, seen), Acceptance::New);
        assert_eq!(Acceptance::of(Some(Digest::of(b"x")), seen), Acceptance::Changed);
        assert_eq!(Acceptance::of(Some(seen), seen), Acceptance::Accepted);
    }
}
