//! The rule set: Cedar policies with their schema, validated strictly, each under the id it declares. A rule set that does
//! not validate, or whose rules cannot be told apart, never judges.

use std::collections::BTreeSet;

use ambit_model::Digest;
use cedar_policy::{Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};

use crate::rule::Rule;

pub(crate) const PLATFORM_SCHEMA: &str = include_str!("platform.cedarschema");
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
    pub(crate) const ARGUMENTS: &str = "guard.argument-constraints";
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
}

/// A validated rule set.
pub(crate) struct Rules {
    all: Vec<Rule>,
    digest: Digest,
    names_tools: bool,
    #[cfg(test)]
    pub(crate) schema: Schema,
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
    /// The platform's permit family and guards.
    // The organisation's `forbid` rules join here: their text and schema are appended, validated in the same pass and
    // covered by the same digest.
    pub(crate) fn platform() -> Result<Self, RulesError> {
        Self::load(PLATFORM_SCHEMA, PLATFORM_POLICIES)
    }

    pub(crate) fn load(schema_text: &str, policy_text: &str) -> Result<Self, RulesError> {
        let (schema, warnings) =
            Schema::from_cedarschema_str(schema_text).map_err(|error| RulesError::Schema(error.to_string()))?;
        if let Some(warning) = { warnings }.next() {
            return Err(RulesError::Schema(warning.to_string()));
        }
        let policies = named(policy_text)?;
        let verdict = Validator::new(schema.clone()).validate(&policies, ValidationMode::Strict);
        // A warning is a rule that can never match, or text made to be misread: neither has a place in a rule set.
        let mut complaints = verdict.validation_errors().map(ToString::to_string).collect::<Vec<_>>();
        complaints.extend(verdict.validation_warnings().map(ToString::to_string));
        if !complaints.is_empty() {
            return Err(RulesError::Invalid(complaints.join("; ")));
        }
        let all: Vec<Rule> = policies.policies().cloned().map(Rule::new).collect();
        Ok(Self {
            names_tools: all.iter().any(|rule| !rule.is_per_call() && rule.names_a_tool()),
            all,
            digest: Digest::of_parts([policy_text.as_bytes(), schema_text.as_bytes()]),
            #[cfg(test)]
            schema,
        })
    }

    /// Every rule.
    pub(crate) fn all(&self) -> &[Rule] {
        &self.all
    }

    /// The digest of policies and schema. Grants are not part of it.
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether a standing rule names a single tool. If none does, tools that differ in nothing but their id are judged alike: no
    /// fact holds a tool, so there is nothing else the id could be compared with.
    pub(crate) fn names_tools(&self) -> bool {
        self.names_tools
    }
}

fn named(text: &str) -> Result<PolicySet, RulesError> {
    let parsed: PolicySet = text.parse().map_err(|error| RulesError::Syntax(format!("{error}")))?;
    let mut seen = BTreeSet::new();
    let mut policies = Vec::new();
    for policy in parsed.policies() {
        let name = own_id(policy)?;
        if !seen.insert(name.clone()) {
            return Err(RulesError::DuplicateId(name));
        }
        policies.push(policy.new_id(PolicyId::new(name)));
    }
    if parsed.templates().next().is_some() {
        return Err(RulesError::Syntax("a template decides nothing by itself: write a policy".to_owned()));
    }
    PolicySet::from_policies(policies).map_err(|error| RulesError::Syntax(error.to_string()))
}

