//! What is written about requests for access.

use schemars::JsonSchema;
use serde::Deserialize;

/// What people may ask for through their clients, with `ambit_status` and `ambit_request_access`.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct AccessRequests {
    /// Whether these two tools are there. They are if absent; which toolsets can be asked for, each toolset says itself.
    #[serde(default = "on")]
    pub enabled: bool,
    /// The longest that access is given for, such as `30d`; at most `365d`. `90d` if absent.
    #[schemars(extend("format" = "ambit-duration"))]
    pub longest: Option<String>,
}

impl Default for AccessRequests {
    fn default() -> Self {
        Self { enabled: on(), longest: None }
    }
}

pub(super) const fn on() -> bool {
    true
}
