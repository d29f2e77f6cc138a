//! Properties over random rules of the organisation and random entities: what is remembered is what would be decided anew, a
//! rule decides what its words mean, and a rule that cannot be evaluated only denies.

use std::sync::Arc;

use ambit_model::{
    Effect, Outcome,
    caller::{CallerFacts, UserFacts},
};
use ambit_policy::{BuildError, Judge, JudgeInput, Policies, PolicyFile, RulesError, ToolFacts, ToolIndex};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::properties::{ENDPOINT, caller, judge_of, tools, world};

/// A fact that a rule asks for: in Cedar, and in Rust.
type Atom = (&'static str, fn(&CallerFacts, &ToolFacts) -> bool);

const ATOMS: [Atom; 20] = [
    ("resource.effect == \"read\"", |_, tool| tool.effect == Effect::Read),
    ("\"write\" == resource.effect", |_, tool| tool.effect == Effect::Write),
    ("resource.effect != \"destructive\"", |_, tool| tool.effect != Effect::Destructive),
    ("[\"read\", \"write\"].contains(resource.effect)", |_, tool| tool.effect != Effect::Destructive),
    ("resource.accepted", |_, tool| tool.acceptance == ambit_model::tool::Acceptance::Accepted),
    ("resource.labels.contains(\"private_data\")", |_, tool| tool.labels.iter().any(|label| label == "private_data")),
    ("resource.name == \"a/get\"", |_, tool| tool.id.to_string() == "a/get"),
    ("resource.name like \"*/get*\"", |_, tool| tool.id.tool.as_str().starts_with("get")),
    ("resource == Tool::\"b/put\"", |_, tool| tool.id.to_string() == "b/put"),
    ("resource.server.slug == \"a\"", |_, tool| tool.id.server.as_str() == "a"),
    ("resource.server == Server::\"b\"", |_, tool| tool.id.server.as_str() == "b"),
    ("principal.operator", |caller, _| caller.operator.is_some()),
    ("principal.client.id == \"laptop\"", |caller, _| caller.client.id.as_str() == "laptop"),
    ("principal.client.assurance == \"dynamic\"", |caller, _| caller.client.assurance.as_str() == "dynamic"),
    ("principal has user", |caller, _| caller.user().is_some()),
    ("(principal has user && principal.user.key == \"local:alice\")", |caller, _| {
        user(caller, |user| user.key.to_string() == "local:alice")
    }),
    ("(principal has user && principal.user.groups.contains(\"staff\"))", |caller, _| {
        user(caller, |user| user.groups.iter().any(|group| group.as_str() == "staff"))
    }),
    ("(principal has agent && principal.agent.id == \"bot\")", |caller, _| {
        caller.agent().is_some_and(|agent| agent.id.as_str() == "bot")
    }),
    ("(principal has agent && principal.agent.owner == \"local:alice\")", |caller, _| {
        caller.agent().is_some_and(|agent| agent.owner.to_string() == "local:alice")
    }),
    ("(principal.hasTag(\"org_id\") && principal.getTag(\"org_id\").contains(\"acme\"))", |caller, _| {
        user(caller, |user| user.claims.get("org_id").is_some_and(|claim| claim == "acme"))
    }),
];

/// What no value comes of.
const BREAKS: &str = "9223372036854775807 + 1 == 0";

fn user(caller: &CallerFacts, holds: impl FnOnce(&UserFacts) -> bool) -> bool {
    caller.user().is_some_and(holds)
}

#[derive(Clone, Debug)]
enum Condition {
    Atom(usize),
    Breaks,
    Not(Box<Condition>),
    Both(Box<Condition>, Box<Condition>),
    Either(Box<Condition>, Box<Condition>),
}

impl Condition {
    fn text(&self) -> String {
        match self {
            Self::Atom(number) => ATOMS[*number].0.to_owned(),
            Self::Breaks => BREAKS.to_owned(),
            Self::Not(inner) => format!("!({})", inner.text()),
            Self::Both(left, right) => format!("({}) && ({})", left.text(), right.text()),
            Self::Either(left, right) => format!("({}) || ({})", left.text(), right.text()),
        }
    }

    /// Never asked of one that breaks.
    fn holds(&self, caller: &CallerFacts, tool: &ToolFacts) -> bool {
        match self {
            Self::Atom(number) => ATOMS[*number].1(caller, tool),
            Self::Breaks => panic!("it has no value"),
            Self::Not(inner) => !inner.holds(caller, tool),
            Self::Both(left, right) => left.holds(caller, tool) && right.holds(caller, tool),
            Self::Either(left, right) => left.holds(caller, tool) || right.holds(caller, tool),
        }
    }
}

fn condition(broken: u32) -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![20 => (0..ATOMS.len()).prop_map(Condition::Atom), broken => Just(Condition::Breaks)];
    leaf.prop_recursive(3, 8, 2, |inner| {
        let two = || (inner.clone(), inner.clone()).prop_map(|(left, right)| (Box::new(left), Box::new(right)));
        prop_oneof![
            inner.clone().prop_map(|inner| Condition::Not(Box::new(inner))),
            two().prop_map(|(left, right)| Condition::Both(left, right)),
            two().prop_map(|(left, right)| Condition::Either(left, right)),
        ]
    })
}

