//! One question, decided as the corridor decides the call: the same remembered verdict, the same hold on the arguments, the
//! same rules about the call. What is left out is what has to happen and not to be known: a listing is not asked for anew,
//! budgets and breakers are not looked at, and an approval is neither looked for nor spent.
//!
//! Unknown, absent and error all deny. So does a question that leaves out what the decision depends on.

use std::{collections::BTreeSet, sync::Arc};

use ambit_live::catalogue::PublishedTool;
use ambit_mcp::{Raw, RpcError, strict};
use ambit_model::{Digest, Outcome, ids::Millis, replay::KeptCall};
use ambit_policy::{CallFacts, EndpointIndex, ToolIndex, Verdict};
use serde_json::{Map, Value};

use super::{ask::Question, subject::Subject};
use crate::{
    authorize,
    gateway::Gateway,
    guard::{self, Refusal},
    http::Place,
    replay,
    resolve::resolve_by_any_name,
    ruled::Ruled,
    trail::Judged,
};

/// What would be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    /// A tool is called.
    Call,
    /// A tool is seen, or all of them are listed.
    List,
}

impl Action {
    fn of(name: &str) -> Option<Self> {
        match name {
            "tools/call" | "call" => Some(Self::Call),
            "tools/list" | "list" => Some(Self::List),
            _ => None,
        }
    }

    /// The MCP method.
    pub(crate) const fn method(self) -> &'static str {
        match self {
            Self::Call => "tools/call",
            Self::List => "tools/list",
        }
    }
}

/// Whom a question is about, as far as what was named can be a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct About {
    pub(crate) user: Option<String>,
    pub(crate) agent: Option<String>,
    pub(crate) client: Option<String>,
}

/// A question that was decided.
pub(crate) struct Evaluation {
    /// What whoever asked is told.
    pub(crate) said: Said,
    /// The trail's word for it, which may tell apart what an answer does not.
    pub(crate) result: &'static str,
    pub(crate) action: Option<Action>,
    pub(crate) about: Option<About>,
    pub(crate) judged: Option<Judged>,
    pub(crate) ruled: Option<Ruled>,
    pub(crate) arguments: Option<Digest>,
    /// The facts it was decided on, sealed.
    pub(crate) kept_subject: Option<Arc<str>>,
}

/// An answer, before it is written.
#[derive(Debug)]
pub(crate) enum Said {
    Yes,
    No {
        outcome: Outcome,
        /// One of a closed set.
        code: &'static str,
        sentence: String,
    },
    /// The question cannot be read.
    Malformed(String),
}

impl Said {
    fn no(outcome: Outcome, code: &'static str, sentence: impl Into<String>) -> Self {
        Self::No { outcome, code, sentence: sentence.into() }
    }

    /// Made of the name alone: nothing in it can tell a hidden tool from an absent one, or nobody from somebody.
    fn hidden(asked: &str) -> Self {
        Self::no(Outcome::Hidden, UNKNOWN_TOOL, RpcError::unknown_tool(asked).message())
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Yes => "ok",
            Self::No { code, .. } => code,
            Self::Malformed(_) => "not_a_question",
        }
    }
}

const UNKNOWN_TOOL: &str = "unknown_tool";

/// Of somebody who is not there the trail says so, and nobody else.
const UNKNOWN_SUBJECT: &str = "unknown_subject";

impl Evaluation {
    fn of(said: Said, subject: &Subject<'_>, action: Option<Action>) -> Self {
        Self {
            result: said.code(),
            said,
            action,
            about: subject.about.clone(),
            judged: None,
            ruled: None,
            arguments: None,
            kept_subject: None,
        }
    }

    /// A question that cannot be read, among others that can.
    pub(super) fn malformed(sentence: &str) -> Self {
        let said = Said::Malformed(sentence.to_owned());
        Self {
            result: said.code(),
            said,
            action: None,
            about: None,
            judged: None,
            ruled: None,
            arguments: None,
            kept_subject: None,
        }
    }

    pub(crate) fn is_allowed(&self) -> bool {
        matches!(self.said, Said::Yes)
    }
}

