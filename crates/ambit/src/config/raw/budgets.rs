//! `[budgets]` and `[servers.SLUG.breaker]` as they are written.

use std::{collections::BTreeMap, num::NonZeroU32};

use schemars::JsonSchema;
use serde::Deserialize;

/// How much somebody may use. What is not said comes from `default`, and what that does not say from Ambit's own numbers.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// All requests of a person together, whatever they ask.
    #[serde(default)]
    pub requests: Limits,
    /// Calls of tools that only read.
    #[serde(default)]
    pub read: Limits,
    /// Calls of tools that write.
    #[serde(default)]
    pub write: Limits,
    /// Calls of destructive tools.
    #[serde(default)]
    pub destructive: Limits,
    /// Calls of single tools: `server/tool`, `server/prefix*`, `server/*` or `*`. Each tool that is covered has the limits for
    /// itself; of several that cover it the most exact one counts.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "ambit-tool-pattern"}))]
    pub tools: BTreeMap<String, Limits>,
}

/// What one kind of use is held to.
#[derive(Deserialize, JsonSchema, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// How many in a time: `20/s`, `600/m`, `100/h`.
    #[schemars(extend("format" = "ambit-rate"))]
    pub rate: Option<String>,
    /// How many of them may come at once after a rest. A tenth of the rate if absent.
    pub burst: Option<NonZeroU32>,
    /// How many may be under way at once.
    pub at_once: Option<NonZeroU32>,
    /// How many from 00:00 to 24:00 UTC.
    pub per_day: Option<NonZeroU32>,
}

/// When calls of a server are not sent any more because it does not answer.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Breaker {
    /// So many calls in a row without an answer open it. 20 if absent.
    pub failures: Option<NonZeroU32>,
    /// The longest time between the first and the last of them, such as `2m`.
    #[schemars(extend("format" = "ambit-duration"))]
    pub within: Option<String>,
    /// How long nothing is sent before one call tries again, such as `15s`.
    #[schemars(extend("format" = "ambit-duration"))]
    pub rest: Option<String>,
}
