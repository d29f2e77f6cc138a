//! Argument constraints of grants, through the judge: who is shown what, what a call is held to, and when a tool is gone.

use std::sync::Arc;

use ambit_model::{
    Outcome,
    constraints::{Constraints, ToolPattern},
    grant::Grant,
    ids::{EndpointSlug, Millis, ToolId},
};
use ambit_policy::{Judge, JudgeInput, Verdict, explain};
use serde_json::{Value, json};

use crate::world::{CallerSpec, GrantSpec, RevealSpec, World};

const DEPLOYMENT: &str = r#"
[servers]
mux = 100000
[endpoints]
default = ["mux"]
[tools]
"mux/a" = "read"
"mux/b" = "read"
"mux/drop" = "destructive"
[toolsets]
all = ["mux/a", "mux/b", "mux/drop"]
also = ["mux/a", "mux/b"]
[ceilings]
default = ["*"]
narrow = []
"#;

fn schema() -> Value {
    json!({"type": "object", "additionalProperties": false,
        "properties": {"env": {"type": "string", "description": "where"}, "count": {"type": "integer"}}})
}

struct Scene(JudgeInput);

fn scene() -> Scene {
    let mut input = World::read(DEPLOYMENT).input();
    for tool in &mut input.tools {
        tool.input_schema = Some(Arc::new(schema()));
    }
    Scene(input)
}

impl Scene {
    fn grant(mut self, to: &str, toolset: &str, constraints: &[(&str, Value)]) -> Self {
        let id = format!("g{}", self.0.grants.len() + 1);
        let spec = GrantSpec { id, to: to.into(), toolset: toolset.into(), from: 0, until: 1000, only: Vec::new() };
        let all = constraints.iter().map(|(tools, fragment)| (ToolPattern::parse(tools).unwrap(), fragment.clone()));
        self.0.grants.push(Grant { constraints: Constraints::new(all.collect()).unwrap(), ..spec.build() });
        self
    }

    fn until(mut self, expires_at: Millis) -> Self {
        self.0.grants.last_mut().unwrap().expires_at = expires_at;
        self
    }

    fn judge(&self) -> Judge {
        Judge::build(self.0.clone()).unwrap()
    }

    fn verdict(&self, caller: &CallerSpec, tool: &str, now: Millis) -> Arc<Verdict> {
        let judge = self.judge();
        let at = judge.endpoint_index(&EndpointSlug::parse("default").unwrap()).unwrap();
        let number = judge.tool_index(&ToolId::parse(tool).unwrap()).unwrap();
        judge.standing(&judge.class(&caller.build()), at, number, now)
    }

    /// What the caller may give as `env`, and what the schema shows of it.
    fn env(&self, caller: &CallerSpec, tool: &str) -> (Vec<&'static str>, Value) {
        let verdict = self.verdict(caller, tool, 10);
        assert_eq!(verdict.outcome, Outcome::Allow, "{verdict:?}");
        let envs = ["staging", "test", "production"].into_iter();
        match &verdict.narrowing {
            None => (envs.collect(), Value::Null),
            Some(narrowing) => (
                envs.filter(|env| narrowing.allowed.check(&json!({"env": env})).is_ok()).collect(),
                narrowing.shown.schema["properties"]["env"].clone(),
            ),
        }
    }
}

fn env(values: &[&str]) -> Value {
    json!({"properties": {"env": {"enum": values}}})
}

fn alice() -> CallerSpec {
    CallerSpec { user: Some("alice".into()), groups: vec!["staff".into()], ..CallerSpec::default() }
}

#[test]
fn what_is_shown_is_what_is_granted() {
    let scene = scene().grant("user alice", "all", &[("*", env(&["staging"]))]);
    let (allowed, shown) = scene.env(&alice(), "mux/a");
    assert_eq!(allowed, ["staging"]);
    assert!(shown["const"] == "staging" || shown["enum"] == json!(["staging"]), "{shown}");
    assert_eq!(shown["description"], "where");
    let verdict = scene.verdict(&alice(), "mux/a", 10);
    let narrowing = verdict.narrowing.as_ref().unwrap();
    assert_eq!(narrowing.shown.schema["required"], json!(["env"]));
    assert!(narrowing.shown.exact && narrowing.shown.note.is_none());
    let refused = narrowing.allowed.check(&json!({"env": "production", "count": 1})).unwrap_err();
    assert_eq!(refused.pointer, "/env");
    assert!(refused.sentence.contains("production") && refused.sentence.contains("staging"), "{refused}");
    assert!(verdict.reasons.iter().any(|reason| reason.contains("limited by grant `g1`")), "{:?}", verdict.reasons);
}

#[test]
fn grants_of_one_factor_add_up_and_one_without_words_lifts_them() {
    let two = scene().grant("user alice", "all", &[("*", env(&["staging"]))]).grant(
        "group staff",
        "also",
        &[("*", env(&["test"]))],
    );
    assert_eq!(two.env(&alice(), "mux/a").0, ["staging", "test"]);
    let lifted = two.grant("group staff", "also", &[]);
    assert_eq!(lifted.env(&alice(), "mux/a"), (vec!["staging", "test", "production"], Value::Null));
}

