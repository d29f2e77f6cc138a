//! One recorded decision, made again by two judges: the present one and the one that is proposed. What a decision needs and
//! was not kept makes it undecided, never guessed.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use ambit_live::{Snapshot, keys::Keys};
use ambit_model::{
    Outcome,
    caller::{AgentFacts, Assurance, CallerFacts, ClientFacts, Principal, TokenScopes, UserFacts},
    ids::{AgentId, ClientId, EndpointSlug, IssuerName, ServerSlug, ToolId, ToolName, UserKey},
    replay::{KeptCall, KeptCaller},
};
use ambit_policy::{
    ARGUMENTS, CallFacts, CallerClass, EndpointIndex, Judge, Login, Missing, ToolIndex, Verdict, kept_within,
};
use serde_json::{Map, Value};

use super::record::Decision;

/// Callers remembered at once.
const CALLERS: usize = 100_000;

/// What a decision comes to the second time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Again {
    /// What the present rules and grants say, and what the proposed ones do.
    Decided(Side, Side),
    /// It cannot be said, because this was not kept or is not there any more.
    Undecided(Missing),
}

/// What is missing that no rule reads.
fn gone(what: &'static str) -> Again {
    Again::Undecided(Missing { what, argument: None, rule: None })
}

/// What one judge says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Side {
    pub(super) outcome: Outcome,
    pub(super) policies: Vec<String>,
}

/// What decides.
#[derive(Clone, Copy)]
pub(super) struct Judges<'a> {
    pub(super) present: &'a Snapshot,
    pub(super) proposed: &'a Snapshot,
    /// Opens what records keep.
    pub(super) keys: &'a Keys,
}

/// Makes decisions again. What was looked up for one is there for the next.
pub(super) struct Replay<'a> {
    judges: Judges<'a>,
    /// By what the record says of the caller.
    callers: HashMap<String, Option<[CallerClass; 2]>>,
    endpoints: HashMap<String, Option<[EndpointIndex; 2]>>,
    tools: HashMap<String, Option<[ToolIndex; 2]>>,
    limits: Limits,
    none: Value,
    nothing: BTreeSet<String>,
}

/// Whether two limits of grants say the same, by where they lie. They are kept, so that nothing else comes to lie there.
type Limits = HashMap<(usize, usize), (bool, [Arc<Verdict>; 2])>;

/// One judge's word, and the verdict that limits the arguments of what it allows.
type Word = (Side, Option<Arc<Verdict>>);

impl<'a> Replay<'a> {
    pub(super) fn new(judges: Judges<'a>) -> Self {
        Self {
            judges,
            callers: HashMap::new(),
            endpoints: HashMap::new(),
            tools: HashMap::new(),
            limits: HashMap::new(),
            none: Value::Object(Map::new()),
            nothing: BTreeSet::new(),
        }
    }

    pub(super) fn decide(&mut self, decision: &Decision<'_>) -> Again {
        let Some(endpoints) = self.endpoints(&decision.endpoint) else {
            return gone("the endpoint is not there any more");
        };
        let Some(tools) = self.tools(decision) else { return gone("the tool is not there any more") };
        let Some(classes) = self.classes(decision) else { return gone("the caller's groups were not kept") };
        let ([was_class, is_class], [was_at, is_at], [was_tool, is_tool]) = (&classes, endpoints, tools);
        let (present, proposed) = (&self.judges.present.judge, &self.judges.proposed.judge);
        let is_read = present.reads_calls(was_tool) || proposed.reads_calls(is_tool);
        let limited = |judge: &Judge, class, at, tool| judge.standing(class, at, tool, decision.at).narrowing.is_some();
        let sealed = decision.call.as_ref().filter(|_| {
            is_read || limited(present, was_class, was_at, was_tool) || limited(proposed, is_class, is_at, is_tool)
        });
        let kept: Option<KeptCall> = sealed.and_then(|text| self.judges.keys.open_for_replay(text));
        let was = self.word(present, was_class, (was_at, was_tool), decision, kept.as_ref());
        let words = was.and_then(|was| {
            let is = self.word(proposed, is_class, (is_at, is_tool), decision, kept.as_ref())?;
            Ok((was, is))
        });
        match words {
            Ok(words) => self.compare(words),
            Err(missing) => Again::Undecided(missing),
        }
    }

    /// What grants leave of the arguments is kept only where a rule read it, and need not be where it makes no difference.
    fn compare(&mut self, ((present, was), (proposed, is)): (Word, Word)) -> Again {
        let matters = match (was, is) {
            (None, None) => None,
            (Some(was), Some(is)) => (!self.same_limits(Arc::clone(&was), Arc::clone(&is))).then_some(is),
            (Some(limits), None) | (None, Some(limits)) => Some(limits),
        };
        match matters {
            None => Again::Decided(present, proposed),
            Some(limits) => {
                let names = limits.narrowing.as_ref().map(|narrowing| {
                    let names = narrowing.allowed.names();
                    names.iter().map(|name| format!("/{name}")).collect::<Vec<_>>().join(", ")
                });
                Again::Undecided(Missing { what: "an argument that a grant limits", argument: names, rule: None })
            }
        }
    }

    fn same_limits(&mut self, was: Arc<Verdict>, is: Arc<Verdict>) -> bool {
        let key = (Arc::as_ptr(&was).addr(), Arc::as_ptr(&is).addr());
        if let Some((same, _)) = self.limits.get(&key) {
            return *same;
        }
        if self.limits.len() >= CALLERS {
            self.limits.clear();
        }
        let same = was.narrowing == is.narrowing;
        self.limits.insert(key, (same, [was, is]));
        same
    }

