//! What is written down of each request, and the proofs that it was: [`Recorded`] before anything is dispatched, [`Closed`]
//! before anything is answered.
//!
//! A request that is dropped on its way, because its client left or the process stops, is closed by its guard object.
//! Refusals before anybody was identified are counted, not written one by one. No token, secret or raw argument gets here.

mod evaluated;
mod judged;

use std::{
    net::IpAddr,
    sync::{Arc, LazyLock},
    time::Instant,
};

use ambit_identity::{authenticate::AuthFailure, caller::Caller};
use ambit_live::{
    keys::Keys,
    recorder::{Appended, Durability, IndexKeys, Open},
};
use ambit_mcp::{Id, RpcError, era::Era};
use ambit_model::{
    Digest, Outcome,
    event::{Decided, Event, Executed, Intent, OutcomeEvent, RequestId, SpentApproval, VERSION},
    ids::{ApprovalId, GrantId, Millis},
};
use ambit_policy::Verdict;

use crate::{
    answer::{Note, Reply},
    authenticate::Entered,
    gateway::Gateway,
    guard::Guarded,
    http::Place,
    own::OwnTool,
    parse::Method,
    progress::{Relay, Wish},
    replay,
    ruled::Ruled,
};
pub(crate) use evaluated::Evaluating;
pub(crate) use judged::Judged;
use judged::{Found, decided, own_decision, target};

/// Places one request takes: an intent and an outcome.
const PLACES: u32 = 2;

/// A value that may be answered, because what became of its request was written down.
pub(crate) struct Closed<T>(T);

impl<T> Closed<T> {
    pub(crate) fn into_inner(self) -> T {
        self.0
    }
}

/// Refuses a request of nobody in particular: counted under its source prefix and reason, and told to wait if there were
/// too many. Whoever brings no token at all is always told where to get one: the answer costs next to nothing, and without it
/// one client that goes on and on would keep a whole network from logging in.
pub(crate) fn refuse_early(gateway: &Gateway, endpoint: &str, source: IpAddr, reply: Reply) -> Closed<Reply> {
    count_refusal(gateway, endpoint, source, &reply);
    if reply.note.result == AuthFailure::Absent.reason() {
        return Closed(reply);
    }
    Closed(match gateway.shared.throttle.count(source) {
        Ok(()) => reply,
        Err(wait) => Reply::slow_down(wait, reply),
    })
}

/// Refuses what somebody asks beyond their budget, before anything is read, looked up or written down for it: counted under
/// their name.
pub(crate) fn refuse_over_budget(gateway: &Gateway, entered: &Entered, reply: Reply) -> Closed<Reply> {
    let (endpoint, who) = (entered.place().slug(), entered.caller().who());
    gateway.live().recorder().refused_caller(endpoint, &who, reply.note.result);
    gateway.shared.metrics.refused(reply.note.result);
    Closed(reply)
}

/// Refuses what a verified caller sent and what is no message. It is not held against its neighbours.
pub(crate) fn refuse_known(gateway: &Gateway, endpoint: &str, source: IpAddr, reply: Reply) -> Closed<Reply> {
    count_refusal(gateway, endpoint, source, &reply);
    Closed(reply)
}

fn count_refusal(gateway: &Gateway, endpoint: &str, source: IpAddr, reply: &Reply) {
    gateway.live().recorder().refused_early(endpoint, source, reply.note.result);
    gateway.shared.metrics.refused(reply.note.result);
}

/// A request whose record is open. Dropping it closes the record.
pub(crate) struct Opened {
    gateway: Gateway,
    open: Open,
    draft: Draft,
    /// The intent, where the answer waits for it together with the outcome.
    intent: Option<Appended>,
    /// What the intent is found by, and its outcome as well.
    keys: Option<IndexKeys>,
    stage: Stage,
    /// Whether this is a request of its own, or the end of a stream that one opened.
    is_request: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Nothing has left the gateway.
    Inside,
    /// An intent stands in the trail; the upstream may have been reached.
    Dispatched,
    /// The outcome is written.
    Closed,
}

