//! Stage *guard*: a permit and the arguments become a [`Guarded`] call. The arguments are read once, into one tree; that tree
//! is held to the schema, to the grants and to the rules that read the call, digested and sent.
//!
//! Looks only at tools the caller may see. Builds what will be sent, sends nothing.

mod circumstances;

use std::{net::IpAddr, sync::Arc};

use ambit_identity::{approvals::Spent, caller::Caller};
use ambit_live::{
    Mode, Snapshot,
    catalogue::{Binding, PublishedTool},
    credentials::Spendable,
    mode::Down,
};
use ambit_mcp::{
    Raw, RpcError,
    era::Era,
    strict::{self, Params},
};
use ambit_model::{
    Digest, Effect, Outcome,
    approval::ExactCall,
    grant::Reveal,
    ids::{GrantId, Millis},
    revocation::Scope,
    server::Server,
};
use ambit_openapi::BuiltRequest;
use ambit_policy::{CallVerdict, Verdict};
use http::HeaderMap;
use serde_json::Value;

use crate::{authorize::Permit, gateway::Gateway, ruled::Ruled};
use circumstances::Circumstances;
pub(crate) use circumstances::touched;

/// The proof that one exact call may be dispatched, and what it will send.
pub(crate) struct Guarded {
    permit: Permit,
    arguments: Value,
    digest: Digest,
    credential: Option<Arc<Spendable>>,
    sending: Option<Sending>,
    era: Era,
    trace: Option<String>,
    ruled: Arc<Ruled>,
    spent: Option<Spent>,
    glass: Option<GrantId>,
}

/// A call that is guarded in every way but one: people have to approve it. There is no way to dispatch it.
pub(crate) struct Unapproved {
    guarded: Guarded,
    canonical: Vec<u8>,
    call: Digest,
}

/// What will be sent.
pub(crate) enum Sending {
    /// A request to a REST API, complete but for the credential.
    Rest(BuiltRequest),
    /// The arguments, to a tool of an MCP server.
    Mcp,
}

/// Why a permitted call is not dispatched.
pub(crate) enum Refusal {
    /// The headers do not mirror the arguments.
    Headers(RpcError),
    /// The call as it stands: a sentence with the remedy, and the trail's word for it.
    Call {
        /// What is wrong and what to do.
        sentence: String,
        /// The trail's word.
        result: &'static str,
    },
    /// Rules that read the call refuse it: the sentence of the one or of them.
    Ruled(String, Arc<Ruled>),
    /// Something of ours is down.
    Down(Down),
    /// People have to approve it.
    Unapproved(Box<Unapproved>),
}

impl Refusal {
    fn call(sentence: impl Into<String>, result: &'static str) -> Self {
        Self::Call { sentence: sentence.into(), result }
    }
}

/// What a call brings along.
pub(crate) struct Brought<'a> {
    /// The members of `params`.
    pub(crate) params: &'a Params<'a>,
    /// The headers.
    pub(crate) headers: &'a HeaderMap,
    /// The client's era.
    pub(crate) era: Era,
    /// Where the request came from.
    pub(crate) source: IpAddr,
}

/// Guards a permitted call.
///
/// # Errors
/// [`Refusal`].
pub(crate) async fn guard(gateway: &Gateway, permit: Permit, brought: &Brought<'_>) -> Result<Guarded, Refusal> {
    let (tool, snapshot) = (permit.tool(), permit.snapshot());
    gateway.live().mode().permits(tool.effect.effect).map_err(Refusal::Down)?;
    let raw = brought.params.arguments.unwrap_or(Raw::EMPTY_OBJECT);
    let arguments = strict::parse_arguments(raw).map_err(|error| Refusal::call(error.to_string(), "bad_arguments"))?;
    if brought.era.is_modern() {
        tool.mirrors().agree(brought.headers, &arguments).map_err(|error| Refusal::Headers(error.to_rpc()))?;
    }
    let Prepared { credential, sending } = prepare(snapshot, tool, permit.verdict(), &arguments)?;
    let canonical = strict::to_sorted_json(&arguments);
    let digest = gateway.live().keys().argument_digest(&canonical);
    let trace = brought.params.meta.traceparent.as_deref().and_then(trace_id).map(ToOwned::to_owned);
    let circumstances = Circumstances::of(gateway, &permit, brought.source).await.map_err(Refusal::Down)?;
    let ruled = Arc::new(permit.judge_call(gateway.live().keys(), &circumstances.facts(&permit, &arguments)));
    let (era, sending) = (brought.era, Some(sending));
    let ruling = Arc::clone(&ruled);
    let (spent, glass) = (None, None);
    let guarded = Guarded { permit, arguments, digest, credential, sending, era, trace, ruled: ruling, spent, glass };
    match ruled.verdict.outcome {
        Outcome::Allow => Ok(guarded),
        Outcome::NeedsApproval => Err(Refusal::Unapproved(Box::new(Unapproved::new(guarded, canonical)))),
        // The per-call half hides nothing and asks for no scope; whatever is not allowed is refused.
        Outcome::Hidden | Outcome::NeedsScope | Outcome::Refused => {
            let sentence = ruled.verdict.sentence.clone();
            Err(Refusal::Ruled(sentence.unwrap_or_else(|| "a rule refuses this call".to_owned()), ruled))
        }
    }
}

