//! The one function that lets a call out. It takes the proof that the call was guarded and the proof that it was recorded,
//! and gives the latter back with what came of it.

use std::{sync::Arc, time::Instant};

use ambit_egress::{Again, NotSent, ReadError, SendError, Sent};
use ambit_live::credentials::Spendable;
use ambit_mcp::OwnedRaw;
use ambit_model::{Effect, event::Executed};
use ambit_openapi::{BuiltRequest, ToolOutcome};

use super::{
    mcp,
    openapi::{Answer, Failure},
};
use crate::{
    answer::Note,
    gateway::Gateway,
    guard::{Guarded, Sending},
    progress::Relay,
    trail::Recorded,
};

/// A call that was let out, with what came of it.
pub(crate) struct Performed {
    /// What the upstream said.
    pub(crate) said: Said,
    /// The same for the trail.
    pub(crate) note: Note,
    /// What was spent on it, to be kept out of the reply.
    pub(crate) credential: Option<Arc<Spendable>>,
    /// Its open record.
    pub(crate) recorded: Recorded,
}

/// What an upstream said.
pub(crate) enum Said {
    /// An API's answer as a tool result.
    Tool(ToolOutcome),
    /// An MCP server's result, complete in the client's era.
    Result(OwnedRaw),
    /// Nothing usable: a sentence that says so, and whether the call may have happened.
    Failed(String),
    /// An MCP server cannot do it without something of the client that is not relayed to it.
    Lacks {
        /// What it needs, an object of capabilities.
        required: OwnedRaw,
        /// The same in words.
        sentence: String,
    },
}

impl Performed {
    /// Whether its server answered, be it with an error; `None` if nobody can say, because the call never left or what failed
    /// is our own. A proxy that says that the server does not answer is no answer.
    pub(crate) fn is_answered(&self) -> Option<bool> {
        let failed = matches!(self.said, Said::Failed(_));
        match (self.note.result, self.note.upstream_status) {
            ("timeout" | "unreachable" | "broken_answer" | "broken", _) if failed => Some(false),
            (_, Some(502..=504)) => Some(false),
            ("remote" | "unusable" | "credential" | "unsupported" | "too-large" | "changed", _) | (_, Some(_)) => {
                Some(true)
            }
            _ => (self.note.executed == Executed::Yes).then_some(true),
        }
    }
}

/// Lets a call out.
pub(crate) async fn call(gateway: &Gateway, mut guarded: Guarded, recorded: Recorded) -> Performed {
    let started = Instant::now();
    let (said, note) = match guarded.spend() {
        // Boxed: either is large, and nothing should carry both about.
        Some(Sending::Rest(built)) => Box::pin(rest(gateway, &guarded, built)).await,
        Some(Sending::Mcp) => Box::pin(mcp(gateway, &guarded, recorded.relay())).await,
        None => failed(&guarded, Executed::No, "there is nothing left to send", "spent"),
    };
    if matches!(said, Said::Failed(_)) {
        gateway.shared.metrics.upstream_failed(&guarded.tool().id().server, note.result);
    }
    let note = Note { upstream: Some(started.elapsed()), ..note };
    Performed { said, note, credential: guarded.credential().cloned(), recorded }
}

async fn rest(gateway: &Gateway, guarded: &Guarded, built: BuiltRequest) -> (Said, Note) {
    let read = guarded.snapshot().catalogue.server(&guarded.tool().id().server);
    let base = read.and_then(|read| read.base_url.as_ref());
    let (Some(base), Some(server)) = (base, guarded.server()) else {
        return failed(guarded, Executed::No, "its server is not there any more", "no_server");
    };
    let credential = guarded.credential().map(AsRef::as_ref);
    // The effect, not the method, says what may be repeated: there are APIs that delete by a GET.
    let again = match guarded.tool().effect.effect {
        Effect::Read => Again::IfUnanswered,
        Effect::Write | Effect::Destructive => Again::Never,
    };
    let rest = &gateway.shared.upstreams.rest;
    match rest.send(base, built, credential, (server.limits, again, &|| guarded.stands(gateway))).await {
        Ok(Answer { status, outcome }) => {
            let result = if outcome.is_error { "tool_error" } else { "ok" };
            let note = Note { executed: Executed::Yes, upstream_status: Some(status.as_u16()), ..Note::of(result) };
            (Said::Tool(outcome), note)
        }
        Err(failure) => {
            tracing::warn!(server = %server.slug, %failure, "a call has no answer");
            let (executed, what, result, status) = told(&failure);
            let (said, note) = failed(guarded, executed, &what, result);
            (said, Note { upstream_status: status, ..note })
        }
    }
}