/// What is known about a request, whichever way it ends.
struct Draft {
    caller: Arc<Caller>,
    place: Place,
    era: Era,
    method: Method,
    started: Instant,
    bytes_in: usize,
    judged: Option<Judged>,
    /// The approval it waits for, or was told of.
    approval: Option<ApprovalId>,
    /// What a replay of the decision needs of the caller, sealed.
    kept_caller: Option<Arc<str>>,
    /// What the rules that read the call said, and what they read.
    ruled: Option<Arc<Ruled>>,
}

impl Opened {
    /// Reserves the places of a request.
    ///
    /// # Errors
    /// A closed refusal: the trail has no place; nothing is done.
    pub(crate) fn open(
        gateway: &Gateway,
        entered: &Entered,
        (era, method): (Era, Method),
        bytes_in: usize,
    ) -> Result<Self, Closed<Reply>> {
        let open = gateway.live().recorder().open(PLACES).map_err(|unavailable| {
            tracing::error!(%unavailable, "the trail takes no records: requests are refused");
            gateway.shared.metrics.refused("trail_unavailable");
            Closed(unrecorded("nothing was done", None))
        })?;
        Ok(Self::of(gateway, open, Draft::of(entered, (era, method), bytes_in), true))
    }

    /// The record of the end of a stream, under the name of the request that opened it; none if the trail has no place for it.
    /// Dropping it says that the client left.
    pub(crate) fn end_of_stream(
        gateway: &Gateway,
        entered: &Entered,
        (era, method): (Era, Method),
        request: RequestId,
    ) -> Option<Self> {
        let open = gateway.live().recorder().open_again(request, 1);
        let open = open.inspect_err(|unavailable| tracing::error!(%unavailable, "the end of a stream is not recorded"));
        Some(Self::of(gateway, open.ok()?, Draft::of(entered, (era, method), 0), false))
    }

    fn of(gateway: &Gateway, open: Open, draft: Draft, is_request: bool) -> Self {
        Self { gateway: gateway.clone(), open, draft, intent: None, keys: None, stage: Stage::Inside, is_request }
    }

    /// Notes what was asked for and decided.
    pub(crate) fn judged(&mut self, judged: Judged) {
        if let Judged::Tool { verdict, .. } | Judged::Hidden { is_there: true, judged: Some((_, verdict)), .. } =
            &judged
            && verdict.evaluation_error
        {
            self.gateway.shared.metrics.rules_broke(&verdict.policies);
        }
        self.draft.judged = Some(judged);
        self.draft.kept_caller = replay::caller(self.gateway.live().keys(), self.draft.caller.class());
    }

    /// Notes that a tool of our own was asked for by somebody who sees it.
    pub(crate) fn judged_own(&mut self, tool: OwnTool) {
        let judge = &self.draft.place.snapshot().judge;
        let on = (judge.rules_digest(), judge.revision());
        self.draft.judged = Some(Judged::Own { tool, on, outcome: Outcome::Allow });
    }

    /// Notes that the decision stands but this call of a visible tool does not.
    pub(crate) fn refused(&mut self) {
        self.comes_to(Outcome::Refused);
    }

    fn comes_to(&mut self, came: Outcome) {
        if let Some(Judged::Tool { outcome, .. } | Judged::Own { outcome, .. }) = &mut self.draft.judged {
            *outcome = came;
        }
    }

    /// Notes what the rules that read the call said.
    pub(crate) fn ruled(&mut self, ruled: &Arc<Ruled>) {
        let verdict = &ruled.verdict;
        if verdict.failed {
            let tool = self.draft.keys().tool;
            tracing::error!(?tool, policies = ?verdict.policies, "a rule about a call could not be evaluated: refused");
            self.gateway.shared.metrics.rules_broke(&verdict.policies);
        }
        self.draft.ruled = Some(Arc::clone(ruled));
    }

