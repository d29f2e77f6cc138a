//! The judge of one revision: built once, asked by every request, dropped with its snapshot. Verdicts are remembered inside
//! it, so nothing ever has to be invalidated; each holds between two instants.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use ambit_model::{
    Digest, Outcome,
    caller::CallerFacts,
    ids::{EndpointSlug, Millis, ToolId},
};
use quick_cache::{Weighter, sync::Cache};

use crate::{
    arguments::{self, Limits, Narrowing, Narrowings},
    class::{CallerClass, ClassKey, Resolved},
    constraint::Contradiction,
    decide::{Decision, decide},
    facts::{BuildError, EndpointFacts, JudgeInput, ServerFacts, ToolFacts},
    index::{EndpointIndex, Index, ToolIndex, ToolsetIndex},
    names::{self, Declared},
    organisation::Policies,
    problem::RuleProblem,
    rules::{Rules, id},
    slice::Frames,
    slices::{self, Slices, Strictness},
    verdict::{Verdict, Visible},
    words,
};

/// Verdicts remembered at once. One takes about half a kilobyte.
const VERDICTS: usize = 65_536;

/// Listed tools remembered at once, over all lists; four bytes each.
const LISTED: u64 = 4_000_000;

/// The weight of a list besides its tools.
const LIST_OVERHEAD: u64 = 32;

/// What is known of one rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleFacts<'a> {
    /// `file:line`; a rule of the platform has none.
    pub place: Option<String>,
    /// What callers are told when it decides.
    pub message: Option<&'a str>,
    /// Whether it is asked with every call.
    pub per_call: bool,
    /// Whether it is only recorded.
    pub reported: bool,
}

/// Decides who may see and call what, over the facts of one revision.
pub struct Judge {
    revision: u64,
    rules: Arc<Rules>,
    index: Arc<Index>,
    frames: Frames,
    slices: Slices,
    verdicts: Cache<(ClassKey, EndpointIndex, ToolIndex), Arc<Verdict>>,
    lists: Cache<(ClassKey, EndpointIndex), Arc<Visible>, ByLength>,
    narrowings: Narrowings,
}

#[derive(Clone)]
struct ByLength;

impl Weighter<(ClassKey, EndpointIndex), Arc<Visible>> for ByLength {
    fn weight(&self, _: &(ClassKey, EndpointIndex), list: &Arc<Visible>) -> u64 {
        LIST_OVERHEAD + list.tools.len() as u64 + 4 * list.narrowed.len() as u64
    }
}

impl std::fmt::Debug for Judge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Judge")
            .field("revision", &self.revision)
            .field("rules", &self.rules.digest())
            .finish_non_exhaustive()
    }
}

impl Judge {
    /// Indexes the facts of a revision.
    ///
    /// # Errors
    /// [`BuildError`] when the facts contradict each other or the rule set does not stand.
    pub fn build(input: JudgeInput) -> Result<Self, BuildError> {
        let rules = Rules::load(Arc::clone(&input.policies))?;
        Self::with_rules(Arc::new(rules), input, Strictness::Refuse)
    }

    /// A judge of other facts. Rules that are the same are not read again, and then a tool that does not fit one of them is
    /// hidden; rules that changed are refused if they do not fit. It remembers nothing of this one.
    ///
    /// # Errors
    /// [`BuildError`] when the facts contradict each other or a new rule set does not stand.
    pub fn successor(&self, input: JudgeInput) -> Result<Self, BuildError> {
        if *self.rules.policies() == input.policies {
            Self::with_rules(Arc::clone(&self.rules), input, Strictness::Hide)
        } else {
            Self::build(input)
        }
    }

