//! What the admin API gives, in the types its description is made from. Acts answer as the operator socket does, a sentence for
//! people and a result for scripts; the tests hold every answer to the type it is described with.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an act came to.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "{T}Done")]
pub struct Done<T> {
    /// For people.
    pub sentence: String,
    /// For scripts.
    pub result: T,
}

/// A document that another specification describes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Any(pub BTreeMap<String, Value>);

/// A page of grants and reveals.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Holdings {
    /// The grants of this page.
    #[schemars(with = "Vec<crate::holdings::Holding>")]
    pub grants: Vec<Value>,
    /// The next page: send it as `after`. Absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A grant that was made.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantMade {
    /// Its id.
    pub id: String,
    /// `grant`.
    pub kind: String,
    /// Who holds it.
    pub subject: String,
    /// What it entitles to.
    pub toolset: String,
    /// When it begins to count.
    pub starts_at: String,
    /// When it stops counting.
    pub expires_at: String,
    /// The ticket or change it belongs to.
    pub ticket: Option<String>,
    /// The revision that has it; requests see it already.
    pub revision: Option<u64>,
}

/// A reveal that was made.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevealMade {
    /// Its id.
    pub id: String,
    /// `reveal`.
    pub kind: String,
    /// The user.
    pub user: String,
    /// The client software.
    pub client: String,
    /// The agent the user acts through.
    pub agent: Option<String>,
    /// The toolset.
    pub toolset: String,
    /// When it begins to count.
    pub starts_at: String,
    /// When it stops counting.
    pub expires_at: String,
    /// The revision that has it; requests see it already.
    pub revision: Option<u64>,
}

/// A grant or reveal that was ended.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// Its id.
    pub id: String,
    /// True.
    pub ended: bool,
    /// The revision that has it; requests see it already.
    pub revision: Option<u64>,
}

/// A scope that was revoked, blocked or unblocked.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Marked {
    /// `revoke`, `block` or `unblock`.
    pub act: String,
    /// The scope.
    pub scope: String,
    /// The revision that has it; requests see it already.
    pub revision: Option<u64>,
    /// How many reveals ended with it. Only of a revocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reveals_ended: Option<u64>,
}

/// A call that waits.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Waiting {
    /// The request.
    pub id: String,
    /// The tool.
    pub tool: String,
    /// The person who asks.
    pub user: Option<String>,
    /// The agent that asks.
    pub agent: Option<String>,
    /// The client software.
    pub client: String,
    /// The environment of the tool's server.
    pub environment: String,
    /// The tool's effect.
    pub effect: String,
    /// When it was asked.
    pub requested_at: String,
    /// How many people have to say yes.
    pub needed: u32,
}

/// The calls that wait for whoever asks.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WaitingCalls(pub Vec<Waiting>);

/// A call that waits, with everything a decision needs.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitingCall {
    /// The request.
    pub id: String,
    /// The tool.
    pub tool: String,
    /// The person who asks.
    pub user: Option<String>,
    /// The agent that asks.
    pub agent: Option<String>,
    /// The client software.
    pub client: String,
    /// The environment of the tool's server.
    pub environment: String,
    /// The tool's effect.
    pub effect: String,
    /// When it was asked.
    pub requested_at: String,
    /// How many people have to say yes.
    pub needed: u32,
    /// The arguments, exactly as they would be sent.
    pub arguments: Value,
    /// What differs from the last call of the tool that was approved for who asks.
    pub differences: Option<Vec<Difference>>,
    /// How many more differences there are than are listed.
    pub more_differences: Option<u64>,
    /// Why it waits.
    pub grounds: Vec<String>,
    /// Who answers for the server.
    pub owner: String,
    /// What the client software calls itself. Nobody has checked it.
    pub claimed_by_client: Option<String>,
    /// The digest of the exact call.
    pub call: String,
    /// The digest of the tool's definition.
    pub definition: String,
    /// Where the request stands.
    pub stage: String,
}

/// One difference between two calls.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Where, as a JSON pointer.
    pub at: String,
    /// What stood there.
    pub before: Value,
    /// What stands there now.
    pub now: Value,
}

/// A word on a call.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decided {
    /// The request.
    pub id: String,
    /// What was said.
    pub says: String,
    /// Where the request stands now.
    pub stage: String,
}

/// Every broken glass: those that wait for their review first, then the others, newest first.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BrokenGlass(pub Vec<Glass>);

/// A broken glass.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Glass {
    /// The reveal it gave.
    pub id: String,
    /// Who broke it.
    pub user: String,
    /// In which client.
    pub client: String,
    /// What it opened.
    pub toolset: String,
    /// Why, in their words.
    pub reason: String,
    /// When it began.
    pub starts_at: String,
    /// When it ends by itself.
    pub expires_at: String,
    /// When it was ended.
    pub ended_at: Option<String>,
    /// What somebody said of it afterwards.
    pub review: Option<GlassReview>,
}

/// What somebody said of a broken glass.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GlassReview {
    /// Who.
    pub by: String,
    /// When.
    pub at: String,
    /// What.
    pub says: String,
}

/// A review that was recorded.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reviewed {
    /// The reveal the glass gave.
    pub id: String,
    /// Who looked at it.
    pub reviewed_by: String,
}
