//! The per-call half of a decision: the rules that read what is particular to one call, after its arguments were validated.
//! It only takes away from what the standing half allows, and is never remembered.

use std::{collections::BTreeSet, fmt, net::IpAddr};

use ambit_model::{
    Outcome,
    ids::Millis,
    replay::{KeptCall, KeptFact, KeptLogin},
};
use cedar_policy::Request;
use serde_json::Value;

use crate::{
    class::CallerClass,
    constraint::Allowed,
    context::{NotPut, context, facts_of_call},
    decide,
    index::{EndpointIndex, ToolIndex},
    judge::Judge,
    reads::TAGS,
    rules::{Ruling, id},
    slice::Unspeakable,
    slices::{PerCall, RuleSet},
    typing::Unjudgeable,
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

/// Something a rule reads of a call that was not kept.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Missing {
    /// What, in words: `an argument`, `the login`, …
    pub what: &'static str,
    /// Which argument, as a JSON pointer.
    pub argument: Option<String>,
    /// The first rule that reads it.
    pub rule: Option<String>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

/// The facts of a call that are kept beside its arguments: as rules read them, and in words.
const KEPT: [(&str, KeptFact, &str); 3] = [
    ("source", KeptFact::Source, "the source address"),
    ("touched", KeptFact::Touched, "the labels the caller touched"),
    ("login", KeptFact::Login, "the login"),
];

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
    /// The same once the approval stands that the call needs.
    pub reported_approved: Vec<String>,
    /// What the caller is told beside that nothing was executed, unless the call is allowed.
    pub sentence: Option<String>,
    /// A rule could not be evaluated, so this is a refusal: alert.
    pub failed: bool,
}

impl CallVerdict {
    const ALLOW: Self = Self {
        outcome: Outcome::Allow,
        policies: Vec::new(),
        reported: Vec::new(),
        reported_approved: Vec::new(),
        sentence: None,
        failed: false,
    };

    fn failed() -> Self {
        let sentence = "a rule about this call could not be evaluated; tell the people who run this gateway";
        Self { outcome: Outcome::Refused, sentence: Some(sentence.to_owned()), failed: true, ..Self::ALLOW }
    }

    /// Whether all that is missing is the second person every destructive call needs: no rule of the organisation and no flow
    /// of labels asks for one of its own.
    pub fn asks_only_for_a_second_person(&self) -> bool {
        self.policies == [id::NEEDS_APPROVAL]
    }

    /// What becomes of a call that needs an approval once that is spent on it.
    #[must_use]
    pub fn approved(&self) -> Self {
        Self { reported: self.reported_approved.clone(), ..Self::ALLOW }
    }

    fn unjudgeable(argument: &Unjudgeable) -> Self {
        let at =
            if argument.at.is_empty() { "the arguments".to_owned() } else { format!("the argument `{}`", argument.at) };
        let sentence = format!(
            "a rule of your organisation reads {at}, and the schema of this tool does not declare it as it was \
             sent; send it as declared, or leave it out"
        );
        Self { outcome: Outcome::Refused, sentence: Some(sentence), ..Self::ALLOW }
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
        match self.held_to(rules, &self.own(class), (endpoint, tool), facts) {
            Ok(verdict) => verdict,
            Err(NotPut::Argument(unjudgeable)) => CallVerdict::unjudgeable(&unjudgeable),
            Err(NotPut::Unspeakable) => CallVerdict::failed(),
        }
    }

    /// Whether any rule is asked with every call of a tool.
    pub fn reads_calls(&self, tool: ToolIndex) -> bool {
        self.slices().of(tool).is_some_and(|slice| slice.per_call().is_some())
    }

