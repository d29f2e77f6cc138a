//! One rule and what can be said of it without evaluating it: which questions it answers, what it reads, and which tools it
//! cannot concern. Where a rule cannot be seen through, it concerns everything.

use std::collections::BTreeSet;

use cedar_policy::{ActionConstraint, EntityUid, Policy, ResourceConstraint};
use serde_json::{Value, json};

use crate::{
    facts::{ServerFacts, ToolFacts},
    never::{self, Never},
    organisation::Written,
    reads::{Reads, path_of},
};

/// A rule, taken apart once.
pub(crate) struct Rule {
    /// What is evaluated.
    pub(crate) policy: Policy,
    /// What is held to the schema, which is what was written.
    pub(crate) as_written: Policy,
    /// Where; the platform's rules have no place.
    pub(crate) written: Option<Written>,
    /// What it reads of the call. A rule that reads nothing of it belongs to the standing half.
    pub(crate) context: Reads,
    /// What it reads of the caller.
    pub(crate) principal: Reads,
    asked: Asked,
    reported: bool,
    compares_actions: bool,
    compares_tools: bool,
    requirements: Vec<Requirement>,
    /// Why it can be seen to match never.
    never: Option<Never>,
}

/// The questions a rule answers.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Asked {
    list: bool,
    call: Calls,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Calls {
    All,
    /// Only of these tools.
    Of(BTreeSet<String>),
}

/// A comparison without which the rule does not apply.
struct Requirement {
    /// The attribute of the tool.
    path: Vec<String>,
    /// What it has to be.
    value: Value,
    /// Whether the attribute is a set that has to hold it.
    is_held: bool,
}