    fn word(
        &self,
        judge: &Judge,
        class: &CallerClass,
        (endpoint, tool): (EndpointIndex, ToolIndex),
        decision: &Decision<'_>,
        kept: Option<&KeptCall>,
    ) -> Result<Word, Missing> {
        let standing = judge.standing(class, endpoint, tool, decision.at);
        if standing.outcome != Outcome::Allow {
            return Ok((Side { outcome: standing.outcome, policies: standing.policies.clone() }, None));
        }
        if let Some(missing) = judge.missing(tool, kept) {
            return Err(missing);
        }
        let arguments = kept.and_then(|kept| kept.arguments.as_ref()).unwrap_or(&self.none);
        let facts = CallFacts {
            approved: decision.approved,
            source: kept.and_then(|kept| kept.source),
            touched: kept.map_or(&self.nothing, |kept| &kept.touched),
            login: kept
                .and_then(|kept| kept.login.as_ref())
                .map(|login| Login { at: login.at, methods: &login.methods }),
            ..CallFacts::new(decision.at, arguments)
        };
        let call = judge.per_call(class, endpoint, tool, &facts);
        let said = Side { outcome: call.outcome, policies: call.policies };
        // Arguments are held to the grants before any rule reads them.
        match standing.narrowing.as_ref().map(|narrowing| kept_within(&narrowing.allowed, kept)) {
            None | Some(Some(true)) => Ok((said, None)),
            Some(Some(false)) => Ok((Side { outcome: Outcome::Refused, policies: vec![ARGUMENTS.to_owned()] }, None)),
            Some(None) => Ok((said.clone(), (said.outcome == Outcome::Allow).then_some(standing))),
        }
    }

    fn endpoints(&mut self, slug: &str) -> Option<[EndpointIndex; 2]> {
        if let Some(known) = self.endpoints.get(slug) {
            return *known;
        }
        let find = |snapshot: &Snapshot| snapshot.judge.endpoint_index(&EndpointSlug::parse(slug).ok()?);
        let found =
            find(self.judges.present).zip(find(self.judges.proposed)).map(|(present, proposed)| [present, proposed]);
        self.endpoints.insert(slug.to_owned(), found);
        found
    }

    fn tools(&mut self, decision: &Decision<'_>) -> Option<[ToolIndex; 2]> {
        let name = format!("{}/{}", decision.server, decision.tool);
        if let Some(known) = self.tools.get(&name) {
            return *known;
        }
        let id = ServerSlug::parse(&decision.server).ok().zip(ToolName::parse(&decision.tool).ok());
        let id = id.map(|(server, tool)| ToolId { server, tool });
        let find = |snapshot: &Snapshot| snapshot.judge.tool_index(id.as_ref()?);
        let found =
            find(self.judges.present).zip(find(self.judges.proposed)).map(|(present, proposed)| [present, proposed]);
        self.tools.insert(name, found);
        found
    }

    /// The caller in the eyes of both judges.
    fn classes(&mut self, decision: &Decision<'_>) -> Option<[CallerClass; 2]> {
        let key = match &decision.caller {
            Some(sealed) => Cow::Borrowed(&**sealed),
            None => Cow::Owned(format!("{:?}", decision.who)),
        };
        if let Some(known) = self.callers.get(&*key) {
            return known.clone();
        }
        let facts = self.facts(decision);
        let classes =
            facts.map(|facts| [self.judges.present.judge.class(&facts), self.judges.proposed.judge.class(&facts)]);
        if self.callers.len() >= CALLERS {
            self.callers.clear();
        }
        self.callers.insert(key.into_owned(), classes.clone());
        classes
    }

    /// The caller's facts as they were kept; of a record that keeps none, what the configuration says of a local account or
    /// agent, with a token that carries everything.
    fn facts(&self, decision: &Decision<'_>) -> Option<CallerFacts> {
        if let Some(sealed) = &decision.caller {
            return self.judges.keys.open_for_replay::<KeptCaller>(sealed)?.facts();
        }
        let deployment = &self.judges.present.deployment;
        let user = match &decision.who.user {
            None => None,
            Some(text) => {
                let key = UserKey::parse(text).ok().filter(|key| key.issuer == IssuerName::local())?;
                let groups = deployment.accounts.get(&key.subject)?.groups.clone();
                Some(UserFacts { key, groups, claims: std::collections::BTreeMap::new() })
            }
        };
        let agent = match &decision.who.agent {
            None => None,
            Some(text) => {
                let id = AgentId::parse(text).ok()?;
                let agent = deployment.agents.get(&id)?;
                Some(AgentFacts { id, owner: agent.owner.clone(), expires_at: agent.expires_at })
            }
        };
        let principal = match (user, agent) {
            (Some(user), None) => Principal::Person { user },
            (None, Some(agent)) => Principal::Agent { agent },
            (Some(user), Some(agent)) => Principal::Delegated { user, agent },
            (None, None) => return None,
        };
        let known = [Assurance::Dynamic, Assurance::CimdLoopback, Assurance::Cimd, Assurance::Confidential];
        let assurance = known.into_iter().find(|known| known.as_str() == decision.who.assurance)?;
        Some(CallerFacts {
            principal,
            client: ClientFacts { id: ClientId::parse(&decision.who.client).ok()?, assurance },
            scopes: TokenScopes::None,
            declined: BTreeSet::new(),
            operator: None,
        })
    }
}