impl Unapproved {
    fn new(guarded: Guarded, canonical: Vec<u8>) -> Self {
        let call = guarded.exact().map_or(Digest([0; 32]), |exact| exact.digest());
        Self { guarded, canonical, call }
    }

    pub(crate) fn guarded(&self) -> &Guarded {
        &self.guarded
    }

    /// The arguments as they will be sent.
    pub(crate) fn canonical(&self) -> &[u8] {
        &self.canonical
    }

    /// Which rules ask for the approval.
    pub(crate) fn verdict(&self) -> &CallVerdict {
        &self.guarded.ruled.verdict
    }

    /// The digest of the exact call.
    pub(crate) fn call(&self) -> &Digest {
        &self.call
    }

    /// The guarded call, if its caller broke the glass for its tool: then no second person has to say yes. It lifts no rule: one
    /// of the organisation that asks for an approval, and the flow of labels, hold the call as they would any other.
    ///
    /// # Errors
    /// The call as it was.
    pub(crate) fn under_glass(mut self: Box<Self>, now: Millis) -> Result<Box<Guarded>, Box<Self>> {
        let broken = self.guarded.broken_glass(self.guarded.snapshot(), now).map(|reveal| reveal.id.clone());
        let Some(id) = broken.filter(|_| self.verdict().asks_only_for_a_second_person()) else { return Err(self) };
        tracing::warn!(tool = %self.guarded.tool().id(), glass = %id, "a call waits for nobody: the glass was broken");
        self.guarded.glass = Some(id);
        Ok(Box::new(self.guarded))
    }

    /// The guarded call, for an approval that was spent on exactly this one.
    pub(crate) fn with(self, spent: Spent) -> Option<Guarded> {
        let same = *spent.call() == self.call && self.guarded.exact().is_some();
        let ruled = Arc::new(self.guarded.ruled.approved());
        same.then(|| Guarded { spent: Some(spent), ruled, ..self.guarded })
    }
}

/// What a call with these arguments would send, and spend.
pub(crate) struct Prepared {
    credential: Option<Arc<Spendable>>,
    sending: Sending,
}

/// Holds arguments to the schema and to the grants, and builds what would be sent. Asks no rule and sends nothing.
///
/// # Errors
/// [`Refusal::Call`].
pub(crate) fn prepare(
    snapshot: &Snapshot,
    tool: &PublishedTool,
    verdict: &Verdict,
    arguments: &Value,
) -> Result<Prepared, Refusal> {
    hold_to_schema(tool, arguments)?;
    hold_to_grants(verdict, arguments)?;
    let credential = reachable(snapshot, tool)?;
    let sending = match &tool.binding {
        Binding::Operation(operation) => Sending::Rest(build(snapshot, tool, operation, arguments)?),
        Binding::Mcp { .. } => Sending::Mcp,
    };
    Ok(Prepared { credential, sending })
}

/// What would be spent on a call of a tool, whatever its arguments.
///
/// # Errors
/// [`Refusal::Call`]: its server is gone, or its credential was revoked.
pub(crate) fn reachable(snapshot: &Snapshot, tool: &PublishedTool) -> Result<Option<Arc<Spendable>>, Refusal> {
    let server =
        snapshot.deployment.servers.get(&tool.id().server).ok_or_else(|| {
            Refusal::call("its server is not there any more; read the list of tools again", "no_server")
        })?;
    credential(snapshot, server, tool.effect.effect)
}

fn hold_to_schema(tool: &PublishedTool, arguments: &Value) -> Result<(), Refusal> {
    let schema = tool.arguments().map_err(|invalid| {
        tracing::warn!(tool = %tool.id(), %invalid, "a tool cannot be called");
        Refusal::call("the schema of this tool is not usable; tell the owner of its server", "bad_schema")
    })?;
    schema.check(arguments).map_err(|violations| {
        let sentence = format!("{}; correct the arguments and call again", violations.join("; "));
        Refusal::call(sentence, "bad_arguments")
    })
}

/// What the grants leave of the arguments, exactly, whatever the shown schema could say of it.
fn hold_to_grants(verdict: &Verdict, arguments: &Value) -> Result<(), Refusal> {
    let Some(narrowing) = &verdict.narrowing else { return Ok(()) };
    narrowing.allowed.check(arguments).map_err(|violation| Refusal::call(violation.sentence, "outside_grant"))
}

/// What is spent for a tool of this effect, unless it was revoked. A credential has no instant of issue that we know: one
/// that was ever revoked stays revoked until it is replaced under another id.
fn credential(snapshot: &Snapshot, server: &Server, effect: Effect) -> Result<Option<Arc<Spendable>>, Refusal> {
    let Some(credential) = snapshot.credentials.find(&server.slug, effect) else {
        return Ok(None);
    };
    let scope = Scope::Credential(credential.id.clone());
    if snapshot.revocations.judge([&scope], i64::MIN).is_some() {
        let sentence = "the credential for this server was revoked; ask the owner of the server for a new one";
        return Err(Refusal::call(sentence, "credential_revoked"));
    }
    Ok(Some(Arc::clone(credential)))
}