    /// Goes on for the same request on another snapshot.
    pub(crate) fn moved_to(&mut self, entered: &Entered) {
        self.draft.caller = Arc::clone(entered.caller());
        self.draft.place = entered.place().clone();
        self.draft.judged = None;
        self.draft.ruled = None;
    }

    /// The trail's name for this request.
    pub(crate) fn record(&self) -> String {
        self.request().to_text()
    }

    /// The same.
    pub(crate) fn request(&self) -> RequestId {
        self.open.request()
    }

    /// Notes that the call waits for people, or was told what became of an earlier one.
    pub(crate) fn needs_approval(&mut self, approval: Option<&ApprovalId>) {
        self.comes_to(Outcome::NeedsApproval);
        self.draft.approval = approval.cloned();
    }

    /// Notes that the call has its approval.
    pub(crate) fn approved(&mut self) {
        self.comes_to(Outcome::Allow);
    }

    /// Closes the record of a request whose caller turned out to be nobody any more.
    pub(crate) fn superseded(mut self) {
        let durability = self.durability();
        drop(self.write_outcome(&Note::of("not_authenticated"), 0, durability));
    }

    /// Writes the intent of a guarded call. For a write it is on the disk when this returns; for a read that tells its progress
    /// it is as durable as the answer of a read will be, for another it need not be there yet.
    ///
    /// # Errors
    /// A closed refusal: the intent could not be written, so nothing is dispatched.
    pub(crate) async fn before_dispatch(
        mut self,
        guarded: &Guarded,
        wish: Option<Wish>,
    ) -> Result<Recorded, Closed<Reply>> {
        let at = self.gateway.live().clock().now();
        let is_plain_read = guarded.is_read() && guarded.spent().is_none() && guarded.glass().is_none();
        let durability = match (is_plain_read, &wish) {
            (false, _) => Durability::Synced,
            (true, Some(_)) => self.durability(),
            (true, None) => Durability::Written,
        };
        let event = self.draft.intent(&self.open, guarded, at);
        let keys = self.draft.keys();
        let appended = self.open.write(&event, at, keys.clone(), durability);
        self.keys = Some(keys);
        self.stage = Stage::Dispatched;
        if is_plain_read && wish.is_none() {
            // Written together with its outcome, before the answer.
            self.intent = Some(appended);
            return Ok(Recorded { opened: self, relay: None });
        }
        if let Err(error) = appended.await {
            tracing::error!(%error, "an intent could not be written: the call was not dispatched");
            return Err(self.close(unrecorded("nothing was done", None)).await);
        }
        Ok(Recorded { opened: self, relay: wish.map(|wish| Box::new(wish.granted())) })
    }

    /// Writes the intent of a call of our own tool that changes something: it is on the disk when this returns.
    ///
    /// # Errors
    /// A closed refusal: the intent could not be written, so nothing is done.
    pub(crate) async fn before_own(mut self, tool: OwnTool, arguments: Digest) -> Result<Self, Closed<Reply>> {
        let at = self.gateway.live().clock().now();
        let event = self.draft.own_intent(&self.open, tool, arguments, at);
        let keys = self.draft.keys();
        let appended = self.open.write(&event, at, keys.clone(), Durability::Synced);
        self.keys = Some(keys);
        self.stage = Stage::Dispatched;
        if let Err(error) = appended.await {
            tracing::error!(%error, "an intent could not be written: nothing was done");
            return Err(self.close(unrecorded("nothing was done", None)).await);
        }
        Ok(self)
    }

    /// Writes the outcome and lets the reply go.
    pub(crate) async fn close(self, reply: Reply) -> Closed<Reply> {
        self.close_request(None, reply).await
    }

