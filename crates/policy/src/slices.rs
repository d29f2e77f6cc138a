//! The rules that concern each tool, cut once per judge, so that a rule about something else costs a decision nothing.
//! Tools with the same rules share one slice.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use cedar_policy::{Authorizer, Entities, PolicyId, PolicySet, Request, Response};

use crate::{
    facts::ToolFacts,
    fits::{Fit, Fitting},
    index::{Index, ToolEntry, ToolIndex},
    problem::RuleProblem,
    reads::Reads,
    rule::Rule,
    rules::{Rules, RulesError, Ruling},
    typing::ArgumentType,
};

/// The finding about a rule that concerns no tool, for whatever reason.
pub(crate) const NO_TOOL: &str = "the rule can never match: there is no tool it concerns";

/// The slice of every tool.
pub(crate) struct Slices {
    of_tool: Vec<Arc<Slice>>,
    findings: Vec<RuleProblem>,
}

/// The rules of some tools.
pub(crate) struct Slice {
    list: RuleSet,
    /// The standing rules about calls, where they may say something else than those about lists.
    call: Option<RuleSet>,
    /// The standing rules that are only recorded.
    reported: Option<RuleSet>,
    /// The rules that read the call.
    per_call: Option<PerCall>,
    /// What the standing rules read of the caller.
    principal: Reads,
    unjudgeable: Option<Unjudged>,
}

/// Why no call of a tool can be judged, so that it is hidden.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Unjudged {
    /// The rule that cannot be asked.
    pub(crate) rule: String,
    /// Why, for operators.
    pub(crate) why: String,
}

/// Rules that are asked together.
pub(crate) struct RuleSet {
    policies: PolicySet,
    authorizer: Authorizer,
}

/// The rules that read the call, and what they read.
pub(crate) struct PerCall {
    pub(crate) rules: RuleSet,
    /// Those that are only recorded.
    pub(crate) reported: Option<RuleSet>,
    pub(crate) context: Reads,
    pub(crate) principal: Reads,
    /// The type of the arguments that are read.
    pub(crate) arguments: Option<ArgumentType>,
    /// Where it ends: what of the arguments is read, as JSON pointers.
    pub(crate) read: Vec<String>,
}

/// How a rule set is taken that does not fit a tool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Strictness {
    /// The rules are new: it is refused.
    Refuse,
    /// The rules stand and the tool is new: it is hidden, that tool alone.
    Hide,
}

/// What concerns one tool; tools for which it is the same share a slice.
#[derive(PartialEq, Eq, Hash, Clone)]
struct Concern {
    rules: Vec<usize>,
    named: Vec<usize>,
    arguments: Option<ArgumentType>,
    unjudgeable: Option<Unjudged>,
}

impl Slices {
    pub(crate) fn build(rules: &Rules, index: &Index, strictness: Strictness) -> Result<Self, RulesError> {
        let mut cutter = Cutter {
            rules,
            fitting: Fitting::new(rules),
            wrong: Vec::new(),
            asked: HashMap::new(),
            concerning: BTreeSet::new(),
        };
        let mut shared: HashMap<Concern, Arc<Slice>> = HashMap::new();
        let mut of_tool = Vec::with_capacity(index.tools.len());
        for entry in &index.tools {
            let concern = cutter.concern(index, entry)?;
            let slice = if let Some(known) = shared.get(&concern) {
                Arc::clone(known)
            } else {
                let cut = Arc::new(Slice::cut(rules, &concern)?);
                shared.insert(concern, Arc::clone(&cut));
                cut
            };
            of_tool.push(slice);
        }
        if strictness == Strictness::Refuse && !cutter.wrong.is_empty() {
            let mut wrong = cutter.wrong;
            wrong.sort();
            // One sentence for each place: the other tools say the same.
            wrong.dedup_by(|a, b| (&a.file, a.line, a.column) == (&b.file, b.line, b.column));
            return Err(RulesError::Organisation(wrong));
        }
        let findings = cutter.findings(index);
        Ok(Self { of_tool, findings })
    }

    pub(crate) fn of(&self, tool: ToolIndex) -> Option<&Arc<Slice>> {
        self.of_tool.get(tool.0 as usize)
    }

    /// Rules that match nothing there is.
    pub(crate) fn findings(&self) -> &[RuleProblem] {
        &self.findings
    }
}

struct Cutter<'a> {
    rules: &'a Rules,
    fitting: Fitting<'a>,
    wrong: Vec<RuleProblem>,
    /// Whether a rule that reads arguments can match a call of any tool, by its number.
    asked: HashMap<usize, bool>,
    /// The rules that concern some tool, by their numbers.
    concerning: BTreeSet<usize>,
}

