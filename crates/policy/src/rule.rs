//! One rule and what can be said of it without evaluating it: which questions it answers, what it reads, and which tools it
//! cannot concern. Where a rule cannot be seen through, it concerns everything.

use cedar_policy::{ActionConstraint, EntityUid, Policy, ResourceConstraint};
use serde_json::Value;

use crate::{
    facts::{ServerFacts, ToolFacts},
    reads::{Reads, path_of},
};

/// A rule, taken apart once.
pub(crate) struct Rule {
    pub(crate) policy: Policy,
    /// What it reads of the call. A rule that reads nothing of it belongs to the standing half.
    pub(crate) context: Reads,
    /// Whether it may say something else to `list` than to `call`, beyond being asked about one of them only.
    compares_actions: bool,
    compares_tools: bool,
    requirements: Vec<Requirement>,
}

/// A comparison without which the rule does not apply.
struct Requirement {
    /// The attribute of the tool.
    path: Vec<String>,
    /// What it has to be.
    value: Value,
}

impl Rule {
    pub(crate) fn new(policy: Policy) -> Self {
        match policy.to_json() {
            Ok(json) => {
                let conditions = json.get("conditions").cloned().unwrap_or_default();
                Self {
                    context: Reads::of(&conditions, "context"),
                    compares_actions: !Reads::of(&conditions, "action").is_empty(),
                    compares_tools: json.to_string().contains(r#""type":"Tool""#),
                    requirements: requirements(&conditions),
                    policy,
                }
            }
            Err(_) => Self {
                context: Reads::everything(),
                compares_actions: true,
                compares_tools: true,
                requirements: Vec::new(),
                policy,
            },
        }
    }

    /// Whether it is asked with every call instead of being remembered.
    pub(crate) fn is_per_call(&self) -> bool {
        !self.context.is_empty()
    }

    /// Whether it answers to this action: `list` or `call`.
    pub(crate) fn answers(&self, action: &str) -> bool {
        match self.policy.action_constraint() {
            ActionConstraint::Any => true,
            ActionConstraint::In(actions) => actions.iter().any(|named| named.id().unescaped() == action),
            ActionConstraint::Eq(named) => named.id().unescaped() == action,
        }
    }

    /// Whether it may say something else to `list` than to `call`. In doubt it does.
    pub(crate) fn tells_actions_apart(&self) -> bool {
        self.compares_actions || !(self.answers("list") && self.answers("call"))
    }

    /// Whether it names a single tool. In doubt it does.
    pub(crate) fn names_a_tool(&self) -> bool {
        self.compares_tools
    }

    /// Whether it can apply to a tool at all. In doubt it can.
    pub(crate) fn may_concern(&self, tool: &ToolFacts, server: &ServerFacts) -> bool {
        let in_scope = match self.policy.resource_constraint() {
            ResourceConstraint::Eq(named) => is_tool(&named, tool),
            ResourceConstraint::Any
            | ResourceConstraint::In(_)
            | ResourceConstraint::Is(_)
            | ResourceConstraint::IsIn(_, _) => true,
        };
        in_scope && self.requirements.iter().all(|requirement| requirement.may_hold(tool, server))
    }
}

fn is_tool(named: &EntityUid, tool: &ToolFacts) -> bool {
    named.id().unescaped() == tool.id.to_string()
}

impl Requirement {
    fn may_hold(&self, tool: &ToolFacts, server: &ServerFacts) -> bool {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let text = |fact: &str| self.value.as_str().is_none_or(|wanted| wanted == fact);
        let entity = |id: &str| {
            let named = self.value.pointer("/__entity/id").and_then(Value::as_str);
            named.is_none_or(|named| named == id)
        };
        match path.as_slice() {
            [] => entity(&tool.id.to_string()),
            ["effect"] => text(tool.effect.as_str()),
            ["server"] => entity(server.slug.as_str()),
            ["server", "environment"] => text(&server.environment),
            ["server", "data_class"] => text(&server.data_class),
            ["server", "owner"] => text(&server.owner),
            _ => true,
        }
    }
}

/// The comparisons that stand as they are in a `when`, joined by nothing but `&&`.
fn requirements(conditions: &Value) -> Vec<Requirement> {
    let whens = conditions.as_array().into_iter().flatten();
    let whens = whens.filter(|condition| condition.get("kind").and_then(Value::as_str) == Some("when"));
    let mut found = Vec::new();
    for when in whens {
        collect(when.get("body").unwrap_or(&Value::Null), &mut found);
    }
    found
}

fn collect(expression: &Value, found: &mut Vec<Requirement>) {
    if let Some(both) = expression.get("&&") {
        for side in ["left", "right"] {
            collect(both.get(side).unwrap_or(&Value::Null), found);
        }
        return;
    }
    let Some(comparison) = expression.get("==") else { return };
    let sides = (comparison.get("left"), comparison.get("right"));
    let (Some(left), Some(right)) = sides else { return };
    for (fact, value) in [(left, right), (right, left)] {
        if let (Some(path), Some(value)) = (path_of(fact, "resource"), value.get("Value")) {
            found.push(Requirement { path, value: value.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use ambit_model::{
        Digest, Effect,
        ids::{ServerSlug, ToolId},
        tool::Acceptance,
    };

    use super::*;

    fn rule(scope: &str, conditions: &str) -> Rule {
        Rule::new(Policy::parse(None, format!("forbid (principal, {scope}) {conditions};")).unwrap())
    }

    fn tool() -> (ToolFacts, ServerFacts) {
        let facts = ToolFacts {
            id: ToolId::parse("mux/get").unwrap(),
            definition: Digest::of(b"d"),
            effect: Effect::Read,
            acceptance: Acceptance::Accepted,
            labels: Vec::new(),
            approval_waived_until: None,
            input_schema: None,
        };
        let server = ServerFacts {
            slug: ServerSlug::parse("mux").unwrap(),
            environment: "production".into(),
            data_class: "internal".into(),
            owner: "team".into(),
            expires_at: 1,
        };
        (facts, server)
    }

    #[test]
    fn a_rule_that_cannot_apply_to_a_tool_is_recognised() {
        let (tool, server) = tool();
        for (scope, conditions, may) in [
            ("action, resource", "", true),
            ("action, resource == Tool::\"mux/get\"", "", true),
            ("action, resource == Tool::\"mux/put\"", "", false),
            ("action, resource", "when { resource.effect == \"destructive\" }", false),
            ("action, resource", "when { \"read\" == resource.effect && context.approved }", true),
            ("action, resource", "when { resource.accepted } when { resource.effect == \"write\" }", false),
            ("action, resource", "when { resource.effect == \"write\" || resource.accepted }", true),
            ("action, resource", "unless { resource.effect == \"write\" }", true),
            ("action, resource", "when { !(resource.effect == \"write\") }", true),
            ("action, resource", "when { resource.server == Server::\"github\" && resource.accepted }", false),
            ("action, resource", "when { resource.server.environment == \"staging\" }", false),
            ("action, resource", "when { resource.server.environment == \"production\" }", true),
            ("action, resource", "when { resource.server.data_class == \"public\" }", false),
            ("action, resource", "when { resource.server.owner == \"other\" }", false),
            ("action, resource", "when { resource == Tool::\"mux/put\" }", false),
            ("action, resource", "when { resource.effect == principal.wish }", true),
        ] {
            assert_eq!(rule(scope, conditions).may_concern(&tool, &server), may, "{scope} {conditions}");
        }
    }

    #[test]
    fn what_reads_the_call_is_per_call() {
        assert!(!rule("action, resource", "when { resource.accepted }").is_per_call());
        assert!(rule("action, resource", "unless { context.approved }").is_per_call());
    }
}