impl Rule {
    /// A rule of the platform.
    pub(crate) fn new(policy: Policy) -> Self {
        let json = policy.to_json().ok();
        let asked = asked(&policy);
        let reported = policy.annotation("mode") == Some("report");
        let known = json.as_ref().and_then(|json| json.get("conditions"));
        let reads = |variable| known.map_or_else(Reads::everything, |conditions| Reads::of(conditions, variable));
        let principal = reads("principal");
        let names = known.is_none_or(|conditions| Reads::of(conditions, "resource").touches_exactly("name"));
        Self {
            context: reads("context"),
            compares_actions: !reads("action").is_empty(),
            compares_tools: names || json.as_ref().is_none_or(|json| json.to_string().contains(r#""type":"Tool""#)),
            requirements: known.map_or_else(Vec::new, requirements),
            never: known.and_then(never::seen_in),
            as_written: policy.clone(),
            written: None,
            principal,
            asked,
            reported,
            policy,
        }
    }

    /// A rule of the organisation.
    pub(crate) fn of_organisation(policy: Policy, written: Written) -> Self {
        let mut rule = Self { written: Some(written), ..Self::new(policy) };
        // Which actions are meant is decided when rules are cut per tool: a call is asked about as `call`, whatever the tool.
        let any = rule.as_written.to_json().ok().and_then(|mut json| {
            *json.get_mut("action")? = json!({ "op": "All" });
            Policy::from_json(Some(rule.as_written.id().clone()), json).ok()
        });
        match any {
            Some(policy) => rule.policy = policy,
            // Cannot be asked about a single tool then; asked about everything it may only take away more.
            None => rule.asked = Asked { list: rule.asked.list, call: Calls::All },
        }
        rule
    }

    pub(crate) fn id(&self) -> &str {
        self.policy.id().as_ref()
    }

    /// What callers are told when it decides.
    pub(crate) fn message(&self) -> Option<&str> {
        self.as_written.annotation("message").filter(|message| !message.is_empty())
    }

    /// Whether it is only recorded.
    pub(crate) fn is_reported(&self) -> bool {
        self.reported
    }

    /// Whether it is asked with every call instead of being remembered.
    pub(crate) fn is_per_call(&self) -> bool {
        !self.context.is_empty()
    }

    pub(crate) fn reads_arguments(&self) -> bool {
        self.context.touches(&["arguments"])
    }

    /// Whether its conditions read the action.
    pub(crate) fn compares_actions(&self) -> bool {
        self.compares_actions
    }

    /// Why it can be seen to match never.
    pub(crate) fn never(&self) -> Option<&Never> {
        self.never.as_ref()
    }

    /// Whether it is asked about lists.
    pub(crate) fn answers_list(&self) -> bool {
        self.asked.list
    }

    /// Whether it is asked about calls of a tool.
    pub(crate) fn answers_call(&self, tool: &str) -> bool {
        match &self.asked.call {
            Calls::All => true,
            Calls::Of(tools) => tools.contains(tool),
        }
    }

    /// Whether it is asked about calls at all.
    pub(crate) fn is_asked_about_calls(&self) -> bool {
        match &self.asked.call {
            Calls::All => true,
            Calls::Of(tools) => !tools.is_empty(),
        }
    }

    /// The tools whose calls alone it is asked about.
    pub(crate) fn named_tools(&self) -> impl Iterator<Item = &String> {
        let named = match &self.asked.call {
            Calls::All => None,
            Calls::Of(tools) => Some(tools.iter()),
        };
        named.into_iter().flatten()
    }

    /// Whether it may say something else to `list` than to `call`. In doubt it does.
    pub(crate) fn tells_actions_apart(&self) -> bool {
        self.compares_actions || !(self.asked.list && self.asked.call == Calls::All)
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
        let asked = self.asked.list || self.answers_call(&tool.id.to_string());
        in_scope && asked && self.requirements.iter().all(|requirement| requirement.may_hold(tool, server))
    }
}

fn asked(policy: &Policy) -> Asked {
    let named = match policy.action_constraint() {
        ActionConstraint::Any => return Asked { list: true, call: Calls::All },
        ActionConstraint::In(actions) => actions,
        ActionConstraint::Eq(action) => vec![action],
    };
    let actions: BTreeSet<String> = named.iter().map(|action| action.id().unescaped().to_owned()).collect();
    let list = actions.contains("list");
    if actions.contains("call") {
        return Asked { list, call: Calls::All };
    }
    Asked { list, call: Calls::Of(actions.into_iter().filter(|action| action != "list").collect()) }
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
        if self.is_held {
            let wanted = self.value.as_str();
            return path != ["labels"] || wanted.is_none_or(|wanted| tool.labels.iter().any(|label| label == wanted));
        }
        match path.as_slice() {
            [] => entity(&tool.id.to_string()),
            ["effect"] => text(tool.effect.as_str()),
            ["name"] => text(&tool.id.to_string()),
            ["server"] => entity(server.slug.as_str()),
            ["server", "slug"] => text(server.slug.as_str()),
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
    if let Some(held) = expression.get("contains") {
        let value = held.get("right").and_then(|right| right.get("Value"));
        if let (Some(path), Some(value)) = (held.get("left").and_then(|set| path_of(set, "resource")), value) {
            found.push(Requirement { path, value: value.clone(), is_held: true });
        }
        return;
    }
    let Some(comparison) = expression.get("==") else { return };
    let sides = (comparison.get("left"), comparison.get("right"));
    let (Some(left), Some(right)) = sides else { return };
    for (fact, value) in [(left, right), (right, left)] {
        if let (Some(path), Some(value)) = (path_of(fact, "resource"), value.get("Value")) {
            found.push(Requirement { path, value: value.clone(), is_held: false });
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
            labels: vec!["private_data".to_owned()],
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
            ("action, resource", "when { resource.labels.contains(\"public_sink\") }", false),
            ("action, resource", "when { resource.labels.contains(\"private_data\") }", true),
            ("action, resource", "when { !resource.labels.contains(\"public_sink\") }", true),
            ("action, resource", "when { resource.toolsets.contains(Toolset::\"x\") }", true),
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