impl Cutter<'_> {
    fn concern(&mut self, index: &Index, entry: &ToolEntry) -> Result<Concern, RulesError> {
        let tool = &entry.facts;
        let all = self.rules.all();
        let concerned: Vec<usize> = match index.servers.get(entry.server) {
            Some(server) => {
                let concerned = all.iter().enumerate().filter(|(_, rule)| rule.may_concern(tool, server));
                concerned.map(|(number, _)| number).collect()
            }
            None => (0..all.len()).collect(),
        };
        self.concerning.extend(&concerned);
        let mut concern = Concern {
            rules: Vec::with_capacity(concerned.len()),
            named: Vec::new(),
            arguments: None,
            unjudgeable: None,
        };
        let mut reads = Reads::default();
        let name = tool.id.to_string();
        let mut typed = None;
        for number in concerned {
            let Some(rule) = all.get(number) else { continue };
            if rule.named_tools().any(|named| *named == name) {
                concern.named.push(number);
            }
            if !rule.reads_arguments() {
                concern.rules.push(number);
                continue;
            }
            let typed = typed.get_or_insert_with(|| match &tool.input_schema {
                Some(schema) => ArgumentType::of(schema),
                None => ArgumentType::Opaque,
            });
            // Also of a rule that never matches: an argument it reads and the schema does not declare is watched for.
            reads.add(&rule.context);
            let fit = self.fitting.hold(number, tool, typed)?;
            *self.asked.entry(number).or_default() |= !matches!(fit, Fit::Never);
            match fit {
                Fit::Fits => concern.rules.push(number),
                Fit::Never => {}
                // What is only recorded hides nothing.
                Fit::Opaque(_) if rule.is_reported() => {}
                Fit::Wrong(problems) if rule.is_reported() => self.wrong.extend(problems),
                Fit::Opaque(at) => {
                    let at = if at.is_empty() { "the arguments as a whole".to_owned() } else { format!("`{at}`") };
                    let why = format!("reads {at}, which the schema of `{name}` does not give a plain type");
                    concern.unjudgeable.get_or_insert(Unjudged { rule: rule.id().to_owned(), why });
                }
                Fit::Wrong(problems) => {
                    let said = problems.first().map_or(String::new(), |problem| format!(": {}", problem.message));
                    let why = format!("does not fit the arguments of `{name}`{said}");
                    self.wrong.extend(problems);
                    concern.unjudgeable.get_or_insert(Unjudged { rule: rule.id().to_owned(), why });
                }
            }
        }
        concern.arguments =
            typed.map(|typed| typed.pruned(&reads, &["arguments"])).filter(|_| concern.unjudgeable.is_none());
        Ok(concern)
    }

    /// Rules that name tools which are not there, or read arguments that no tool has.
    fn findings(&self, index: &Index) -> Vec<RuleProblem> {
        let there: BTreeSet<String> = index.tools.iter().map(|entry| entry.facts.id.to_string()).collect();
        let mut findings = Vec::new();
        for (number, rule) in self.rules.all().iter().enumerate() {
            let names_missing = rule.named_tools().any(|named| !there.contains(named));
            if rule.written.is_some() && !there.is_empty() && !names_missing && !self.concerning.contains(&number) {
                let message = NO_TOOL;
                let remedy = "check what it says of the tool and its server with `ambit tools --json`";
                findings.extend(self.rules.problem(rule, message, remedy));
            }
            for missing in rule.named_tools().filter(|named| !there.contains(*named)) {
                let message = format!("there is no tool `{missing}`");
                let remedy = "check the name with `ambit tools`, or whether its server is reachable";
                findings.extend(self.rules.problem(rule, message, remedy));
            }
            if self.asked.get(&number) == Some(&false) {
                let message = "the rule can never match: no tool declares the arguments it reads";
                findings.extend(self.rules.problem(
                    rule,
                    message,
                    "check the names of the arguments with `ambit tools --json`",
                ));
            }
        }
        findings
    }
}