    /// What the rules about a tool read of one call, and nothing else: what a replay of the decision needs. `None` if there
    /// is nothing of it.
    pub fn kept(&self, tool: ToolIndex, facts: &CallFacts<'_>) -> Option<KeptCall> {
        let rules = self.slices().of(tool)?.per_call()?;
        let read: BTreeSet<KeptFact> =
            KEPT.iter().filter(|(name, ..)| rules.context.touches(&[name])).map(|(_, fact, _)| *fact).collect();
        if read.is_empty() && rules.read.is_empty() {
            return None;
        }
        let kind = rules.arguments.as_ref().filter(|_| !rules.read.is_empty());
        let login = facts.login.filter(|_| read.contains(&KeptFact::Login));
        Some(KeptCall {
            source: facts.source.filter(|_| read.contains(&KeptFact::Source)),
            touched: if read.contains(&KeptFact::Touched) { facts.touched.clone() } else { BTreeSet::new() },
            login: login.map(|login| KeptLogin { at: login.at, methods: login.methods.to_vec() }),
            arguments: kind.map(|kind| kind.kept(facts.arguments)),
            read: rules.read.clone(),
            facts: read,
        })
    }

    /// What rules about a tool read of a call that was not kept: the first of it.
    pub fn missing(&self, tool: ToolIndex, kept: Option<&KeptCall>) -> Option<Missing> {
        let rules = self.slices().of(tool)?.per_call()?;
        let read = kept.map_or(&[][..], |kept| kept.read.as_slice());
        if let Some(end) = rules.read.iter().find(|end| !is_kept_at(end, read)) {
            let argument = end.trim_end_matches('?').to_owned();
            let path: Vec<&str> = std::iter::once("arguments").chain(argument.split('/').skip(1)).collect();
            let rule = self.reader(rules, &path);
            return Some(Missing { what: "an argument", argument: Some(argument), rule });
        }
        let is_kept = |fact| kept.is_some_and(|kept| kept.facts.contains(fact));
        let lost = KEPT.iter().find(|(name, fact, _)| rules.context.touches(&[name]) && !is_kept(fact));
        lost.map(|(name, _, what)| Missing { what, argument: None, rule: self.reader(rules, &[name]) })
    }

    /// The first rule of some that reads a path of the call.
    fn reader(&self, rules: &PerCall, path: &[&str]) -> Option<String> {
        let sets = std::iter::once(&rules.rules).chain(&rules.reported);
        let mut ids: Vec<String> = sets.flat_map(RuleSet::ids).collect();
        ids.sort_unstable();
        ids.into_iter().find(|id| self.rules().find(id).is_some_and(|rule| rule.context.touches(path)))
    }

    /// Which facts of a call the rules about a tool read beside its arguments.
    pub fn facts_read(&self, tool: ToolIndex) -> BTreeSet<KeptFact> {
        let rules = self.slices().of(tool).and_then(|slice| slice.per_call());
        let read = |rules: &PerCall| {
            let read = KEPT.iter().filter(|(name, ..)| rules.context.touches(&[name]));
            read.map(|(_, fact, _)| *fact).collect()
        };
        rules.map_or_else(BTreeSet::new, read)
    }

    /// Whether any rule about a tool reads claims.
    pub fn reads_claims(&self, tool: ToolIndex) -> bool {
        let Some(slice) = self.slices().of(tool) else { return false };
        let of_calls = slice.per_call().is_some_and(|rules| rules.principal.touches(&[TAGS]));
        of_calls || slice.principal().touches(&[TAGS])
    }

    /// Whether the rules of a tool read which labels the caller touched. Whoever brings the facts of a call along need not ask
    /// for them otherwise. In doubt they do.
    pub fn asks_what_was_touched(&self, tool: ToolIndex) -> bool {
        let rules = self.slices().of(tool).map(|slice| slice.per_call());
        rules.is_none_or(|rules| rules.is_some_and(|rules| rules.context.touches(&["touched"])))
    }