#[derive(Clone, Debug)]
struct AnyRule {
    head: Head,
    condition: Condition,
    unless: bool,
    reported: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Head {
    Both,
    List,
    Call,
    CallOf(&'static str),
}

impl AnyRule {
    fn text(&self, number: usize) -> String {
        let action = match self.head {
            Head::Both => "action".to_owned(),
            Head::List => "action == Action::\"list\"".to_owned(),
            Head::Call => "action in Action::\"call\"".to_owned(),
            Head::CallOf(tool) => format!("action == Action::\"{tool}\""),
        };
        let mode = if self.reported { "@mode(\"report\") " } else { "" };
        let word = if self.unless { "unless" } else { "when" };
        format!(
            "{mode}@id(\"r{number}\") forbid (principal, {action}, resource) {word} {{ {} }};\n",
            self.condition.text()
        )
    }

    fn matches(&self, caller: &CallerFacts, tool: &ToolFacts) -> bool {
        self.condition.holds(caller, tool) != self.unless
    }

    fn is_about_lists(&self) -> bool {
        matches!(self.head, Head::Both | Head::List)
    }

    fn is_about_calls_of(&self, tool: &ToolFacts) -> bool {
        match self.head {
            Head::Both | Head::Call => true,
            Head::List => false,
            Head::CallOf(named) => tool.id.to_string() == named,
        }
    }
}

fn rule(broken: u32) -> impl Strategy<Value = AnyRule> {
    let head =
        select(vec![Head::Both, Head::Both, Head::List, Head::Call, Head::CallOf("a/get"), Head::CallOf("b/put")]);
    (head, condition(broken), any::<bool>(), prop::bool::weighted(0.2))
        .prop_map(|(head, condition, unless, reported)| AnyRule { head, condition, unless, reported })
}

/// A judge by these rules; `None` where they are refused because they can never match.
fn judge_by(rules: &[AnyRule], mut input: JudgeInput) -> Option<Judge> {
    let text = rules.iter().enumerate().map(|(number, rule)| rule.text(number)).collect();
    let file = PolicyFile { name: "any.cedar".to_owned(), text };
    input.policies = Arc::new(Policies::new(vec![file], None).unwrap());
    match Judge::build(input) {
        Ok(judge) => Some(judge),
        Err(BuildError::Rules(RulesError::Organisation(problems))) => {
            let never = |message: &str| message.contains("never") || message.contains("impossible");
            assert!(problems.iter().all(|problem| never(&problem.message)), "{problems:?}");
            None
        }
        Err(other) => panic!("{other}"),
    }
}

/// Every third tool has a label.
fn labelled(mut input: JudgeInput) -> JudgeInput {
    for tool in input.tools.iter_mut().step_by(3) {
        tool.labels = vec!["private_data".to_owned()];
    }
    input
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn under_any_rules_remembered_is_fresh(
        world in world(), callers in vec(caller(), 1..4), rules in vec(rule(2), 1..5),
        asked in vec((0..4_usize, 0..9_u32, 0..24_i64), 1..40),
    ) {
        let Some(judge) = judge_by(&rules, labelled(world.input())) else { return Ok(()) };
        // The same rules over other facts, as after a grant: nothing is taken over that does not hold there.
        let next = judge.successor(JudgeInput { policies: Arc::clone(judge.policies()), ..labelled(world.input()) }).unwrap();
        let twin: Vec<_> = callers.iter().map(|caller| judge.class(caller)).collect();
        let classes: Vec<_> = callers.iter().map(|caller| judge.class(caller)).collect();
        for (who, tool, now) in asked {
            let who = who % classes.len();
            let remembered = judge.standing(&twin[who], ENDPOINT, ToolIndex(tool), now);
            let fresh = judge.decide_fresh(&classes[who], ENDPOINT, ToolIndex(tool), now);
            prop_assert_eq!(&*remembered, &fresh);
            prop_assert_eq!(&next.decide_fresh(&classes[who], ENDPOINT, ToolIndex(tool), now), &fresh);
            let listed = judge.visible(&twin[who], ENDPOINT, now);
            prop_assert_eq!(listed.tools.contains(&ToolIndex(tool)), fresh.outcome.is_listed());
            if fresh.evaluation_error {
                // Denied, by a rule that is named.
                prop_assert!(matches!(fresh.outcome, Outcome::Hidden | Outcome::Refused), "{:?}", fresh);
                prop_assert!(!fresh.policies.is_empty(), "{:?}", fresh);
            }
        }
    }

    #[test]
    fn any_rule_decides_what_its_words_mean(
        world in world(), caller in caller(), now in 0..24_i64, rules in vec(rule(0), 1..4),
    ) {
        let input = labelled(world.input());
        let Some(judge) = judge_by(&rules, input.clone()) else { return Ok(()) };
        let free = judge_of(input);
        let (ruled, unruled) = (judge.class(&caller), free.class(&caller));
        for tool in tools() {
            let facts = judge.tool(tool).unwrap();
            let before = free.standing(&unruled, ENDPOINT, tool, now).outcome;
            let verdict = judge.standing(&ruled, ENDPOINT, tool, now);
            let enforced = || rules.iter().filter(|rule| !rule.reported && rule.matches(&caller, facts));
            let lists = enforced().any(AnyRule::is_about_lists);
            let calls = enforced().any(|rule| rule.is_about_calls_of(facts));
            let expected = match before {
                Outcome::Hidden => Outcome::Hidden,
                _ if lists => Outcome::Hidden,
                // A scope is asked for only where it would let the call in.
                Outcome::NeedsScope if calls => Outcome::Hidden,
                _ if calls => Outcome::Refused,
                unforbidden => unforbidden,
            };
            prop_assert_eq!(verdict.outcome, expected, "{}: {:?} {:#?}", facts.id, rules, verdict);
            prop_assert!(!verdict.evaluation_error);
        }
    }

    #[test]
    fn a_rule_only_takes_away(
        world in world(), caller in caller(), now in 0..24_i64, rules in vec(rule(3), 1..4),
    ) {
        let input = labelled(world.input());
        let Some(judge) = judge_by(&rules, input.clone()) else { return Ok(()) };
        let free = judge_of(input);
        let (ruled, unruled) = (judge.class(&caller), free.class(&caller));
        for tool in tools() {
            let before = free.standing(&unruled, ENDPOINT, tool, now).outcome;
            let after = judge.standing(&ruled, ENDPOINT, tool, now).outcome;
            prop_assert!(before == Outcome::Allow || after != Outcome::Allow);
            prop_assert!(before.is_listed() || !after.is_listed());
        }
    }
}