impl Slice {
    fn cut(rules: &Rules, concern: &Concern) -> Result<Self, RulesError> {
        let about_call =
            |number: &usize, rule: &Rule| rule.named_tools().next().is_none() || concern.named.contains(number);
        let chosen: Vec<(&Rule, bool)> = concern
            .rules
            .iter()
            .filter_map(|number| rules.all().get(*number).map(|rule| (rule, about_call(number, rule))))
            .collect();
        let pick = |wanted: &dyn Fn(&Rule, bool) -> bool| {
            chosen.iter().filter(|(rule, calls)| wanted(rule, *calls)).map(|(rule, _)| *rule).collect::<Vec<_>>()
        };
        let list = pick(&|rule, _| !rule.is_per_call() && !rule.is_reported() && rule.answers_list());
        let call =
            pick(&|rule, calls| !rule.is_per_call() && !rule.is_reported() && calls && rule.is_asked_about_calls());
        let reported = pick(&|rule, calls| {
            !rule.is_per_call() && rule.is_reported() && (rule.answers_list() || (calls && rule.is_asked_about_calls()))
        });
        let apart =
            chosen.iter().any(|(rule, _)| !rule.is_per_call() && !rule.is_reported() && rule.tells_actions_apart());
        let mut principal = Reads::default();
        for rule in list.iter().chain(&call).chain(&reported) {
            principal.add(&rule.principal);
        }
        Ok(Self {
            list: RuleSet::new(&list)?,
            call: if apart { Some(RuleSet::new(&call)?) } else { None },
            reported: RuleSet::of_any(&reported)?,
            per_call: PerCall::cut(&pick(&|rule, calls| rule.is_per_call() && calls), concern)?,
            principal,
            unjudgeable: concern.unjudgeable.clone(),
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

    /// The standing rules that are only recorded.
    pub(crate) fn reported(&self) -> Option<&RuleSet> {
        self.reported.as_ref()
    }

    /// The rules that read the call.
    pub(crate) fn per_call(&self) -> Option<&PerCall> {
        self.per_call.as_ref()
    }

    /// What the standing rules read of the caller.
    pub(crate) fn principal(&self) -> &Reads {
        &self.principal
    }

    /// Why no call of the tool can be judged.
    pub(crate) fn unjudgeable(&self) -> Option<&Unjudged> {
        self.unjudgeable.as_ref()
    }
}

impl PerCall {
    fn cut(rules: &[&Rule], concern: &Concern) -> Result<Option<Self>, RulesError> {
        let watches = concern.arguments.as_ref().is_some_and(ArgumentType::watches);
        if rules.is_empty() && !watches {
            return Ok(None);
        }
        let (mut context, mut principal) = (Reads::default(), Reads::default());
        for rule in rules {
            context.add(&rule.context);
            principal.add(&rule.principal);
        }
        let (reported, enforced): (Vec<&Rule>, Vec<&Rule>) = rules.iter().partition(|rule| rule.is_reported());
        Ok(Some(Self {
            rules: RuleSet::new(&enforced)?,
            reported: RuleSet::of_any(&reported)?,
            context,
            principal,
            read: concern.arguments.as_ref().map(ArgumentType::ends).unwrap_or_default(),
            arguments: concern.arguments.clone(),
        }))
    }
}

impl RuleSet {
    fn new(rules: &[&Rule]) -> Result<Self, RulesError> {
        let policies = PolicySet::from_policies(rules.iter().map(|rule| rule.policy.clone()))
            .map_err(|error| RulesError::Syntax(error.to_string()))?;
        Ok(Self { policies, authorizer: Authorizer::new() })
    }

    fn of_any(rules: &[&Rule]) -> Result<Option<Self>, RulesError> {
        if rules.is_empty() { Ok(None) } else { Self::new(rules).map(Some) }
    }

    /// The rules, by their ids.
    pub(crate) fn ids(&self) -> impl Iterator<Item = String> + '_ {
        self.policies.policies().map(|policy| policy.id().to_string())
    }

    /// Judges one request over its slice of entities.
    pub(crate) fn judge(&self, request: &Request, entities: &Entities) -> Ruling {
        let response = self.authorizer.is_authorized(request, &self.policies, entities);
        let broken: Vec<String> = broken(&response).map(ToString::to_string).collect();
        let failed = !broken.is_empty();
        // What could not be evaluated is what decided.
        let mut policies =
            if failed { broken } else { response.diagnostics().reason().map(ToString::to_string).collect() };
        policies.sort_unstable();
        // An error makes its own policy not apply, which is fail-open for a `forbid`: so it denies outright.
        let allowed = !failed && response.decision() == cedar_policy::Decision::Allow;
        Ruling { allowed, policies, failed }
    }

    /// The rules that would decide: those that match, and those that cannot be evaluated, which would deny as well.
    pub(crate) fn would_decide(&self, request: &Request, entities: &Entities) -> Vec<String> {
        let response = self.authorizer.is_authorized(request, &self.policies, entities);
        let failed = broken(&response).map(|rule| format!("{rule} (cannot be evaluated)"));
        let mut would: Vec<String> = response.diagnostics().reason().map(ToString::to_string).chain(failed).collect();
        would.sort_unstable();
        would
    }
}

/// The rules that could not be evaluated.
fn broken(response: &Response) -> impl Iterator<Item = &PolicyId> {
    response
        .diagnostics()
        .errors()
        .map(|cedar_policy::AuthorizationError::PolicyEvaluationError(error)| error.policy_id())
}

/// Every tool that is hidden because a rule cannot be asked about it.
pub(crate) fn hidden<'a>(slices: &'a Slices, index: &'a Index) -> impl Iterator<Item = (&'a ToolFacts, &'a Unjudged)> {
    let each = index.tools.iter().zip(&slices.of_tool);
    each.filter_map(|(entry, slice)| Some((&entry.facts, slice.unjudgeable()?)))
}
