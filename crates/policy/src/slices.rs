//! The rules that concern each tool, cut once per judge, so that a rule about something else costs a decision nothing.
//! Tools with the same rules share one slice.

use std::{collections::HashMap, sync::Arc};

use cedar_policy::{Authorizer, Entities, PolicySet, Request};

use crate::{
    index::{Index, ToolIndex},
    reads::Reads,
    rule::Rule,
    rules::{Rules, RulesError, Ruling},
};

/// The slice of every tool.
pub(crate) struct Slices {
    of_tool: Vec<Arc<Slice>>,
}

/// The rules of some tools.
pub(crate) struct Slice {
    list: RuleSet,
    /// The standing rules about calls, where they may say something else than those about lists.
    call: Option<RuleSet>,
    /// The rules that read the call.
    per_call: Option<PerCall>,
}

/// Rules that are asked together.
pub(crate) struct RuleSet {
    policies: PolicySet,
    authorizer: Authorizer,
}

/// The rules that read the call, and what they read.
pub(crate) struct PerCall {
    pub(crate) rules: RuleSet,
    pub(crate) context: Reads,
}

impl Slices {
    pub(crate) fn build(rules: &Rules, index: &Index) -> Result<Self, RulesError> {
        let mut shared: HashMap<Vec<usize>, Arc<Slice>> = HashMap::new();
        let mut of_tool = Vec::with_capacity(index.tools.len());
        for entry in &index.tools {
            let concerned: Vec<usize> = match index.servers.get(entry.server) {
                Some(server) => {
                    let all = rules.all().iter().enumerate();
                    all.filter(|(_, rule)| rule.may_concern(&entry.facts, server)).map(|(number, _)| number).collect()
                }
                None => (0..rules.all().len()).collect(),
            };
            let slice = if let Some(known) = shared.get(&concerned) {
                Arc::clone(known)
            } else {
                let chosen = concerned.iter().filter_map(|number| rules.all().get(*number));
                let cut = Arc::new(Slice::cut(&chosen.collect::<Vec<_>>())?);
                shared.insert(concerned, Arc::clone(&cut));
                cut
            };
            of_tool.push(slice);
        }
        Ok(Self { of_tool })
    }

    pub(crate) fn of(&self, tool: ToolIndex) -> Option<&Slice> {
        self.of_tool.get(tool.0 as usize).map(AsRef::as_ref)
    }
}

impl Slice {
    fn cut(rules: &[&Rule]) -> Result<Self, RulesError> {
        let (per_call, standing): (Vec<&Rule>, Vec<&Rule>) = rules.iter().partition(|rule| rule.is_per_call());
        let apart = standing.iter().any(|rule| rule.tells_actions_apart());
        let about = |action| standing.iter().copied().filter(move |rule| rule.answers(action));
        let per_call = if per_call.is_empty() {
            None
        } else {
            let mut context = Reads::default();
            for rule in &per_call {
                context.add(&rule.context);
            }
            Some(PerCall { rules: RuleSet::new(per_call.into_iter())?, context })
        };
        Ok(Self {
            list: RuleSet::new(about("list"))?,
            call: if apart { Some(RuleSet::new(about("call"))?) } else { None },
            per_call,
        })
    }

    /// The standing rules about lists.
    pub(crate) fn list(&self) -> &RuleSet {
        &self.list
    }

    /// The standing rules about calls, unless they say what those about lists do.
    pub(crate) fn call(&self) -> Option<&RuleSet> {
        self.call.as_ref()
    }

    /// The rules that read the call.
    pub(crate) fn per_call(&self) -> Option<&PerCall> {
        self.per_call.as_ref()
    }
}

impl RuleSet {
    fn new<'a>(rules: impl Iterator<Item = &'a Rule>) -> Result<Self, RulesError> {
        let policies = PolicySet::from_policies(rules.map(|rule| rule.policy.clone()))
            .map_err(|error| RulesError::Syntax(error.to_string()))?;
        Ok(Self { policies, authorizer: Authorizer::new() })
    }

    /// Judges one request over its slice of entities.
    pub(crate) fn judge(&self, request: &Request, entities: &Entities) -> Ruling {
        let response = self.authorizer.is_authorized(request, &self.policies, entities);
        let failed = response.diagnostics().errors().next().is_some();
        let mut policies: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
        policies.sort_unstable();
        // An error makes its own policy not apply, which is fail-open for a `forbid`: so it denies outright.
        let allowed = !failed && response.decision() == cedar_policy::Decision::Allow;
        Ruling { allowed, policies, failed }
    }
}