    pub(crate) fn with_rules(rules: Arc<Rules>, input: JudgeInput, strictness: Strictness) -> Result<Self, BuildError> {
        let revision = input.revision;
        let index = Arc::new(Index::build(input)?);
        let frames = Frames::build(&index)?;
        let slices = Slices::build(&rules, &index, strictness)?;
        Ok(Self {
            revision,
            rules,
            index,
            frames,
            slices,
            verdicts: Cache::new(VERDICTS),
            lists: Cache::with_weighter(4096, LISTED, ByLength),
            narrowings: Narrowings::new(),
        })
    }

    /// The revision of its facts.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The digest of its policies and their schema. Grants are not part of it.
    pub fn rules_digest(&self) -> Digest {
        self.rules.digest()
    }

    /// The organisation's rules.
    pub fn policies(&self) -> &Arc<Policies> {
        self.rules.policies()
    }

    /// What is known of one rule.
    pub fn rule(&self, id: &str) -> Option<RuleFacts<'_>> {
        let rule = self.rules.find(id)?;
        let place = self.rules.problem(rule, "", "");
        Some(RuleFacts {
            place: place.map(|place| format!("{}:{}", place.file, place.line)),
            message: rule.message(),
            per_call: rule.is_per_call(),
            reported: rule.is_reported(),
        })
    }

    /// Whether rules that are asked with every call of a tool read its arguments.
    pub fn reads_arguments(&self, tool: ToolIndex) -> bool {
        let per_call = self.slices.of(tool).and_then(|slice| slice.per_call());
        per_call.is_some_and(|rules| !rules.read.is_empty())
    }

    /// How many rules the organisation has.
    pub fn organisation_rules(&self) -> usize {
        self.rules.all().iter().filter(|rule| rule.written.is_some()).count()
    }

    /// Rules that match nothing there is: they name a tool that is not there, or read arguments no tool has.
    pub fn findings(&self) -> &[RuleProblem] {
        self.slices.findings()
    }

    /// The same, with the names in rules that nothing of this deployment has.
    pub fn findings_of(&self, declared: &Declared) -> Vec<RuleProblem> {
        let mut all = names::unknown(&self.rules, &self.index, declared);
        let named: BTreeSet<Option<String>> = all.iter().map(|problem| problem.rule.clone()).collect();
        // A name that nothing has says why a rule concerns no tool.
        let said = |problem: &&RuleProblem| problem.message != slices::NO_TOOL || !named.contains(&problem.rule);
        all.extend(self.findings().iter().filter(said).cloned());
        all.sort();
        all.dedup();
        all
    }

    /// Tools that are hidden because a rule cannot be asked about them, with the rule and why.
    pub fn unjudgeable(&self) -> impl Iterator<Item = (&ToolId, &str, &str)> {
        slices::hidden(&self.slices, &self.index).map(|(tool, unjudged)| (&tool.id, &*unjudged.rule, &*unjudged.why))
    }

    /// The number of a tool.
    pub fn tool_index(&self, id: &ToolId) -> Option<ToolIndex> {
        self.index.tool_number(id)
    }

    /// The number of an endpoint.
    pub fn endpoint_index(&self, slug: &EndpointSlug) -> Option<EndpointIndex> {
        self.index.endpoint_number(slug)
    }

    /// The facts of a tool.
    pub fn tool(&self, tool: ToolIndex) -> Option<&ToolFacts> {
        self.index.tool(tool).map(|entry| &entry.facts)
    }

    /// The facts of the server of a tool.
    pub fn server_of(&self, tool: ToolIndex) -> Option<&ServerFacts> {
        self.index.servers.get(self.index.tool(tool)?.server)
    }

    /// The facts of an endpoint.
    pub fn endpoint(&self, endpoint: EndpointIndex) -> Option<&EndpointFacts> {
        self.index.endpoint(endpoint).map(|entry| &entry.facts)
    }

    /// Every tool, in the order of ids.
    pub fn tools(&self) -> impl ExactSizeIterator<Item = &ToolFacts> {
        self.index.tools.iter().map(|entry| &entry.facts)
    }

    /// Resolves a caller. Done once per token and judge.
    pub fn class(&self, facts: &CallerFacts) -> CallerClass {
        CallerClass(Arc::new(Resolved::new(facts, &self.index, &self.frames)))
    }

    /// The standing verdict over one tool: remembered if it holds now, otherwise decided.
    ///
    /// A number that is not of this judge is a tool that does not exist. A class of another judge is resolved anew, which
    /// is correct and slow.
    pub fn standing(
        &self,
        class: &CallerClass,
        endpoint: EndpointIndex,
        tool: ToolIndex,
        now_ms: Millis,
    ) -> Arc<Verdict> {
        let key = (class.key(), endpoint, tool);
        if let Some(verdict) = self.verdicts.get(&key).filter(|verdict| verdict.is_valid_at(now_ms)) {
            return verdict;
        }
        let verdict = Arc::new(self.decide_fresh(class, endpoint, tool, now_ms));
        self.verdicts.insert(key, Arc::clone(&verdict));
        verdict
    }

    /// The same without looking at or adding to what is remembered.
    pub fn decide_fresh(
        &self,
        class: &CallerClass,
        endpoint: EndpointIndex,
        tool: ToolIndex,
        now_ms: Millis,
    ) -> Verdict {
        let own = self.own(class);
        let mut decision = self.decide(&own, endpoint, tool, now_ms);
        let narrowing = self.limited(&own, tool, now_ms, &mut decision);
        let mut reasons = words::reasons(&self.case(&own, (endpoint, tool), now_ms, &decision));
        match &narrowing {
            Ok(Some(narrowing)) => reasons.push(arguments::limited_by(narrowing)),
            Ok(None) => {}
            Err(contradiction) => reasons.push(contradiction.to_string()),
        }
        let sentence = if decision.outcome == Outcome::Refused { self.says(&decision.policies) } else { None };
        let slug = |toolset| self.index.toolset(toolset).map(|entry| entry.slug.clone());
        Verdict {
            outcome: decision.outcome,
            reasons,
            missing_scopes: decision.asks.and_then(slug).into_iter().collect(),
            valid_from: decision.horizon.since(),
            valid_until: decision.horizon.until(),
            rules: self.rules.digest(),
            revision: self.revision,
            evaluation_error: decision.failed,
            policies: decision.policies,
            narrowing: narrowing.unwrap_or_default(),
            reported: decision.reported,
            sentence,
        }
    }

    /// What the class sees at an endpoint: exactly the tools whose standing verdict is a listed one.
    pub fn visible(&self, class: &CallerClass, endpoint: EndpointIndex, now_ms: Millis) -> Arc<Visible> {
        let key = (class.key(), endpoint);
        if let Some(list) = self.lists.get(&key).filter(|list| list.is_valid_at(now_ms)) {
            return list;
        }
        let own = self.own(class);
        let mut limits = Limits::new(self, &own, now_ms);
        let mut list = Visible {
            tools: Vec::new(),
            narrowed: Vec::new(),
            broken: Vec::new(),
            valid_from: Millis::MIN,
            valid_until: Millis::MAX,
        };
        let mut listed_by_shape: HashMap<(usize, usize), bool> = HashMap::new();
        for (tool, shape) in self.reachable(&own.0, endpoint) {
            // The same facts by the same rules.
            let shape = (shape, self.slices.of(tool).map_or(0, |slice| Arc::as_ptr(slice).addr()));
            let known = listed_by_shape.get(&shape).copied().filter(|_| !self.rules.names_tools());
            let listed = known.unwrap_or_else(|| {
                let decision = self.decide(&own, endpoint, tool, now_ms);
                list.valid_from = list.valid_from.max(decision.horizon.since());
                list.valid_until = list.valid_until.min(decision.horizon.until());
                if decision.failed {
                    list.broken.extend(decision.policies);
                }
                decision.outcome.is_listed()
            });
            listed_by_shape.insert(shape, listed);
            // A tool of which the grants leave nothing to call is not there.
            if let Some(narrowing) = listed.then(|| limits.of(tool).ok()).flatten() {
                list.tools.push(tool);
                list.narrowed.extend(narrowing.map(|narrowing| (tool, narrowing)));
            }
        }
        list.broken.sort_unstable();
        list.broken.dedup();
        let list = Arc::new(list);
        self.lists.insert(key, Arc::clone(&list));
        list
    }

    pub(crate) fn decide(
        &self,
        class: &CallerClass,
        endpoint: EndpointIndex,
        tool: ToolIndex,
        now_ms: Millis,
    ) -> Decision {
        decide((&self.slices, &self.index, &self.frames), &class.0, (endpoint, tool), now_ms)
    }

    /// How a listed tool is narrowed. One of which the grants leave nothing becomes a hidden one.
    fn limited(
        &self,
        class: &CallerClass,
        tool: ToolIndex,
        now_ms: Millis,
        decision: &mut Decision,
    ) -> Result<Option<Arc<Narrowing>>, Contradiction> {
        if !decision.outcome.is_listed() {
            return Ok(None);
        }
        let narrowing = Limits::new(self, class, now_ms).of(tool);
        if narrowing.is_err() {
            decision.outcome = Outcome::Hidden;
            decision.asks = None;
            decision.policies = vec![id::ARGUMENTS.to_owned()];
        }
        narrowing
    }

    pub(crate) fn narrowings(&self) -> &Narrowings {
        &self.narrowings
    }

    pub(crate) fn case<'a>(
        &'a self,
        class: &'a CallerClass,
        (endpoint, tool): (EndpointIndex, ToolIndex),
        now: Millis,
        decision: &'a Decision,
    ) -> words::Case<'a> {
        let unjudged = self.slices.of(tool).and_then(|slice| slice.unjudgeable());
        words::Case { index: &self.index, rules: &self.rules, class: &class.0, endpoint, tool, now, decision, unjudged }
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    pub(crate) fn frames(&self) -> &Frames {
        &self.frames
    }

    pub(crate) fn slices(&self) -> &Slices {
        &self.slices
    }

    /// The class itself, or its caller resolved against this judge.
    pub(crate) fn own(&self, class: &CallerClass) -> CallerClass {
        if class.0.is_of(&self.index) { class.clone() } else { self.class(class.facts()) }
    }

    /// The slice of a decision with every fact a rule may read, to be held against the schema.
    #[cfg(test)]
    pub(crate) fn whole_slice(
        &self,
        class: &CallerClass,
        endpoint: EndpointIndex,
        tool: ToolIndex,
        now_ms: Millis,
    ) -> Option<cedar_policy::Entities> {
        let decision = self.decide(class, endpoint, tool, now_ms);
        let everything = crate::reads::Reads::everything();
        self.frames.slice(&self.index, &class.0, endpoint, tool, (&decision.reach, &everything)).ok()
    }

    /// Every tool a verdict could list, with its shape: those of published servers in a toolset that something of the caller names. For
    /// any other, no factor holds a toolset, at no time, and the only permit needs one.
    fn reachable(&self, class: &Resolved, endpoint: EndpointIndex) -> BTreeMap<ToolIndex, usize> {
        let mut toolsets: BTreeSet<ToolsetIndex> = BTreeSet::new();
        if let Some(user) = &class.user {
            toolsets.extend(user.grants.toolsets());
            toolsets.extend(user.reveals.toolsets());
        } else if let Some(agent) = &class.agent {
            toolsets.extend(agent.toolsets());
        }
        let Some(at) = self.index.endpoint(endpoint) else { return BTreeMap::new() };
        let published = |tool: &ToolIndex| {
            let entry = self.index.tool(*tool)?;
            at.servers.binary_search(&entry.server).ok().map(|_| (*tool, entry.shape))
        };
        let members = toolsets.iter().filter_map(|toolset| self.index.toolset(*toolset));
        members.flat_map(|entry| entry.tools.iter()).filter_map(published).collect()
    }
}