    fn held_to(
        &self,
        rules: &PerCall,
        class: &CallerClass,
        (endpoint, tool): (EndpointIndex, ToolIndex),
        facts: &CallFacts<'_>,
    ) -> Result<CallVerdict, NotPut> {
        let entry = self.index().tool(tool).ok_or(Unspeakable)?;
        let frames = self.frames();
        let reach = decide::gather(self.index(), &class.0, entry, &mut Horizon::new(facts.now_ms));
        let entities = frames.slice(self.index(), &class.0, endpoint, tool, (&reach, &rules.principal))?;
        let waived = entry.facts.approval_waived_until.is_some_and(|until| facts.now_ms < until);
        let known = facts_of_call(rules, facts, waived, (self.rules().policies().zone(), &frames.opaque))?;
        let request = |approved| frames.call(&class.0, tool, context(&known, rules, approved)?);
        let asked = request(facts.approved)?;
        let ruling = rules.rules.judge(&asked, &entities);
        let would = |asked: &Request| {
            rules.reported.as_ref().map_or_else(Vec::new, |reported| reported.would_decide(asked, &entities))
        };
        let reported = would(&asked);
        let of = |verdict| CallVerdict { reported, ..verdict };
        // There are only rules that forbid in this half: if none of them applies, the call stands as it is.
        if !ruling.failed && ruling.policies.is_empty() {
            return Ok(of(CallVerdict::ALLOW));
        }
        if ruling.failed || facts.approved || !rules.context.touches(&["approved"]) {
            return Ok(of(self.refused(ruling)));
        }
        let with_approval = request(true)?;
        let approved = rules.rules.judge(&with_approval, &entities);
        if !approved.failed && approved.policies.is_empty() {
            return Ok(of(CallVerdict {
                outcome: Outcome::NeedsApproval,
                reported_approved: would(&with_approval),
                sentence: Some(self.needs_approval(&ruling.policies)),
                policies: ruling.policies,
                ..CallVerdict::ALLOW
            }));
        }
        // What no approval lifts is what has to change.
        Ok(of(self.refused(approved)))
    }

    fn refused(&self, ruling: Ruling) -> CallVerdict {
        if ruling.failed {
            return CallVerdict { policies: ruling.policies, ..CallVerdict::failed() };
        }
        let sentence = self.says(&ruling.policies).unwrap_or_else(|| {
            let names = quoted(&ruling.policies);
            format!(
                "this call is not allowed as it stands, by rule {names}; ask the people who run this gateway \
                 what it would have to be"
            )
        });
        CallVerdict {
            outcome: Outcome::Refused,
            policies: ruling.policies,
            sentence: Some(sentence),
            ..CallVerdict::ALLOW
        }
    }

    fn needs_approval(&self, policies: &[String]) -> String {
        if policies == [id::NEEDS_APPROVAL] {
            return "this tool destroys, so each call needs the approval of another person".to_owned();
        }
        if policies == [id::FLOW] {
            return "in the last half hour this login read content that strangers wrote and data that is private, so what \
                    leaves now needs the approval of another person"
                .to_owned();
        }
        let names = quoted(policies);
        let way = "this call needs the approval of another person";
        match self.says(policies) {
            Some(said) => format!("{said}; {way}"),
            None => format!("by rule {names} {way}"),
        }
    }

    /// What the rules that decided tell callers, in the words of their `@message`.
    pub(crate) fn says(&self, policies: &[String]) -> Option<String> {
        let messages = policies.iter().filter_map(|id| self.rules().find(id)?.message());
        let said = messages.map(|message| message.trim_end_matches('.')).collect::<Vec<_>>().join("; ");
        if said.is_empty() { None } else { Some(format!("{said} (rule {})", quoted(policies))) }
    }
}

/// Whether what ends at a pointer lies at or below one that was kept.
fn is_kept_at(end: &str, read: &[String]) -> bool {
    let covers = |kept: &String| {
        end.strip_prefix(kept.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
    };
    read.iter().any(covers)
}

/// What grants leave of the arguments, held against what was kept of a call.
pub fn kept_within(allowed: &Allowed, kept: Option<&KeptCall>) -> Option<bool> {
    let kept = kept?;
    let is_whole = |name: &&str| is_kept_at(&format!("/{name}"), &kept.read);
    if !allowed.names().iter().all(is_whole) {
        return None;
    }
    Some(allowed.accepts(kept.arguments.as_ref()?))
}

fn quoted(policies: &[String]) -> String {
    policies.iter().map(|policy| format!("`{policy}`")).collect::<Vec<_>>().join(", ")
}
