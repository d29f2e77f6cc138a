//! What is written about webhooks: where another system listens, how it reads, and how it knows that Ambit speaks.

use schemars::JsonSchema;
use serde::Deserialize;

/// Another system that hears what waits for people.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where it listens: an `https` URL, or `env:NAME` or `file:PATH` of one where the URL itself is a secret.
    #[schemars(extend("format" = "ambit-webhook-url"))]
    pub url: String,
    /// How it reads: `generic` is JSON with `type`, `timestamp` and `data`, `slack` is a line of text for a chat.
    #[serde(default)]
    pub format: WebhookFormat,
    /// What messages are signed with: the reference to `whsec_` and the base64 of 24 to 64 random bytes. `generic` needs one.
    #[schemars(extend("format" = "ambit-secret"))]
    pub secret: Option<String>,
    /// What it hears. Everything if absent.
    #[serde(default)]
    pub events: Vec<WebhookEvent>,
}

/// How a webhook reads.
#[derive(Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
pub enum WebhookFormat {
    /// Members for a program, signed.
    #[default]
    Generic,
    /// A line for a chat.
    Slack,
}

/// What a webhook may hear.
#[derive(Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookEvent {
    /// A call waits for people.
    #[serde(rename = "approval.requested")]
    ApprovalRequested,
    /// Enough of them said yes.
    #[serde(rename = "approval.approved")]
    ApprovalApproved,
    /// One of them said no.
    #[serde(rename = "approval.denied")]
    ApprovalDenied,
    /// Somebody uses tools without waiting for others.
    #[serde(rename = "break_glass.begun")]
    GlassBroken,
    /// A person wants a toolset and waits for whoever answers for it.
    #[serde(rename = "access.requested")]
    AccessRequested,
    /// They said yes.
    #[serde(rename = "access.approved")]
    AccessApproved,
    /// They said no.
    #[serde(rename = "access.denied")]
    AccessDenied,
}