/// A failure in words for the caller, who learns nothing of addresses.
fn told(failure: &Failure) -> (Executed, String, &'static str, Option<u16>) {
    match failure {
        Failure::Address(_) => (Executed::No, "its address may not be used".into(), "address_refused", None),
        Failure::Send(error) => {
            let (what, result) = unsent(error);
            let executed = if error.may_have_happened() { Executed::Unknown } else { Executed::No };
            (executed, what.into(), result, None)
        }
        Failure::Encoded(status, coding) => {
            let what = format!("its answer is encoded as `{coding}`, which was not asked for and is not read");
            (Executed::Unknown, what, "unasked_encoding", Some(status.as_u16()))
        }
        Failure::Read(status, error) => {
            let (what, result) = match error {
                ReadError::TooLarge { limit } => {
                    (format!("its answer is larger than {limit} bytes; ask for less at once"), "too_large")
                }
                ReadError::Truncated | ReadError::Unframed => ("its answer broke off".into(), "broken_answer"),
                ReadError::Timeout => ("its answer was not complete in time".into(), "timeout"),
                ReadError::Broken(_) => ("its answer could not be read".into(), "broken_answer"),
            };
            (Executed::Unknown, what, result, Some(status.as_u16()))
        }
    }
}

fn unsent(error: &SendError) -> (&'static str, &'static str) {
    if error.is_refused() {
        ("its address may not be used", "address_refused")
    } else if matches!(error.sent, Sent::No(NotSent::Busy)) {
        ("too many requests to it are in flight", "busy")
    } else if matches!(error.sent, Sent::No(NotSent::Withdrawn)) {
        ("what allowed the call ended while it waited", "withdrawn")
    } else if error.is_timeout() {
        ("it did not answer in time", "timeout")
    } else if error.may_have_happened() {
        ("it closed the connection or did not answer in HTTP", "broken_answer")
    } else {
        ("it could not be reached", "unreachable")
    }
}

/// A failed call, told of its server.
fn failed(guarded: &Guarded, executed: Executed, what: &str, result: &'static str) -> (Said, Note) {
    let what = format!("server `{}`: {what}", guarded.tool().id().server);
    (Said::Failed(sentence(guarded, executed, &what)), Note { executed, ..Note::of(result) })
}

/// What happened, and whether it is safe to try again.
fn sentence(guarded: &Guarded, executed: Executed, what: &str) -> String {
    match (executed, guarded.tool().effect.effect) {
        (Executed::No, _) => format!("not executed: {what}; it is safe to try again later"),
        (Executed::Yes | Executed::Unknown, Effect::Read) => {
            format!("no result: {what}; the call only reads, so it is safe to try again")
        }
        (Executed::Yes | Executed::Unknown, Effect::Write | Effect::Destructive) => format!(
            "no result, but the call may have been carried out: {what}; look at what it changed before trying again"
        ),
    }
}

async fn mcp(gateway: &Gateway, guarded: &Guarded, relay: Option<&Relay>) -> (Said, Note) {
    let Some(server) = guarded.server() else {
        return failed(guarded, Executed::No, "it is not there any more", "no_server");
    };
    let call = mcp::Call {
        server,
        tool: guarded.tool(),
        credential: guarded.credential().map(AsRef::as_ref),
        arguments: guarded.arguments(),
        deadline: tokio::time::Instant::now() + server.limits.timeout,
        max_bytes: server.limits.max_reply_bytes,
        client_era: guarded.era(),
        progress: relay.map(|relay| relay as &dyn mcp::OnProgress),
        stands: &|| guarded.stands(gateway),
    };
    match gateway.shared.upstreams.mcp.call(&call).await {
        Ok(answer) => {
            let result = if answer.is_error { "tool_error" } else { "ok" };
            (Said::Result(answer.result), Note { executed: Executed::Yes, ..Note::of(result) })
        }
        Err(failure) => {
            let kind = failure.kind().as_str();
            tracing::warn!(kind, detail = failure.detail(), "{}", failure.what());
            let executed = if failure.may_have_happened() { Executed::Unknown } else { Executed::No };
            let sentence = sentence(guarded, executed, &failure.what());
            // To a client that is told what is missing, the call has not begun: it would make it again.
            let said = match failure.required().filter(|_| executed == Executed::No) {
                Some(required) => Said::Lacks { required: required.clone(), sentence },
                None => Said::Failed(sentence),
            };
            (said, Note { executed, ..Note::of(kind) })
        }
    }
}