fn own_id(policy: &Policy) -> Result<String, RulesError> {
    match policy.annotation("id") {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        Some(_) | None => Err(RulesError::Unnamed(policy.id().to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platform_rules_stand_and_carry_their_ids() {
        let rules = Rules::platform().unwrap();
        let mut ids: Vec<_> = rules.all.iter().map(|rule| rule.policy.id().to_string()).collect();
        ids.sort();
        let mut expected = vec![
            "entitled",
            id::ENDPOINT,
            id::PENDING,
            id::SERVER_EXPIRED,
            id::AGENT_EXPIRED,
            id::CLIENT_CEILING,
            id::NEEDS_REVEAL,
            id::OPERATOR_DESTRUCTIVE,
            id::TOKEN_SCOPE,
            id::NEEDS_APPROVAL,
        ];
        expected.sort_unstable();
        assert_eq!(ids, expected);
    }

    #[test]
    fn rules_that_tell_list_from_call_are_recognised() {
        let one = |rules: &Rules| {
            rules.all().iter().filter(|rule| !rule.is_per_call()).all(|rule| !rule.tells_actions_apart())
        };
        assert!(one(&Rules::platform().unwrap()));
        for (scope, condition, one_answer) in [
            ("action", "resource.accepted", true),
            ("action in [Action::\"call\", Action::\"list\"]", "resource.accepted", true),
            ("action in [Action::\"call\"]", "resource.accepted", false),
            ("action == Action::\"list\"", "resource.accepted", false),
            ("action", "resource.accepted && action == Action::\"call\"", false),
            ("action", "[action].contains(Action::\"call\")", false),
            ("action", "if action in Action::\"call\" then resource.accepted else principal.operator", false),
        ] {
            let policy = format!("@id(\"a\") forbid (principal, {scope}, resource) when {{ {condition} }};");
            let rules = Rules::load(PLATFORM_SCHEMA, &policy).unwrap();
            assert_eq!(one(&rules), one_answer, "{policy}");
        }
    }

    #[test]
    fn rules_that_name_a_tool_are_recognised() {
        assert!(!Rules::platform().unwrap().names_tools());
        for (scope, condition, names) in [
            ("resource is Tool", "resource.accepted", false),
            ("resource", "resource.server == Server::\"mux\"", false),
            ("resource", "resource == Tool::\"mux/a\"", true),
            ("resource == Tool::\"mux/a\"", "resource.accepted", true),
            ("resource", "[Tool::\"mux/a\", Tool::\"mux/b\"].contains(resource)", true),
            ("resource", "resource in [Tool::\"mux/a\"]", true),
            ("resource in Tool::\"mux/a\"", "resource.accepted", true),
        ] {
            let policy = format!("@id(\"a\") forbid (principal, action, {scope}) when {{ {condition} }};");
            let rules = Rules::load(PLATFORM_SCHEMA, &policy).unwrap();
            assert_eq!(rules.names_tools(), names, "{policy}");
        }
    }

    #[test]
    fn the_digest_covers_policies_and_schema() {
        let base = Rules::platform().unwrap().digest();
        let changed_policy = format!("{PLATFORM_POLICIES}// one more line\n");
        assert_ne!(Rules::load(PLATFORM_SCHEMA, &changed_policy).unwrap().digest(), base);
        let changed_schema = format!("{PLATFORM_SCHEMA}// one more line\n");
        assert_ne!(Rules::load(&changed_schema, PLATFORM_POLICIES).unwrap().digest(), base);
    }

    #[test]
    fn rules_that_cannot_be_told_apart_or_do_not_fit_are_refused() {
        let head = "(principal is Caller, action == Action::\"list\", resource is Tool)";
        let cases = [
            (format!("forbid {head};"), "has no `@id`"),
            (format!("@id(\"\") forbid {head};"), "has no `@id`"),
            (format!("@id(\"a\") forbid {head}; @id(\"a\") forbid {head};"), "two policies have the `@id` `a`"),
            (format!("@id(\"a\") forbid {head} when {{ resource.colour == 1 }};"), "do not fit the schema"),
            (format!("@id(\"a\") forbid {head} when {{ principal.user.holds.isEmpty() }};"), "do not fit the schema"),
            (format!("@id(\"a\") forbid {head} when {{ false }};"), "do not fit the schema"),
            ("@id(\"a\") forbid (principal == ?principal, action, resource);".to_owned(), "template"),
            ("nonsense".to_owned(), "cannot be read"),
        ];
        for (policies, complaint) in cases {
            let error = Rules::load(PLATFORM_SCHEMA, &policies).err().unwrap().to_string();
            assert!(error.contains(complaint), "{policies}: {error}");
        }
        assert!(matches!(Rules::load("entity {", PLATFORM_POLICIES), Err(RulesError::Schema(_))));
    }
}