    /// The same for the reply to a request.
    pub(crate) async fn close_request(mut self, id: Option<Id<'_>>, reply: Reply) -> Closed<Reply> {
        let written = self.write_outcome(&reply.note, reply.body.len(), self.durability());
        let both = match self.intent.take() {
            Some(intent) => {
                let (intent, outcome) = futures_util::future::join(intent, written).await;
                intent.and(outcome)
            }
            None => written.await,
        };
        match both {
            Ok(_) => Closed(reply),
            Err(error) => {
                tracing::error!(%error, "an outcome could not be written: its answer is withheld");
                let happened = match reply.note.executed {
                    Executed::No => "nothing was done",
                    Executed::Yes => "the call was carried out",
                    Executed::Unknown => "the call may have been carried out",
                };
                Closed(unrecorded(happened, id))
            }
        }
    }

    fn durability(&self) -> Durability {
        let reads = self.gateway.shared.settings.reads.durability();
        match (&self.draft.judged, self.stage) {
            (Some(Judged::Tool { tool, .. }), Stage::Dispatched) if tool.effect.effect != ambit_model::Effect::Read => {
                Durability::Synced
            }
            (Some(Judged::Own { tool, .. }), Stage::Dispatched) if tool.effect() != ambit_model::Effect::Read => {
                Durability::Synced
            }
            _ => reads,
        }
    }

    fn write_outcome(&mut self, note: &Note, bytes_out: usize, durability: Durability) -> Appended {
        let at = self.gateway.live().clock().now();
        let with_intent = self.stage == Stage::Dispatched;
        let event = self.draft.outcome((&self.open, self.gateway.live().keys()), note, bytes_out, with_intent, at);
        let keys = self.keys.take().unwrap_or_else(|| self.draft.keys());
        let appended = self.open.write(&event, at, keys, durability);
        self.stage = Stage::Closed;
        if self.is_request {
            self.gateway.shared.metrics.closed(self.draft.method, note, self.draft.started.elapsed());
        }
        appended
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let executed = match self.stage {
            Stage::Closed => return,
            Stage::Inside => Executed::No,
            Stage::Dispatched => Executed::Unknown,
        };
        let note = Note { executed, ..Note::of("cancelled") };
        let durability = self.durability();
        // The record is kept although nobody waits for it.
        drop(self.write_outcome(&note, 0, durability));
    }
}

/// The proof that the intent of a call stands in the trail, as durably as its effect asks.
pub(crate) struct Recorded {
    opened: Opened,
    relay: Option<Box<Relay>>,
}

impl Recorded {
    /// The way of the call's progress to its client, if that asked for it.
    pub(crate) fn relay(&self) -> Option<&Relay> {
        self.relay.as_deref()
    }

    /// Writes the outcome and lets the reply to this request go.
    pub(crate) async fn close(self, id: Id<'_>, reply: Reply) -> Closed<Reply> {
        let Self { opened, relay } = self;
        let closed = opened.close_request(Some(id), reply).await;
        drop(relay);
        closed
    }
}

impl Draft {
    fn of(entered: &Entered, (era, method): (Era, Method), bytes_in: usize) -> Self {
        Self {
            caller: Arc::clone(entered.caller()),
            place: entered.place().clone(),
            era,
            method,
            started: entered.started(),
            bytes_in,
            judged: None,
            approval: None,
            kept_caller: None,
            ruled: None,
        }
    }

    fn intent<'a>(&'a self, open: &Open, guarded: &'a Guarded, at: Millis) -> Event<'a> {
        let tool = guarded.tool();
        Event::Intent(Intent {
            v: VERSION,
            request: open.request(),
            at,
            endpoint: self.place.slug(),
            protocol: self.era.as_str(),
            method: self.method.label().unwrap_or_default(),
            who: self.caller.who(),
            target: target(tool),
            arguments: guarded.arguments_digest(),
            decision: self.decided(guarded.verdict(), Outcome::Allow),
            credential: guarded.credential().map(|credential| credential.id.as_str()),
            trace: guarded.trace(),
            break_glass: guarded.glass().map(GrantId::as_str),
            approval: guarded.spent().map(|spent| SpentApproval {
                id: spent.id().as_str(),
                by: spent.by().iter().map(ToString::to_string).collect(),
            }),
        })
    }