#[test]
fn factors_are_intersected_and_the_ceiling_is_one() {
    let both = scene()
        .grant("user alice", "all", &[("*", env(&["staging", "test"]))])
        .grant("agent bot", "all", &[("*", env(&["test", "production"]))])
        .grant("client narrow", "all", &[("*", env(&["staging"]))]);
    let through_bot = CallerSpec { agent: Some("bot".into()), ..alice() };
    assert_eq!(both.env(&through_bot, "mux/a").0, ["test"]);
    let narrow = CallerSpec { client: Some("narrow".into()), ..alice() };
    assert_eq!(both.env(&narrow, "mux/a").0, ["staging"]);
    // Where configuration admits the toolset, a grant to the client takes nothing away.
    let admitted = both.grant("client desk", "all", &[("*", env(&["staging"]))]);
    assert_eq!(admitted.env(&alice(), "mux/a").0, ["staging", "test"]);
}

#[test]
fn what_contradicts_is_gone_with_the_reason_for_operators() {
    let apart = scene().grant("user alice", "all", &[("*", env(&["staging"]))]).grant(
        "agent bot",
        "all",
        &[("*", env(&["production"]))],
    );
    let through_bot = CallerSpec { agent: Some("bot".into()), ..alice() };
    let verdict = apart.verdict(&through_bot, "mux/a", 10);
    assert_eq!(verdict.outcome, Outcome::Hidden);
    assert_eq!(verdict.policies, ["guard.argument-constraints"]);
    let reason = verdict.reasons.join("; ");
    assert!(reason.contains("contradict each other") && reason.contains("g1") && reason.contains("g2"), "{reason}");

    let unfit = scene().grant("user alice", "all", &[("mux/a", json!({"properties": {"region": {"const": "eu"}}}))]);
    let verdict = unfit.verdict(&alice(), "mux/a", 10);
    assert_eq!(verdict.outcome, Outcome::Hidden);
    assert!(verdict.reasons.join("; ").contains("do not fit this tool"), "{:?}", verdict.reasons);
    let judge = unfit.judge();
    let slug = EndpointSlug::parse("default").unwrap();
    let at = judge.endpoint_index(&slug).unwrap();
    let listed = judge.visible(&judge.class(&alice().build()), at, 10);
    let names: Vec<_> = listed.tools.iter().map(|tool| judge.tool(*tool).unwrap().id.to_string()).collect();
    assert_eq!(names, ["mux/b"], "the other tool of the same kind stays");
    let told = explain(&judge, &alice().build(), &slug, &ToolId::parse("mux/a").unwrap(), 10);
    let change = "change the argument constraints of one of the grants, or grant another toolset";
    assert_eq!(told.what_would_change, [change]);
}

#[test]
fn a_fragment_is_about_the_tools_it_names() {
    let scene = scene().grant("user alice", "all", &[("mux/a*", env(&["staging"])), ("mux/drop", env(&["test"]))]);
    assert_eq!(scene.env(&alice(), "mux/a").0, ["staging"]);
    assert_eq!(scene.env(&alice(), "mux/b").0.len(), 3);
}

#[test]
fn what_ends_changes_what_is_left() {
    let scene = scene()
        .grant("user alice", "all", &[("*", env(&["staging"]))])
        .grant("user alice", "also", &[("*", env(&["test"]))])
        .until(20);
    let before = scene.verdict(&alice(), "mux/a", 10);
    assert_eq!(before.valid_until, 20);
    assert!(before.narrowing.as_ref().unwrap().allowed.check(&json!({"env": "test"})).is_ok());
    let after = scene.verdict(&alice(), "mux/a", 20);
    assert!(after.narrowing.as_ref().unwrap().allowed.check(&json!({"env": "test"})).is_err());
}

#[test]
fn a_reveal_makes_visible_and_lifts_nothing_that_a_grant_says() {
    let mut scene = scene().grant("user alice", "all", &[("*", env(&["staging"]))]);
    let reveal = RevealSpec {
        id: "r".into(),
        user: "alice".into(),
        client: "desk".into(),
        agent: None,
        toolset: "all".into(),
        from: 0,
        until: 100,
    };
    scene.0.reveals.push(reveal.build());
    assert_eq!(scene.env(&alice(), "mux/drop").0, ["staging"]);
    // Declining what the grant is on is no way around it.
    scene.0.reveals[0].toolset = ambit_model::ids::ToolsetSlug::parse("drops").unwrap();
    scene.0.toolsets.push(crate::world::toolset("drops", &["mux/drop".to_owned()]));
    let declining = CallerSpec { declined: vec!["all".into()], ..alice() };
    assert_eq!(scene.env(&declining, "mux/drop").0, ["staging"]);
    scene.0.grants.clear();
    assert_eq!(scene.env(&alice(), "mux/drop").0.len(), 3, "a reveal alone says nothing about arguments");
}

#[test]
fn a_grant_whose_words_mean_nothing_counts_for_nothing() {
    for fragment in [
        json!({"properties": {"env": {"pattern": "(?=x)"}}}),
        json!({"$ref": "https://attacker.example/x.json"}),
        json!({"properties": {"env": {"colour": 1}}}),
        json!({}),
    ] {
        let scene = scene().grant("user alice", "all", &[("mux/a", fragment.clone())]);
        assert_eq!(scene.verdict(&alice(), "mux/a", 10).outcome, Outcome::Hidden, "{fragment}");
        assert_eq!(scene.verdict(&alice(), "mux/b", 10).outcome, Outcome::Hidden, "{fragment}: nor for another tool");
    }
}
