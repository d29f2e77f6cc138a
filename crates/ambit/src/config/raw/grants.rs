//! Who holds what, and who may say so: `[[grants]]` and `[[operator.roles]]` as they are written.

use std::{borrow::Cow, collections::BTreeMap};

use ambit_model::operator::Role;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// A standing grant. Exactly one of `user`, `group`, `agent`, `client` and `claim` holds it.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// A user: a local account, or `issuer:subject`.
    #[schemars(extend("format" = "ambit-user"))]
    pub user: Option<String>,
    /// An Ambit group.
    #[schemars(extend("format" = "ambit-slug"))]
    pub group: Option<String>,
    /// An agent.
    #[schemars(extend("format" = "ambit-slug"))]
    pub agent: Option<String>,
    /// Client software, by its client id. Entitles nobody: it adds the toolset to the client's ceiling.
    #[schemars(extend("format" = "ambit-client-id"))]
    pub client: Option<String>,
    /// Everybody whose token carries a claim.
    pub claim: Option<Claim>,
    /// The slug of the toolset that is granted.
    #[schemars(extend("format" = "ambit-slug"))]
    pub toolset: String,
    /// Why, in a sentence.
    #[schemars(extend("format" = "ambit-text"))]
    pub reason: String,
    /// The ticket or change it belongs to, in another system.
    #[schemars(extend("format" = "ambit-text"))]
    pub ticket: Option<String>,
    /// Who said yes.
    #[schemars(extend("format" = "ambit-text"))]
    pub approved_by: Option<String>,
    /// When it begins to count. At once if absent.
    #[schemars(extend("format" = "ambit-instant"))]
    pub starts: Option<String>,
    /// When it stops counting: a date such as `2027-06-30` (00:00 UTC) or a date and time, at most 365 days ahead. 90 days after
    /// `starts` if absent.
    #[schemars(extend("format" = "ambit-instant"))]
    pub expires: Option<String>,
    /// What it says about arguments: a JSON Schema fragment for each tool, by `server/tool`, `server/prefix*`, `server/*`, or `*` for
    /// every tool of the toolset. Tools without one may be called with any arguments.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "ambit-tool-pattern"}))]
    pub constraints: BTreeMap<String, Fragment>,
}

/// A JSON Schema fragment over the arguments of a call: a table, or JSON in quotes.
#[derive(Deserialize, Debug)]
#[serde(transparent)]
pub struct Fragment(pub serde_json::Value);

impl JsonSchema for Fragment {
    fn schema_name() -> Cow<'static, str> {
        "Fragment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A JSON Schema fragment over the arguments of a call: a table, or JSON in quotes.",
            "format": "ambit-fragment",
        })
    }
}

/// A claim that a person's token carries.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The issuer that vouches for it. The only one whose `claims` name it, if absent.
    #[schemars(extend("format" = "ambit-slug"))]
    pub issuer: Option<String>,
    /// Its name, one of the issuer's `claims`.
    #[schemars(extend("format" = "ambit-text"))]
    pub name: String,
    /// What it must say, as its text or in its list.
    #[schemars(extend("format" = "ambit-text"))]
    pub value: String,
}

/// Somebody who has a part in running the deployment.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct RoleHolder {
    /// The user of the operating system, as the socket sees it.
    #[schemars(extend("format" = "ambit-account"))]
    pub os_user: Option<String>,
    /// The person: a local account, or `issuer:subject`. Nobody grants anything to themselves.
    #[schemars(extend("format" = "ambit-user"))]
    pub person: Option<String>,
    /// What they are.
    #[schemars(with = "Vec<RawRole>", length(min = 1))]
    pub roles: Vec<Role>,
    /// The slugs of the servers an `owner` answers for.
    #[serde(default)]
    #[schemars(extend("items" = {"type": "string", "format": "ambit-slug"}))]
    pub servers: Vec<String>,
}

/// A part in running the deployment.
#[derive(JsonSchema)]
#[schemars(rename = "Role", rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used: the type itself is `ambit_model::operator::Role`")]
enum RawRole {
    /// Does everything but what separation of duties forbids.
    Admin,
    /// Grants, reveals, accepts and blocks what belongs to its servers alone.
    Owner,
    /// Says yes or no to single calls.
    Approver,
    /// Reads everything and changes nothing.
    Auditor,
}
