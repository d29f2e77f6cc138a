//! The rule set: the platform's rules and the organisation's, validated strictly, each under the id it declares. A rule set
//! that does not validate, or whose rules cannot be told apart, never judges.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ambit_model::Digest;
use cedar_policy::{Policy, PolicyId, PolicySet, Schema, ValidationMode, ValidationResult, Validator};
use miette::Diagnostic;

use crate::{
    organisation::{self, MAX_BYTES, Policies},
    problem::RuleProblem,
    rule::Rule,
    schema::{PLATFORM_SCHEMA, Schemas},
};

pub(crate) const PLATFORM_POLICIES: &str = include_str!("platform.cedar");

/// The ids of the platform's rules, as they stand in trails and explanations.
pub(crate) mod id {
    pub(crate) const ENDPOINT: &str = "guard.endpoint";
    pub(crate) const PENDING: &str = "guard.pending";
    pub(crate) const SERVER_EXPIRED: &str = "guard.server-expired";
    pub(crate) const AGENT_EXPIRED: &str = "guard.agent-expired";
    pub(crate) const CLIENT_CEILING: &str = "guard.client-ceiling";
    pub(crate) const NEEDS_REVEAL: &str = "guard.destructive-needs-reveal";
    pub(crate) const OPERATOR_DESTRUCTIVE: &str = "guard.operator-destructive";
    pub(crate) const TOKEN_SCOPE: &str = "guard.token-scope";
    /// No rule of the set: the grants themselves leave nothing to call.
    pub const ARGUMENTS: &str = "guard.argument-constraints";
    pub(crate) const FLOW: &str = "guard.flow";
    pub(crate) const NEEDS_APPROVAL: &str = "guard.destructive-needs-approval";
}

/// Why a rule set does not stand.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The schema is not one.
    #[error("the schema cannot be read: {0}")]
    Schema(String),
    /// The policies are not Cedar.
    #[error("the policies cannot be read: {0}")]
    Syntax(String),
    /// A policy without a name of its own.
    #[error("policy `{0}` has no `@id`: give it one, so that decisions can name it")]
    Unnamed(String),
    /// Two policies of one name.
    #[error("two policies have the `@id` `{0}`: give each its own")]
    DuplicateId(String),
    /// The policies do not fit the schema.
    #[error("the policies do not fit the schema: {0}")]
    Invalid(String),
    /// The organisation's rules are more than is read.
    #[error("the policies have {0} bytes: at most {MAX_BYTES} are read")]
    TooLarge(usize),
    /// The organisation's rules have problems.
    #[error("{}", told(.0))]
    Organisation(Vec<RuleProblem>),
}

