//! Trail events: what is written down of a request, of an administrative act, of a refused door.
//!
//! A request that may reach an upstream leaves an *intent* before it is dispatched and an *outcome* before it is
//! answered; a request that dispatches nothing leaves only an outcome. No event has a place for a token, a secret or raw
//! arguments: arguments appear as a keyed digest.

mod write;

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

use crate::{Digest, Effect, Outcome, ids::Millis};

/// The version of the event format, in every event.
pub const VERSION: u8 = 1;

/// Links the events of one request. Random, not derived from the client's JSON-RPC id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u128);

impl RequestId {
    /// The 26 characters of its text form (Crockford base 32).
    pub fn to_text(self) -> String {
        String::from_utf8_lossy(&self.text()).into_owned()
    }

    fn text(self) -> [u8; 26] {
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let mut text = [b'0'; 26];
        let mut rest = self.0;
        for place in text.iter_mut().rev() {
            let index = usize::try_from(rest & 31).unwrap_or(0);
            *place = ALPHABET.get(index).copied().unwrap_or(b'0');
            rest >>= 5;
        }
        text
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

impl Serialize for RequestId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

/// Any event.
#[derive(Serialize, Debug)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'a> {
    /// A call is about to be dispatched.
    Intent(Intent<'a>),
    /// A request is about to be answered.
    Outcome(OutcomeEvent<'a>),
    /// A question about a call is about to be answered. Nothing was called.
    Evaluation(Evaluation<'a>),
    /// An administrative act: grant, reveal, revoke, block, accept, mint, configuration applied, login.
    Act(Act<'a>),
    /// Failures to parse or authenticate, summed up per source prefix, reason and minute.
    Rollup(Rollup<'a>),
}

impl Event<'_> {
    /// The stored bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Intent(intent) => intent.write(),
            Self::Outcome(outcome) => outcome.write(),
            // INVARIANT: events hold strings, integers, digests and JSON only, so they always serialise.
            Self::Evaluation(_) | Self::Act(_) | Self::Rollup(_) => {
                serde_json::to_vec(self).unwrap_or_else(|_| br#"{"event":"unserialisable"}"#.to_vec())
            }
        }
    }
}

/// Who, as verified.
#[derive(Serialize, Clone, Debug)]
pub struct Who<'a> {
    /// `issuer:subject` of the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Cow<'a, str>>,
    /// The agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<Cow<'a, str>>,
    /// The client software.
    pub client: Cow<'a, str>,
    /// How sure we are of it.
    pub assurance: &'static str,
    /// The actor chain, outermost first.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub actors: Cow<'a, [String]>,
    /// Digest of the token id: links to the mint without being the token.
    pub token: Digest,
}

/// Which tool.
#[derive(Serialize, Clone, Debug)]
pub struct Target<'a> {
    /// The server.
    pub server: &'a str,
    /// The tool on it.
    pub tool: &'a str,
    /// The digest of the definition that was shown.
    pub definition: Digest,
    /// Its effect.
    pub effect: Effect,
}

/// What was decided, and by what.
#[derive(Serialize, Clone, Debug)]
pub struct Decided<'a> {
    /// Which of the five.
    pub outcome: Outcome,
    /// The deciding policies.
    pub policies: Cow<'a, [String]>,
    /// The digest of the rule set.
    pub rules: Digest,
    /// The revision of the snapshot the decision was made on.
    pub revision: u64,
    /// The deciding policies could not be evaluated, which denies.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// The rules that would have decided if they were enforced.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub reported: Cow<'a, [String]>,
    /// The caller's facts, sealed: [`crate::replay::KeptCaller`]. The same text for every call of one token and revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<Cow<'a, str>>,
    /// What the rules read of the call, sealed: [`crate::replay::KeptCall`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<Cow<'a, str>>,
}

/// A call is about to be dispatched.
#[derive(Serialize, Debug)]
pub struct Intent<'a> {
    /// Format version.
    pub v: u8,
    /// The request.
    pub request: RequestId,
    /// When.
    pub at: Millis,
    /// The endpoint's slug.
    pub endpoint: &'a str,
    /// The protocol revision the client speaks.
    pub protocol: &'a str,
    /// The MCP method.
    pub method: &'a str,
    /// Who.
    pub who: Who<'a>,
    /// What.
    pub target: Target<'a>,
    /// HMAC-SHA-256 of the canonical arguments under the deployment's key.
    pub arguments: Digest,
    /// Why it may.
    pub decision: Decided<'a>,
    /// The downstream credential about to be spent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<&'a str>,
    /// The caller's trace id, if it sent one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<&'a str>,
    /// The approval that was spent on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<SpentApproval<'a>>,
    /// The broken glass by which it waited for nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<&'a str>,
}

/// An approval that was spent on a call.
#[derive(Serialize, Clone, Debug)]
pub struct SpentApproval<'a> {
    /// Its id.
    pub id: &'a str,
    /// Who said yes: `issuer:subject`.
    pub by: Vec<String>,
}

/// Whether the upstream did what was asked.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Executed {
    /// The upstream answered.
    Yes,
    /// Nothing left the gateway.
    No,
    /// It was dispatched and no complete answer came: may have happened.
    Unknown,
}