/// Decides one question.
pub(super) async fn evaluate(
    gateway: &Gateway,
    place: &Place,
    subject: &Subject<'_>,
    question: &Question<'_>,
) -> Evaluation {
    let Some(action) = Action::of(&question.action) else {
        let sentence = "there are the actions `tools/call` and `tools/list`";
        return Evaluation::of(Said::no(Outcome::Refused, "unknown_action", sentence), subject, None);
    };
    let end = |said| Evaluation::of(said, subject, Some(action));
    // Whatever it is about, so that this tells nothing of it.
    if let Some(missing) = subject.missing {
        return end(Said::no(Outcome::Refused, "not_known", missing));
    }
    match (question.resource.kind.as_str(), action) {
        ("tool", _) => of_a_tool(gateway, place, subject, (action, question)).await,
        ("mcp_server", Action::List) => {
            let here = place.view().is_some_and(|view| view.endpoint.resource == question.resource.id);
            if here && subject.is_somebody { end(Said::Yes) } else { end(unknown_resource()) }
        }
        _ => end(unknown_resource()),
    }
}

fn unknown_resource() -> Said {
    let sentence = "there are resources of type `tool`, and to list, this endpoint by its URL as `mcp_server`";
    Said::no(Outcome::Hidden, "unknown_resource", sentence)
}

async fn of_a_tool(
    gateway: &Gateway,
    place: &Place,
    subject: &Subject<'_>,
    (action, question): (Action, &Question<'_>),
) -> Evaluation {
    let (snapshot, now) = (place.snapshot(), gateway.live().clock().now());
    let asked = question.resource.id.as_str();
    let target = resolve_by_any_name(place, asked);
    let at = (target.endpoint(), target.judged());
    let (verdict, outcome) = authorize::standing(snapshot, (&subject.class, subject.issued_at), at, now);
    let mut evaluation = Evaluation::of(Said::hidden(asked), subject, Some(action));
    evaluation.kept_subject = replay::caller(gateway.live().keys(), &subject.class).filter(|_| subject.is_somebody);
    let tool = snapshot.catalogue.entry(target.position()).map(|entry| Arc::clone(&entry.tool));
    let hidden = |is_there, judged| Some(Judged::Hidden { asked: asked.to_owned(), is_there, judged });
    let Some(tool) = tool else {
        evaluation.judged = hidden(false, None);
        return evaluation;
    };
    if !subject.is_somebody {
        evaluation.result = UNKNOWN_SUBJECT;
    }
    if !target.is_there() || !subject.is_somebody {
        evaluation.judged = hidden(false, Some((tool, verdict)));
        return evaluation;
    }
    if verdict.evaluation_error {
        tracing::error!(tool = %tool.id(), policies = ?verdict.policies, "a rule could not be evaluated: denied");
        gateway.shared.metrics.rules_broke(&verdict.policies);
    }
    let came_to = match (action, outcome) {
        (_, Outcome::Hidden) => Said::hidden(asked),
        (Action::List, listed) if listed.is_listed() => Said::Yes,
        (_, Outcome::Allow) => {
            let arguments = question.arguments;
            let case = Case { gateway, place, subject, tool: &tool, verdict: &verdict, at, now };
            case.call(arguments, &mut evaluation).await.map_or_else(|no| no, |()| Said::Yes)
        }
        (_, Outcome::NeedsScope) => {
            let missing: Vec<_> = verdict.missing_scopes.iter().map(|slug| format!("`{slug}`")).collect();
            let sentence = format!("the tool needs the toolset {}, which the login does not carry", missing.join(", "));
            Said::no(Outcome::NeedsScope, "insufficient_scope", sentence)
        }
        (_, Outcome::NeedsApproval | Outcome::Refused) => {
            let sentence = verdict.sentence.as_deref().unwrap_or(A_RULE_REFUSES);
            Said::no(Outcome::Refused, "refused_by_rule", sentence)
        }
    };
    let outcome = match &came_to {
        Said::No { outcome, .. } => *outcome,
        Said::Yes | Said::Malformed(_) => outcome,
    };
    evaluation.result = came_to.code();
    evaluation.said = came_to;
    evaluation.judged = match outcome {
        Outcome::Hidden => hidden(true, Some((tool, verdict))),
        outcome => Some(Judged::Tool { tool, verdict, outcome }),
    };
    evaluation
}

const A_RULE_REFUSES: &str = "a rule of the organisation refuses this call";

/// A call that the standing half allows.
struct Case<'a> {
    gateway: &'a Gateway,
    place: &'a Place,
    subject: &'a Subject<'a>,
    tool: &'a Arc<PublishedTool>,
    verdict: &'a Arc<Verdict>,
    at: (EndpointIndex, ToolIndex),
    now: Millis,
}

