//! Whether a rule that reads arguments can be held to a tool, decided once per shape of what it reads: most tools have none
//! of it, and look alike then.

use std::collections::{BTreeSet, HashMap};

use cedar_policy::ValidationWarning;

use crate::{
    facts::ToolFacts,
    problem::RuleProblem,
    rules::{self, Rules, RulesError},
    typing::ArgumentType,
};

/// What holding a rule to a tool comes to.
#[derive(Clone, Debug)]
pub(crate) enum Fit {
    /// It can be asked.
    Fits,
    /// It never matches a call of this tool, as far as its schema declares arguments.
    Never,
    /// It reads a part, at this JSON pointer, that has no plain type.
    Opaque(String),
    /// It does not fit what the tool declares.
    Wrong(Vec<RuleProblem>),
}

/// Holds rules to tools.
pub(crate) struct Fitting<'a> {
    rules: &'a Rules,
    named: BTreeSet<String>,
    known: HashMap<(usize, ArgumentType, bool), Fit>,
}

impl<'a> Fitting<'a> {
    pub(crate) fn new(rules: &'a Rules) -> Self {
        let named = rules::named(rules.all().iter().filter(|rule| rule.reads_arguments()));
        Self { rules, named, known: HashMap::new() }
    }

    /// Holds one rule, by its number, to a tool whose arguments have this type.
    pub(crate) fn hold(&mut self, number: usize, tool: &ToolFacts, typed: &ArgumentType) -> Result<Fit, RulesError> {
        let Some(rule) = self.rules.all().get(number) else { return Ok(Fit::Never) };
        let pruned = typed.pruned(&rule.context, &["arguments"]);
        let name = tool.id.to_string();
        // A rule that names tools is validated in the schema of each by its name; any other sees only one call.
        let by_name = rule.named_tools().any(|named| *named == name);
        let key = (number, pruned, by_name);
        if let Some(known) = self.known.get(&key) {
            return Ok(known.clone());
        }
        let schema = self.rules.schemas().with_arguments(&name, &key.1, &self.named)?;
        let result = rules::validated(&schema, std::iter::once(rule))?;
        let never = |warning: &ValidationWarning| {
            matches!(warning, ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_))
        };
        let fit = if result.validation_errors().next().is_some() {
            if let Some(at) = key.1.opaque_read(&rule.context, &["arguments"]) {
                Fit::Opaque(at)
            } else {
                let problems = rules::complaints(&result, std::slice::from_ref(rule), self.rules.policies());
                Fit::Wrong(problems.into_iter().map(|problem| about(problem, &name)).collect())
            }
        } else if result.validation_warnings().any(|warning| !never(warning)) {
            Fit::Wrong(rules::complaints(&result, std::slice::from_ref(rule), self.rules.policies()))
        } else if result.validation_warnings().next().is_some() {
            Fit::Never
        } else {
            Fit::Fits
        };
        self.known.insert(key, fit.clone());
        Ok(fit)
    }
}

/// Says which tool does not fit, and how a rule over several tools is written.
fn about(mut problem: RuleProblem, tool: &str) -> RuleProblem {
    problem.message = format!("{} (in a call of `{tool}`)", problem.message);
    let remedy = "ask first whether the argument is there: `context has arguments.NAME && context.arguments.NAME == …`, or \
                  name the tools that have it: `action in [Action::\"server/tool\"]`";
    problem.with_remedy(remedy)
}