impl Executed {
    /// The word of the trail.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

/// A request is about to be answered.
#[derive(Serialize, Debug)]
pub struct OutcomeEvent<'a> {
    /// Format version.
    pub v: u8,
    /// The request.
    pub request: RequestId,
    /// When.
    pub at: Millis,
    /// The endpoint's slug.
    pub endpoint: &'a str,
    /// The protocol revision the client speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<&'a str>,
    /// The MCP method, if it is one we know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<&'a str>,
    /// Who, unless an intent already says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<Who<'a>>,
    /// The tool, unless an intent already says it; absent for one that does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target<'a>>,
    /// Keyed digest of the name that was asked for when it means nothing to this caller, whether there is such a tool or not:
    /// what callers type may be anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<Digest>,
    /// Says nothing. It stands where the record of a hidden tool has its `target`, so that a name that no tool has leaves a
    /// record as long, which takes as long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filler: Option<&'a str>,
    /// The decision, unless an intent already says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decided<'a>>,
    /// Whether the upstream did it.
    pub executed: Executed,
    /// How it ended: `ok`, `tool_error`, or the reason of a refusal or failure.
    pub result: &'a str,
    /// The JSON-RPC error code of the answer, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    /// The HTTP status the upstream gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_status: Option<u16>,
    /// Bytes of the request body.
    pub bytes_in: u64,
    /// Bytes of the reply body.
    pub bytes_out: u64,
    /// Microseconds from the first byte in to this event.
    pub micros: u64,
    /// Microseconds of it spent waiting for the upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_micros: Option<u64>,
    /// The approval it waits for, or was told of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<&'a str>,
}

/// A question about a call, answered by the decision point: it was decided as the call would be, and nothing was called.
#[derive(Serialize, Debug)]
pub struct Evaluation<'a> {
    /// Format version.
    pub v: u8,
    /// The request, which may have asked several.
    pub request: RequestId,
    /// When.
    pub at: Millis,
    /// The endpoint's slug.
    pub endpoint: &'a str,
    /// Who asked.
    pub who: Who<'a>,
    /// Whom it was about, unless whoever asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<About<'a>>,
    /// What would be done, if it is something we know: `tools/call`, `tools/list`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<&'a str>,
    /// The tool; absent for one that does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target<'a>>,
    /// Keyed digest of the resource that was asked for when it is hidden from them or absent: what callers type may be anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<Digest>,
    /// As [`OutcomeEvent::filler`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filler: Option<&'a str>,
    /// HMAC-SHA-256 of the canonical arguments under the deployment's key, if the question gave any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Digest>,
    /// The decision, if it came to one over a tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decided<'a>>,
    /// What was answered: whether it is allowed.
    pub allowed: bool,
    /// Why: `ok`, or the reason of a denial.
    pub result: &'a str,
}

/// Whom a question is about: as whoever asked named them.
#[derive(Serialize, Clone, Debug)]
pub struct About<'a> {
    /// `issuer:subject` of the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Cow<'a, str>>,
    /// The agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<Cow<'a, str>>,
    /// The client software.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<Cow<'a, str>>,
}

/// An administrative act.
#[derive(Serialize, Debug)]
pub struct Act<'a> {
    /// Format version.
    pub v: u8,
    /// Its own id.
    pub request: RequestId,
    /// When.
    pub at: Millis,
    /// Who did it: `operator:<os user>`, `user issuer:subject`, `ambit`.
    pub by: &'a str,
    /// What was done: `grant.create`, `reveal.create`, `revoke`, `block`, `unblock`, `login`, `consent`, `mint`, ….
    pub act: &'a str,
    /// To whom or what.
    pub subject: &'a str,
    /// The state before, where there was one. Without secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<serde_json::Value>,
    /// The state after. Without secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<serde_json::Value>,
    /// Why, in the actor's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
}

/// Refusals summed up so that a flood leaves few records: before anybody was identified, and of a caller over its budget.
#[derive(Serialize, Debug)]
pub struct Rollup<'a> {
    /// Format version.
    pub v: u8,
    /// Its own id.
    pub request: RequestId,
    /// When it was written.
    pub at: Millis,
    /// The minute it sums up.
    pub minute: Millis,
    /// The endpoint's slug, or `other`.
    pub endpoint: &'a str,
    /// The source prefix: IPv4 /24 or IPv6 /56; `any` where a caller is counted wherever it is.
    pub source: &'a str,
    /// The account they tried to log in to, `user local:alice`: only of one that exists, never what somebody typed. Or the
    /// user of the caller that is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<&'a str>,
    /// The agent of the caller that is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<&'a str>,
    /// The client of the caller that is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<&'a str>,
    /// Why they were refused.
    pub reason: &'a str,
    /// How many.
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_have_one_text_form() {
        assert_eq!(RequestId(0).to_text(), "0".repeat(26));
        assert_eq!(RequestId(u128::MAX).to_text(), format!("7{}", "z".repeat(25)));
        assert_eq!(RequestId(33).to_string(), format!("{}11", "0".repeat(24)));
        assert_ne!(RequestId(1).to_text(), RequestId(32).to_text());
    }

    #[test]
    fn an_event_names_its_kind_first() {
        let event = Event::Act(Act {
            v: VERSION,
            request: RequestId(7),
            at: 1,
            by: "operator:root",
            act: "revoke",
            subject: "user local:alice",
            before: None,
            after: None,
            reason: None,
        });
        let text = String::from_utf8(event.to_bytes()).unwrap();
        assert!(text.starts_with(r#"{"event":"act","v":1,"#), "{text}");
    }
}