fn told(problems: &[RuleProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Reads rules and holds them to everything that needs no tool.
///
/// # Errors
/// [`RulesError`] with every problem.
pub fn check(policies: &Arc<Policies>) -> Result<(), RulesError> {
    if policies.is_empty() { Ok(()) } else { Rules::load(Arc::clone(policies)).map(drop) }
}

/// A validated rule set.
pub(crate) struct Rules {
    all: Vec<Rule>,
    policies: Arc<Policies>,
    schemas: Schemas,
    digest: Digest,
    names_tools: bool,
}

/// What the rules say to one request.
pub(crate) struct Ruling {
    pub(crate) allowed: bool,
    /// The deciding policies, sorted; empty when nothing permits.
    pub(crate) policies: Vec<String>,
    /// A rule could not be evaluated. Then `allowed` is false, whatever the others say.
    pub(crate) failed: bool,
}

impl Rules {
    /// The platform's permit family and guards, and nothing else.
    #[cfg(test)]
    pub(crate) fn platform() -> Result<Self, RulesError> {
        Self::load(Arc::default())
    }

    /// The platform's rules and the organisation's.
    pub(crate) fn load(policies: Arc<Policies>) -> Result<Self, RulesError> {
        Self::build(PLATFORM_POLICIES, policies)
    }

    pub(crate) fn build(platform: &str, policies: Arc<Policies>) -> Result<Self, RulesError> {
        let bytes = policies.files().iter().map(|file| file.text.len()).sum();
        if bytes > MAX_BYTES {
            return Err(RulesError::TooLarge(bytes));
        }
        let schemas = Schemas::platform()?;
        let mut all = of_platform(platform, &schemas)?;
        let own = policies.read().map_err(RulesError::Organisation)?;
        // A rule that reads arguments is held to the schema of each tool it concerns, when rules are cut.
        let plain: Vec<&Rule> = own.iter().filter(|rule| !rule.reads_arguments()).collect();
        let schema = schemas.without_arguments(&named(plain.iter().copied()))?;
        let problems = complaints(&validated(&schema, plain.iter().copied())?, &own, &policies);
        if !problems.is_empty() {
            return Err(RulesError::Organisation(problems));
        }
        all.extend(own);
        let mut parts = vec![platform.as_bytes(), PLATFORM_SCHEMA.as_bytes()];
        if !policies.is_empty() {
            parts.extend(policies.parts());
        }
        let digest = Digest::of_parts(parts);
        let names_tools = all.iter().any(|rule| !rule.is_per_call() && rule.names_a_tool());
        Ok(Self { all, policies, schemas, digest, names_tools })
    }

    /// Every rule.
    pub(crate) fn all(&self) -> &[Rule] {
        &self.all
    }

    /// The rule of an id.
    pub(crate) fn find(&self, id: &str) -> Option<&Rule> {
        self.all.iter().find(|rule| rule.id() == id)
    }

    /// The organisation's rules as they were written.
    pub(crate) fn policies(&self) -> &Arc<Policies> {
        &self.policies
    }

    pub(crate) fn schemas(&self) -> &Schemas {
        &self.schemas
    }

    /// The digest of policies and schema. Grants are not part of it.
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether a standing rule names a single tool. If none does, tools that differ in nothing but their id are judged
    /// alike: no fact holds a tool, so there is nothing else the id could be compared with.
    pub(crate) fn names_tools(&self) -> bool {
        self.names_tools
    }

    /// A problem of a text of a rule, or of the rule as a whole where the text is not found.
    pub(crate) fn problem_at(&self, rule: &Rule, text: &str, message: &str, remedy: &str) -> Option<RuleProblem> {
        let written = rule.written?;
        let source = self.policies.source(written.file)?;
        let statement = source.text.get(written.start..written.start + written.length)?;
        let Some(at) = organisation::find(statement, text) else { return self.problem(rule, message, remedy) };
        let problem = source.problem(written.start + at.start..written.start + at.end, message, Some(remedy));
        Some(problem.of(rule.id()))
    }

    /// A problem of one rule as a whole.
    pub(crate) fn problem(&self, rule: &Rule, message: impl Into<String>, remedy: &str) -> Option<RuleProblem> {
        let written = rule.written?;
        let source = self.policies.source(written.file)?;
        let at = written.start..written.start + written.length;
        Some(source.problem(at, message, Some(remedy)).of(rule.id()))
    }
}

/// The tools that rules name.
pub(crate) fn named<'a>(rules: impl Iterator<Item = &'a Rule>) -> BTreeSet<String> {
    rules.flat_map(Rule::named_tools).cloned().collect()
}

/// Rules as they were written, held to a schema.
pub(crate) fn validated<'a>(
    schema: &Schema,
    rules: impl Iterator<Item = &'a Rule>,
) -> Result<ValidationResult, RulesError> {
    let policies = PolicySet::from_policies(rules.map(|rule| rule.as_written.clone()))
        .map_err(|error| RulesError::Syntax(error.to_string()))?;
    Ok(Validator::new(schema.clone()).validate(&policies, ValidationMode::Strict))
}

/// What the validator complains about, at the places where it was written. A warning is a rule that can never match, or text
/// made to be misread: neither has a place in a rule set.
pub(crate) fn complaints(result: &ValidationResult, rules: &[Rule], policies: &Policies) -> Vec<RuleProblem> {
    let by_id: BTreeMap<&str, &Rule> = rules.iter().map(|rule| (rule.id(), rule)).collect();
    let place = |id: &PolicyId, complaint: &dyn Diagnostic| {
        let id: &str = id.as_ref();
        let written = by_id.get(id)?.written?;
        let mut problem = policies.source(written.file)?.complaint(written.start, written.length, complaint);
        let prefix = format!("for policy `{id}`, ");
        if let Some(short) = problem.message.strip_prefix(&prefix).map(ToOwned::to_owned) {
            problem.message = short;
        }
        Some(problem.of(id))
    };
    let errors = result.validation_errors().filter_map(|error| place(error.policy_id(), error));
    let warnings = result.validation_warnings().filter_map(|warning| place(warning.policy_id(), warning));
    let mut problems: Vec<_> = errors.chain(warnings).collect();
    problems.sort();
    problems.dedup();
    problems
}

fn of_platform(text: &str, schemas: &Schemas) -> Result<Vec<Rule>, RulesError> {
    let parsed: PolicySet = text.parse().map_err(|error| RulesError::Syntax(format!("{error}")))?;
    let mut seen = BTreeSet::new();
    let mut rules = Vec::new();
    for policy in parsed.policies() {
        let name = own_id(policy)?;
        if !seen.insert(name.clone()) {
            return Err(RulesError::DuplicateId(name));
        }
        rules.push(Rule::new(policy.new_id(PolicyId::new(name))));
    }
    if parsed.templates().next().is_some() {
        return Err(RulesError::Syntax("a template decides nothing by itself: write a policy".to_owned()));
    }
    let verdict = validated(&schemas.without_arguments(&BTreeSet::new())?, rules.iter())?;
    let mut complaints = verdict.validation_errors().map(ToString::to_string).collect::<Vec<_>>();
    complaints.extend(verdict.validation_warnings().map(ToString::to_string));
    if complaints.is_empty() { Ok(rules) } else { Err(RulesError::Invalid(complaints.join("; "))) }
}

fn own_id(policy: &Policy) -> Result<String, RulesError> {
    match policy.annotation("id") {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        Some(_) | None => Err(RulesError::Unnamed(policy.id().to_string())),
    }
}

#[cfg(test)]
mod tests;