    fn own_intent<'a>(&'a self, open: &Open, tool: OwnTool, arguments: Digest, at: Millis) -> Event<'a> {
        let judge = &self.place.snapshot().judge;
        Event::Intent(Intent {
            v: VERSION,
            request: open.request(),
            at,
            endpoint: self.place.slug(),
            protocol: self.era.as_str(),
            method: self.method.label().unwrap_or_default(),
            who: self.caller.who(),
            target: tool.target(),
            arguments,
            decision: own_decision((judge.rules_digest(), judge.revision()), Outcome::Allow),
            credential: None,
            trace: None,
            break_glass: None,
            approval: None,
        })
    }

    fn outcome<'a>(
        &'a self,
        (open, keys): (&Open, &Keys),
        note: &'a Note,
        bytes_out: usize,
        with_intent: bool,
        at: Millis,
    ) -> Event<'a> {
        let judged = self.judged.as_ref().filter(|_| !with_intent);
        let found = judged.map(|judged| judged.found(keys, |verdict, outcome| self.decided(verdict, outcome)));
        let Found { target, decision, asked, filler } = found.unwrap_or_default();
        Event::Outcome(OutcomeEvent {
            v: VERSION,
            request: open.request(),
            at,
            endpoint: self.place.slug(),
            protocol: Some(self.era.as_str()),
            method: self.method.label(),
            who: (!with_intent).then(|| self.caller.who()),
            target,
            asked,
            filler,
            decision,
            executed: note.executed,
            result: note.result,
            code: note.code.map(i64::from),
            upstream_status: note.upstream_status,
            bytes_in: self.bytes_in.try_into().unwrap_or(u64::MAX),
            bytes_out: bytes_out.try_into().unwrap_or(u64::MAX),
            micros: micros(self.started.elapsed()),
            upstream_micros: note.upstream.map(micros),
            approval: self.approval.as_ref().map(ApprovalId::as_str),
        })
    }

    fn decided<'a>(&'a self, verdict: &'a Verdict, outcome: Outcome) -> Decided<'a> {
        decided((verdict, outcome), self.ruled.as_deref(), self.kept_caller.as_deref())
    }

    /// What the record is found by: shared words, so that nothing is copied for it.
    fn keys(&self) -> IndexKeys {
        let (tool, decision) = match &self.judged {
            Some(Judged::Tool { tool, outcome, .. }) => (Some(Arc::clone(tool.name())), Some(word(*outcome))),
            Some(Judged::Hidden { is_there, judged, .. }) => {
                let tool = judged.as_ref().filter(|_| *is_there).map(|(tool, _)| Arc::clone(tool.name()));
                (tool, Some(word(Outcome::Hidden)))
            }
            Some(Judged::Own { tool, outcome, .. }) => (Some(Arc::clone(tool.found_by())), Some(word(*outcome))),
            None => (None, None),
        };
        let endpoint = self.place.view().map(|view| Arc::clone(&view.slug));
        IndexKeys { tool, endpoint, decision, ..self.caller.found_by().clone() }
    }
}

/// The word of an outcome, shared.
fn word(outcome: Outcome) -> Arc<str> {
    static WORDS: LazyLock<[Arc<str>; Outcome::ALL.len()]> =
        LazyLock::new(|| Outcome::ALL.map(|outcome| outcome.as_str().into()));
    let place = Outcome::ALL.iter().position(|one| *one == outcome);
    place.and_then(|place| WORDS.get(place)).map_or_else(|| outcome.as_str().into(), Arc::clone)
}

fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn unrecorded(happened: &str, id: Option<Id<'_>>) -> Reply {
    let sentence = format!("the gateway cannot write its records at the moment; {happened}: try again later");
    Reply::error(&RpcError::unavailable(sentence), id, "trail_unavailable")
}
