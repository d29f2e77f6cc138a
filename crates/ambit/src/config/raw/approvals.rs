//! What is written about approvals: how many people they take, and which tools need none.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// What the owner says about approvals of one tool.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct ToolApprovals {
    /// Its calls need no approval, for a reason and until a day.
    pub not_needed: NotNeeded,
}

/// An owner's word that the calls of a tool need no approval.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct NotNeeded {
    /// Why, in a sentence.
    #[schemars(extend("format" = "ambit-text"))]
    pub reason: String,
    /// When its calls need an approval again, at most a year from now: a date such as `2027-06-30` or a date and time.
    #[schemars(extend("format" = "ambit-instant"))]
    pub until: String,
}

/// The most people that can be asked for.
pub const MAX_NEEDED: u32 = 9;

/// Between one and [`MAX_NEEDED`].
pub(super) fn count_of_people(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "minimum": 1, "maximum": MAX_NEEDED })
}

pub(super) const fn one() -> u32 {
    1
}