impl Case<'_> {
    /// The call half, as the guard has it.
    async fn call(&self, arguments: Option<Raw<'_>>, evaluation: &mut Evaluation) -> Result<(), Said> {
        let (live, snapshot) = (self.gateway.live(), self.place.snapshot());
        live.mode().permits(self.tool.effect.effect).map_err(|down| refused(Refusal::Down(down)))?;
        let arguments = arguments.map(|raw| self.hold(raw)).transpose()?;
        match &arguments {
            Some(said) => evaluation.arguments = Some(live.keys().argument_digest(&strict::to_sorted_json(said))),
            None => self.hold_any()?,
        }
        self.is_enough(arguments.is_some())?;
        let touched = if snapshot.judge.asks_what_was_touched(self.at.1) {
            let touched = guard::touched(self.gateway, &self.subject.name, self.now);
            Box::pin(touched).await.map_err(|down| refused(Refusal::Down(down)))?
        } else {
            BTreeSet::new()
        };
        let none = Value::Object(Map::new());
        let facts = CallFacts {
            touched: &touched,
            source: self.subject.source,
            login: self.subject.login,
            ..CallFacts::new(self.now, arguments.as_ref().unwrap_or(&none))
        };
        let (class, keys) = (&self.subject.class, live.keys());
        let ruled = evaluation.ruled.insert(Ruled::ask((keys, &snapshot.judge), class, self.at, &facts));
        let verdict = &ruled.verdict;
        if verdict.failed {
            tracing::error!(tool = %self.tool.id(), policies = ?verdict.policies, "a rule about a call could not be evaluated: refused");
            self.gateway.shared.metrics.rules_broke(&verdict.policies);
        }
        let tool = (self.tool.id(), self.tool.effect.effect);
        let has_broken_glass = || snapshot.broken_glass(class.facts(), tool, self.now).is_some();
        let sentence = || verdict.sentence.clone().unwrap_or_else(|| A_RULE_REFUSES.to_owned());
        match verdict.outcome {
            Outcome::Allow => Ok(()),
            Outcome::NeedsApproval if verdict.asks_only_for_a_second_person() && has_broken_glass() => Ok(()),
            Outcome::NeedsApproval => {
                let sentence = format!("{}: make the call, which then says how", sentence());
                Err(Said::no(Outcome::NeedsApproval, "approval_required", sentence))
            }
            Outcome::Hidden | Outcome::NeedsScope | Outcome::Refused => {
                Err(Said::no(Outcome::Refused, "refused_by_rule", sentence()))
            }
        }
    }

    /// Holds arguments to the schema and the grants.
    fn hold(&self, raw: Raw<'_>) -> Result<Value, Said> {
        let arguments = strict::parse_arguments(raw);
        let arguments = arguments.map_err(|error| Said::no(Outcome::Refused, "bad_arguments", error.to_string()))?;
        guard::prepare(self.place.snapshot(), self.tool, self.verdict, &arguments).map_err(refused)?;
        Ok(arguments)
    }

    /// Holds whatever arguments fit the tool: none of which the grants would turn down.
    fn hold_any(&self) -> Result<(), Said> {
        guard::reachable(self.place.snapshot(), self.tool).map_err(refused)?;
        if self.verdict.narrowing.is_some() {
            return Err(depends_on("the arguments, which the grants limit"));
        }
        Ok(())
    }

    /// Whether everything is known that a rule about the call reads.
    fn is_enough(&self, with_arguments: bool) -> Result<(), Said> {
        // Below the root of the arguments lies every one of them.
        let read = if with_arguments { vec![String::new()] } else { Vec::new() };
        let known = KeptCall { facts: self.subject.known.clone(), read, ..KeptCall::default() };
        match self.place.snapshot().judge.missing(self.at.1, Some(&known)) {
            Some(missing) => Err(depends_on(&format!("{missing}, which a rule reads"))),
            None => Ok(()),
        }
    }
}

/// A question that leaves out what its answer depends on.
fn depends_on(what: &str) -> Said {
    Said::no(Outcome::Refused, "not_known", format!("this depends on {what}: say it in the question"))
}

fn refused(refusal: Refusal) -> Said {
    match refusal {
        Refusal::Call { sentence, result } => Said::no(Outcome::Refused, result, sentence),
        Refusal::Down(down) => Said::no(Outcome::Refused, "unavailable", format!("{down}, so this is not decided now")),
        // Not of what is asked here; should one of them come, it denies.
        Refusal::Headers(_) | Refusal::Ruled(..) | Refusal::Unapproved(_) => {
            Said::no(Outcome::Refused, "refused_by_rule", A_RULE_REFUSES)
        }
    }
}
