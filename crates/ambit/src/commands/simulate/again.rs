//! One recorded decision, made again by two judges: the present one and the one that is proposed. What a decision needs and
//! was not kept makes it undecided, never guessed.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
};

use ambit_live::{Snapshot, keys::Keys};
use ambit_model::{
    Outcome,
    caller::{AgentFacts, Assurance, CallerFacts, ClientFacts, Principal, TokenScopes, UserFacts},
    ids::{AgentId, ClientId, EndpointSlug, IssuerName, ServerSlug, ToolId, ToolName, UserKey},
    replay::{KeptCall, KeptCaller},
};
use ambit_policy::{CallFacts, CallerClass, EndpointIndex, Judge, ToolIndex};
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
    Undecided(&'static str),
}

/// What one judge says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Side {
    pub(super) outcome: Outcome,
    pub(super) policies: Vec<String>,
}

/// Makes decisions again.
pub(super) struct Replay<'a> {
    present: &'a Snapshot,
    proposed: &'a Snapshot,
    keys: &'a Keys,
    /// By what the record says of the caller.
    callers: HashMap<String, Option<[CallerClass; 2]>>,
    endpoints: HashMap<String, Option<[EndpointIndex; 2]>>,
    tools: HashMap<String, Option<[ToolIndex; 2]>>,
    none: Value,
}

impl<'a> Replay<'a> {
    pub(super) fn new(present: &'a Snapshot, proposed: &'a Snapshot, keys: &'a Keys) -> Self {
        let none = Value::Object(Map::new());
        let (callers, endpoints, tools) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { present, proposed, keys, callers, endpoints, tools, none }
    }

    pub(super) fn decide(&mut self, decision: &Decision<'_>) -> Again {
        let Some(endpoints) = self.endpoints(&decision.endpoint) else {
            return Again::Undecided("the endpoint is not there any more");
        };
        let Some(tools) = self.tools(decision) else { return Again::Undecided("the tool is not there any more") };
        let Some(classes) = self.classes(decision) else {
            return Again::Undecided("the caller's groups were not kept");
        };
        let kept: Option<KeptCall> = decision.call.as_ref().and_then(|text| self.keys.open_for_replay(text));
        let judges = [&self.present.judge, &self.proposed.judge];
        let mut sides = Vec::with_capacity(2);
        for (((judge, class), endpoint), tool) in judges.into_iter().zip(&classes).zip(endpoints).zip(tools) {
            match self.side(judge, class, (endpoint, tool), decision, kept.as_ref()) {
                Ok(side) => sides.push(side),
                Err(missing) => return Again::Undecided(missing),
            }
        }
        match <[Side; 2]>::try_from(sides) {
            Ok([present, proposed]) => Again::Decided(present, proposed),
            Err(_) => Again::Undecided("the decision could not be made"),
        }
    }

    fn side(
        &self,
        judge: &Judge,
        class: &CallerClass,
        (endpoint, tool): (EndpointIndex, ToolIndex),
        decision: &Decision<'_>,
        kept: Option<&KeptCall>,
    ) -> Result<Side, &'static str> {
        let standing = judge.standing(class, endpoint, tool, decision.at);
        if standing.outcome != Outcome::Allow {
            return Ok(Side { outcome: standing.outcome, policies: standing.policies.clone() });
        }
        if standing.narrowing.is_some() {
            return Err("an argument that a grant limits");
        }
        if let Some(missing) = judge.missing(tool, kept) {
            return Err(missing);
        }
        let arguments = kept.and_then(|kept| kept.arguments.as_ref()).unwrap_or(&self.none);
        let facts = CallFacts {
            approved: decision.approved,
            source: kept.and_then(|kept| kept.source),
            ..CallFacts::new(decision.at, arguments)
        };
        let call = judge.per_call(class, endpoint, tool, &facts);
        Ok(Side { outcome: call.outcome, policies: call.policies })
    }

    fn endpoints(&mut self, slug: &str) -> Option<[EndpointIndex; 2]> {
        if let Some(known) = self.endpoints.get(slug) {
            return *known;
        }
        let find = |snapshot: &Snapshot| snapshot.judge.endpoint_index(&EndpointSlug::parse(slug).ok()?);
        let found = find(self.present).zip(find(self.proposed)).map(|(present, proposed)| [present, proposed]);
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
        let found = find(self.present).zip(find(self.proposed)).map(|(present, proposed)| [present, proposed]);
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
        let classes = facts.map(|facts| [self.present.judge.class(&facts), self.proposed.judge.class(&facts)]);
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
            return self.keys.open_for_replay::<KeptCaller>(sealed)?.facts();
        }
        let deployment = &self.present.deployment;
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