fn build(
    snapshot: &Snapshot,
    tool: &PublishedTool,
    operation: &ambit_openapi::OperationTool,
    arguments: &Value,
) -> Result<BuiltRequest, Refusal> {
    let read = snapshot.catalogue.server(&tool.id().server);
    let base = read
        .and_then(|read| read.base_url.as_ref())
        .ok_or_else(|| Refusal::call("the address of this server is not known; tell its owner", "no_server"))?;
    operation.plan.build(base, arguments).map_err(|error| Refusal::call(error.to_string(), "bad_arguments"))
}

impl Guarded {
    pub(crate) fn snapshot(&self) -> &Arc<Snapshot> {
        self.permit.snapshot()
    }

    pub(crate) fn tool(&self) -> &Arc<PublishedTool> {
        self.permit.tool()
    }

    pub(crate) fn caller(&self) -> &Caller {
        self.permit.caller()
    }

    /// Whether it is still allowed, now.
    pub(crate) fn stands(&self, gateway: &Gateway) -> bool {
        let (current, now) = (&gateway.live().current(), gateway.live().clock().now());
        let verdict = self.permit.stands(current, now);
        let stands = verdict.is_some_and(|verdict| hold_to_grants(&verdict, &self.arguments).is_ok());
        stands && (self.glass.is_none() || self.broken_glass(current, now).is_some())
    }

    pub(crate) fn verdict(&self) -> &Arc<Verdict> {
        self.permit.verdict()
    }

    pub(crate) fn server(&self) -> Option<&Server> {
        self.snapshot().deployment.servers.get(&self.tool().id().server)
    }

    pub(crate) fn is_read(&self) -> bool {
        self.tool().effect.effect == Effect::Read
    }

    pub(crate) fn arguments(&self) -> &Value {
        &self.arguments
    }

    /// The keyed digest of the arguments.
    pub(crate) fn arguments_digest(&self) -> Digest {
        self.digest
    }

    pub(crate) fn credential(&self) -> Option<&Arc<Spendable>> {
        self.credential.as_ref()
    }

    /// What is to be sent: there once.
    pub(crate) fn spend(&mut self) -> Option<Sending> {
        self.sending.take()
    }

    pub(crate) fn era(&self) -> Era {
        self.era
    }

    pub(crate) fn trace(&self) -> Option<&str> {
        self.trace.as_deref()
    }

    /// What the rules that read the call said.
    pub(crate) fn ruled(&self) -> &Arc<Ruled> {
        &self.ruled
    }

    /// The broken glass by which it waited for nobody.
    pub(crate) fn glass(&self) -> Option<&GrantId> {
        self.glass.as_ref()
    }

    fn broken_glass<'a>(&self, snapshot: &'a Snapshot, now: Millis) -> Option<&'a Reveal> {
        let tool = self.tool();
        snapshot.broken_glass(self.caller().facts(), (tool.id(), tool.effect.effect), now)
    }

    /// The approval that was spent on it.
    pub(crate) fn spent(&self) -> Option<&Spent> {
        self.spent.as_ref()
    }

    /// Takes the approval out, to note what came of it.
    pub(crate) fn take_spent(&mut self) -> Option<Spent> {
        self.spent.take()
    }

    /// What an approval of it is bound to. Its endpoint is there as long as its snapshot is.
    pub(crate) fn exact(&self) -> Option<ExactCall<'_>> {
        let facts = self.caller().facts();
        Some(ExactCall {
            user: facts.user().map(|user| &user.key),
            agent: facts.agent().map(|agent| &agent.id),
            client: &facts.client.id,
            endpoint: self.permit.endpoint()?,
            tool: self.tool().id(),
            definition: self.tool().digest,
            rules: self.verdict().rules,
            arguments: self.digest,
        })
    }
}

/// The trace id of a W3C `traceparent`, if it is one.
fn trace_id(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let whole = version.len() == 2 && trace.len() == 32 && hex(version) && hex(trace);
    (whole && trace.bytes().any(|byte| byte != b'0')).then_some(trace)
}

/// What may be served at all.
///
/// # Errors
/// What is down.
pub(crate) fn is_open(mode: Mode) -> Result<(), Down> {
    match mode {
        Mode::Normal | Mode::ReadsOnly(_) => Ok(()),
        Mode::Refuse(down) => Err(down),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_trace_id_is_kept() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(trace_id(&format!("00-{id}-b7ad6b7169203331-01")), Some(id));
        for bad in ["", "00", "00--", &format!("00-{}-x-01", "0".repeat(32)), &format!("00-{}-x", id.to_uppercase())] {
            assert_eq!(trace_id(bad), None, "{bad}");
        }
    }
}
