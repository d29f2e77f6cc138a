//! The per-call half of a decision: the rules that read what is particular to one call, after its arguments were validated.
//! It only takes away from what the standing half allows, and is never remembered.

use std::{collections::BTreeSet, net::IpAddr};

use ambit_model::{Outcome, ids::Millis};
use serde_json::Value;

use crate::{
    class::CallerClass,
    decide,
    index::{EndpointIndex, ToolIndex},
    judge::Judge,
    rules::{Ruling, id},
    slice::{Unspeakable, context},
    slices::PerCall,
    validity::Horizon,
};

/// What is particular to one call.
#[derive(Clone, Debug)]
pub struct CallFacts<'a> {
    /// Now.
    pub now_ms: Millis,
    /// Whether an approval of exactly this call stands.
    pub approved: bool,
    /// The arguments, as they will be sent.
    pub arguments: &'a Value,
    /// Where the request came from, as far as trusted proxies tell.
    pub source: Option<IpAddr>,
    /// The labels this caller's session touched.
    pub touched: &'a BTreeSet<String>,
    /// The login behind the token, where it is known.
    pub login: Option<Login<'a>>,
}

/// When and how the person behind a token logged in.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    /// When.
    pub at: Millis,
    /// The methods of RFC 8176 (`pwd`, `otp`, `hwk`, …), as the issuer names them.
    pub methods: &'a [String],
}

static NO_LABELS: BTreeSet<String> = BTreeSet::new();

impl<'a> CallFacts<'a> {
    /// A call that nobody approved and of which nothing else is known.
    pub fn new(now_ms: Millis, arguments: &'a Value) -> Self {
        Self { now_ms, approved: false, arguments, source: None, touched: &NO_LABELS, login: None }
    }
}

/// What the per-call half comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallVerdict {
    /// `Allow`, `NeedsApproval` or `Refused`.
    pub outcome: Outcome,
    /// The ids of the deciding policies, sorted: those that forbid the call, or the ones an approval would lift. Empty when
    /// none does.
    pub policies: Vec<String>,
    /// The ids of rules that would have decided if they were enforced.
    pub reported: Vec<String>,
    /// What the caller is told, unless the call is allowed.
    pub sentence: Option<String>,
    /// A rule could not be evaluated, so this is a refusal: alert.
    pub failed: bool,
}

impl CallVerdict {
    const ALLOW: Self =
        Self { outcome: Outcome::Allow, policies: Vec::new(), reported: Vec::new(), sentence: None, failed: false };

    fn failed() -> Self {
        let sentence =
            "not executed: a rule about this call could not be evaluated; tell the people who run this gateway";
        Self { outcome: Outcome::Refused, sentence: Some(sentence.to_owned()), failed: true, ..Self::ALLOW }
    }
}

impl Judge {
    /// Judges one call that the standing half allows, once its arguments are validated. A tool without rules that read the
    /// call costs nothing.
    ///
    /// A call that is denied as it stands and would be allowed with an approval comes to `NeedsApproval`. A number that is
    /// not of this judge is refused.
    pub fn per_call(
        &self,
        class: &CallerClass,
        endpoint: EndpointIndex,
        tool: ToolIndex,
        facts: &CallFacts<'_>,
    ) -> CallVerdict {
        let Some(slice) = self.slices().of(tool) else { return CallVerdict::failed() };
        let Some(rules) = slice.per_call() else { return CallVerdict::ALLOW };
        self.held_to(rules, &self.own(class), (endpoint, tool), facts)
            .unwrap_or_else(|Unspeakable| CallVerdict::failed())
    }

    fn held_to(
        &self,
        rules: &PerCall,
        class: &CallerClass,
        (endpoint, tool): (EndpointIndex, ToolIndex),
        facts: &CallFacts<'_>,
    ) -> Result<CallVerdict, Unspeakable> {
        let entry = self.index().tool(tool).ok_or(Unspeakable)?;
        let reach = decide::gather(self.index(), &class.0, entry, &mut Horizon::new(facts.now_ms));
        let entities = self.frames().slice(self.index(), &class.0, endpoint, tool, &reach)?;
        let waived = entry.facts.approval_waived_until.is_some_and(|until| facts.now_ms < until);
        let ask = |approved| -> Result<Ruling, Unspeakable> {
            let facts = CallFacts { approved, ..facts.clone() };
            let context = context(&rules.context, &facts, waived)?;
            Ok(rules.rules.judge(&self.frames().call(&class.0, tool, context)?, &entities))
        };
        let ruling = ask(facts.approved)?;
        // There are only rules that forbid in this half: none of them applies, so it stands as it is.
        if !ruling.failed && ruling.policies.is_empty() {
            return Ok(CallVerdict::ALLOW);
        }
        if ruling.failed {
            return Ok(CallVerdict { policies: ruling.policies, ..CallVerdict::failed() });
        }
        if !facts.approved && rules.context.touches(&["approved"]) {
            let approved = ask(true)?;
            if !approved.failed && approved.policies.is_empty() {
                let sentence = Some(needs_approval(&ruling.policies));
                return Ok(CallVerdict {
                    outcome: Outcome::NeedsApproval,
                    policies: ruling.policies,
                    sentence,
                    ..CallVerdict::ALLOW
                });
            }
            // What no approval lifts is what has to change.
            return Ok(refused(approved));
        }
        Ok(refused(ruling))
    }
}

fn refused(ruling: Ruling) -> CallVerdict {
    if ruling.failed {
        return CallVerdict { policies: ruling.policies, ..CallVerdict::failed() };
    }
    let names = ruling.policies.iter().map(|policy| format!("`{policy}`")).collect::<Vec<_>>().join(", ");
    let sentence = format!(
        "not executed: this call is not allowed as it stands, by rule {names}; ask the people who run this gateway what \
         it would have to be"
    );
    CallVerdict { outcome: Outcome::Refused, policies: ruling.policies, sentence: Some(sentence), ..CallVerdict::ALLOW }
}

fn needs_approval(policies: &[String]) -> String {
    if policies == [id::NEEDS_APPROVAL] {
        return "not executed: this tool destroys, so each call needs the approval of another person".to_owned();
    }
    let names = policies.iter().map(|policy| format!("`{policy}`")).collect::<Vec<_>>().join(", ");
    format!("not executed: by rule {names} this call needs the approval of another person")
}
