//! What is handed to the trail: the bytes of an event, how durable they must be, and what they can be found by.

use std::sync::Arc;

use ambit_model::{
    event::{Decided, Event, RequestId, Target, Who},
    ids::Millis,
};
use serde::Deserialize;

/// When an append counts as done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// When it is on disk: after an `fdatasync` that covers it.
    Synced,
    /// When it is in the file; on disk within [`Settings::sync_within`](crate::Settings::sync_within).
    Written,
}

/// A record to append.
#[derive(Clone, Debug)]
pub struct Record {
    /// The event, exactly as it will be stored: [`Event::to_bytes`].
    pub bytes: Vec<u8>,
    /// When it happened.
    pub at: Millis,
    /// What it can be found by.
    pub keys: Keys,
    /// When the append counts as done.
    pub durability: Durability,
}

/// What a record can be found by. An outcome that follows an intent carries the intent's keys.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Keys {
    /// `issuer:subject` of the person; of an act or refused logins, whom they concern.
    pub subject: Option<Arc<str>>,
    /// The agent.
    pub agent: Option<Arc<str>>,
    /// The client.
    pub client: Option<Arc<str>>,
    /// `server/tool`.
    pub tool: Option<Arc<str>>,
    /// The endpoint's slug.
    pub endpoint: Option<Arc<str>>,
    /// The outcome of the decision.
    pub decision: Option<Arc<str>>,
}

impl Keys {
    /// The keys of an event. The same that a reader derives from its bytes, so that what is indexed is what is found.
    pub fn of(event: &Event<'_>) -> Self {
        match event {
            Event::Intent(intent) => Self::default()
                .with_who(Some(&intent.who))
                .with_target(Some(&intent.target))
                .with_decision(Some(&intent.decision))
                .with_endpoint(intent.endpoint),
            Event::Outcome(outcome) => Self::default()
                .with_who(outcome.who.as_ref())
                .with_target(outcome.target.as_ref())
                .with_decision(outcome.decision.as_ref())
                .with_endpoint(outcome.endpoint),
            Event::Evaluation(evaluation) => Self::default()
                .with_who(Some(&evaluation.who))
                .with_target(evaluation.target.as_ref())
                .with_decision(evaluation.decision.as_ref())
                .with_endpoint(evaluation.endpoint),
            Event::Act(act) => Self { subject: Some(person_of(act.subject).into()), ..Self::default() },
            Event::Rollup(rollup) => {
                let subject = rollup.subject.map(|subject| person_of(subject).into());
                let (agent, client) = (rollup.agent.map(Into::into), rollup.client.map(Into::into));
                Self { subject, agent, client, ..Self::default() }.with_endpoint(rollup.endpoint)
            }
        }
    }

    fn with_who(self, who: Option<&Who<'_>>) -> Self {
        match who {
            None => self,
            Some(who) => Self {
                subject: who.user.as_deref().map(Into::into),
                agent: who.agent.as_deref().map(Into::into),
                client: Some(who.client.as_ref().into()),
                ..self
            },
        }
    }

    fn with_target(self, target: Option<&Target<'_>>) -> Self {
        Self { tool: target.map(|target| [target.server, "/", target.tool].concat().into()), ..self }
    }

    fn with_decision(self, decision: Option<&Decided<'_>>) -> Self {
        Self { decision: decision.map(|decision| decision.outcome.as_str().into()), ..self }
    }

    fn with_endpoint(self, endpoint: &str) -> Self {
        Self { endpoint: Some(endpoint.into()), ..self }
    }

    /// Whether these are copies of the very same values. False says nothing.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let same = |a: &Option<Arc<str>>, b: &Option<Arc<str>>| match (a, b) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        same(&self.subject, &other.subject)
            && same(&self.agent, &other.agent)
            && same(&self.client, &other.client)
            && same(&self.tool, &other.tool)
            && same(&self.endpoint, &other.endpoint)
            && same(&self.decision, &other.decision)
    }

    /// Whether nothing is known, as of an outcome whose intent was not read.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// An act names its subject with its kind, `user local:alice`; people are found by who they are.
fn person_of(subject: &str) -> &str {
    subject.strip_prefix("user ").unwrap_or(subject)
}

/// What a reader takes from the bytes of an event. Members it does not know are skipped.
#[derive(Deserialize, Debug)]
pub struct Peek {
    /// `intent`, `outcome`, `evaluation`, `act` or `rollup`.
    pub event: String,
    /// Links the events of one request.
    #[serde(deserialize_with = "request_id")]
    pub request: RequestId,
    /// When.
    pub at: Millis,
    endpoint: Option<String>,
    who: Option<PeekWho>,
    target: Option<PeekTarget>,
    decision: Option<PeekDecision>,
    subject: Option<String>,
    agent: Option<String>,
    client: Option<String>,
}

#[derive(Deserialize, Debug)]
struct PeekWho {
    user: Option<String>,
    agent: Option<String>,
    client: Option<String>,
}

#[derive(Deserialize, Debug)]
struct PeekTarget {
    server: String,
    tool: String,
}

#[derive(Deserialize, Debug)]
struct PeekDecision {
    outcome: String,
}

fn request_id<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<RequestId, D::Error> {
    let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
    parse_request(&text).ok_or_else(|| serde::de::Error::custom("not a request id"))
}

/// Reads the text form of a request id.
pub fn parse_request(text: &str) -> Option<RequestId> {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut number: u128 = 0;
    for byte in text.bytes() {
        let digit = ALPHABET.iter().position(|digit| *digit == byte)?;
        number = number.checked_mul(32)?.checked_add(digit as u128)?;
    }
    let request = RequestId(number);
    (request.to_text() == text).then_some(request)
}

impl Peek {
    /// Reads the bytes of an event; `None` if they are none.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// The keys that stand in the event itself.
    pub fn keys(&self) -> Keys {
        let text = |text: &Option<String>| text.as_deref().map(Into::into);
        let who = self.who.as_ref();
        let subject = who.and_then(|who| text(&who.user));
        Keys {
            subject: subject.or_else(|| self.subject.as_deref().map(|subject| person_of(subject).into())),
            agent: who.and_then(|who| text(&who.agent)).or_else(|| text(&self.agent)),
            client: who.and_then(|who| text(&who.client)).or_else(|| text(&self.client)),
            tool: self.target.as_ref().map(|target| [&target.server, "/", &target.tool].concat().into()),
            endpoint: text(&self.endpoint),
            decision: self.decision.as_ref().map(|decision| decision.outcome.as_str().into()),
        }
    }

    /// The endpoint's slug.
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// Whether this is an outcome that leaves who and what to its intent.
    pub fn leans_on_intent(&self) -> bool {
        self.event == "outcome" && self.who.is_none()
    }
}
