//! What is written about breaking the glass: who may, and for what.

use schemars::JsonSchema;
use serde::Deserialize;

/// Who may use destructive tools for at most an hour without waiting for others. Nobody if absent.
#[derive(Deserialize, JsonSchema, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct BreakGlass {
    /// Local accounts, by name: whoever breaks the glass logs in here.
    #[serde(default)]
    #[schemars(extend("items" = {"type": "string", "format": "ambit-account"}))]
    pub people: Vec<String>,
    /// The slugs of the toolsets they may use then.
    #[serde(default)]
    #[schemars(extend("items" = {"type": "string", "format": "ambit-slug"}))]
    pub toolsets: Vec<String>,
}
