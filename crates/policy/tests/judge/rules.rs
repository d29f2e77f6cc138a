//! The organisation's rules: what they may read, what they come to for lists and calls, and what becomes of a tool they
//! cannot be asked about.

use std::sync::Arc;

use ambit_model::{
    Digest, Outcome,
    caller::CallerFacts,
    ids::{EndpointSlug, ToolId},
    replay::KeptCall,
};
use ambit_policy::{
    BuildError, CallFacts, CallVerdict, Judge, JudgeInput, Policies, PolicyFile, RuleProblem, RulesError, explain,
};
use serde_json::{Value, json};

use crate::world::{CallerSpec, World};

fn policies(text: &str) -> Arc<Policies> {
    in_zone(text, None)
}

fn in_zone(text: &str, zone: Option<&str>) -> Arc<Policies> {
    let file = PolicyFile { name: "policies/a.cedar".to_owned(), text: text.to_owned() };
    Arc::new(Policies::new(vec![file], zone).unwrap())
}

/// Three tools of one server, all held by alice: one knows environments, one does not, one cannot be typed.
fn input(text: &str) -> JudgeInput {
    let mut input = World::read(
        r#"
        [servers]
        mux = 1000
        [endpoints]
        default = ["mux"]
        [tools]
        "mux/deploy" = "write"
        "mux/odd" = "write"
        "mux/status" = "read"
        [toolsets]
        all = ["mux/*"]
        [ceilings]
        default = ["*"]
        [[grants]]
        id = "g"
        to = "user alice"
        toolset = "all"
        "#,
    )
    .input();
    schema(
        &mut input,
        "mux/deploy",
        &json!({"type": "object", "required": ["environment"], "additionalProperties": false, "properties": {
            "environment": {"type": "string", "enum": ["staging", "production"]},
            "replicas": {"type": "integer"},
            "issue-number": {"type": "string"},
        }}),
    );
    schema(
        &mut input,
        "mux/odd",
        &json!({"type": "object", "properties": {"environment": {"type": ["string", "null"]}}}),
    );
    schema(&mut input, "mux/status", &json!({"type": "object", "properties": {"in": {"type": "boolean"}}}));
    input.policies = policies(text);
    input
}

fn schema(input: &mut JudgeInput, id: &str, schema: &Value) {
    let tool = input.tools.iter_mut().find(|tool| tool.id.to_string() == id).unwrap();
    tool.definition = Digest::of(schema.to_string().as_bytes());
    tool.input_schema = Some(Arc::new(schema.clone()));
}

fn alice() -> CallerFacts {
    CallerSpec { user: Some("alice".to_owned()), groups: vec!["staff".to_owned()], ..CallerSpec::default() }.build()
}

fn standing(judge: &Judge, tool: &str) -> Arc<ambit_policy::Verdict> {
    let endpoint = judge.endpoint_index(&EndpointSlug::parse("default").unwrap()).unwrap();
    let tool = judge.tool_index(&ToolId::parse(tool).unwrap()).unwrap();
    judge.standing(&judge.class(&alice()), endpoint, tool, 100)
}

fn call_at(judge: &Judge, tool: &str, arguments: &Value, now: i64) -> CallVerdict {
    let endpoint = judge.endpoint_index(&EndpointSlug::parse("default").unwrap()).unwrap();
    let tool = judge.tool_index(&ToolId::parse(tool).unwrap()).unwrap();
    judge.per_call(&judge.class(&alice()), endpoint, tool, &CallFacts::new(now, arguments))
}

fn call(judge: &Judge, tool: &str, arguments: &Value) -> CallVerdict {
    call_at(judge, tool, arguments, 100)
}

fn problems(input: JudgeInput) -> Vec<RuleProblem> {
    match Judge::build(input) {
        Err(BuildError::Rules(RulesError::Organisation(problems))) => problems,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it stands"),
    }
}

const PRODUCTION: &str = r#"
    @id("freeze") @message("production is frozen until Monday")
    forbid (principal, action in Action::"call", resource)
    when { context.arguments has environment && context.arguments.environment == "production" };
"#;

#[test]
fn a_rule_about_an_argument_refuses_the_calls_it_is_about() {
    let judge = Judge::build(input(PRODUCTION)).unwrap();
    assert_eq!(call(&judge, "mux/deploy", &json!({"environment": "staging"})).outcome, Outcome::Allow);
    let refused = call(&judge, "mux/deploy", &json!({"environment": "production"}));
    assert_eq!((refused.outcome, refused.policies), (Outcome::Refused, vec!["freeze".to_owned()]));
    assert_eq!(refused.sentence.as_deref(), Some("production is frozen until Monday (rule `freeze`)"));
    assert!(!refused.failed);
    // It stays listed: a rule about the call refuses.
    assert_eq!(standing(&judge, "mux/deploy").outcome, Outcome::Allow);
    // What a replay of the decision needs, and nothing else.
    let tool = judge.tool_index(&ToolId::parse("mux/deploy").unwrap()).unwrap();
    let arguments = json!({"environment": "staging", "replicas": 3});
    let kept = judge.kept(tool, &CallFacts { source: "10.0.0.7".parse().ok(), ..CallFacts::new(0, &arguments) });
    assert_eq!(
        kept,
        Some(KeptCall {
            arguments: Some(json!({"environment": "staging"})),
            read: vec!["/environment".to_owned()],
            ..KeptCall::default()
        })
    );
    assert_eq!(judge.missing(tool, kept.as_ref()), None);
    let missing = judge.missing(tool, None).unwrap();
    assert_eq!(
        (missing.what, missing.argument.as_deref(), missing.rule.as_deref()),
        ("an argument", Some("/environment"), Some("freeze"))
    );
}

#[test]
fn a_tool_without_the_argument_is_not_concerned_unless_it_is_sent_anyway() {
    let judge = Judge::build(input(PRODUCTION)).unwrap();
    assert_eq!(call(&judge, "mux/status", &json!({"in": true})).outcome, Outcome::Allow);
    let undeclared = call(&judge, "mux/status", &json!({"environment": "production"}));
    assert_eq!(undeclared.outcome, Outcome::Refused);
    assert!(undeclared.sentence.unwrap().contains("`/environment`"));
}

#[test]
fn a_tool_whose_argument_cannot_be_typed_is_hidden_that_tool_alone() {
    let judge = Judge::build(input(PRODUCTION)).unwrap();
    let verdict = standing(&judge, "mux/odd");
    assert_eq!((verdict.outcome, verdict.policies.as_slice()), (Outcome::Hidden, &["freeze".to_owned()][..]));
    assert_eq!(
        verdict.reasons,
        [
            "rule `freeze` cannot be asked: it reads `/environment`, which the schema of `mux/odd` does not give a plain type"
        ]
    );
    let hidden: Vec<_> = judge.unjudgeable().map(|(tool, rule, _)| (tool.to_string(), rule.to_owned())).collect();
    assert_eq!(hidden, [("mux/odd".to_owned(), "freeze".to_owned())]);
    let endpoint = judge.endpoint_index(&EndpointSlug::parse("default").unwrap()).unwrap();
    let listed = judge.visible(&judge.class(&alice()), endpoint, 100);
    let names: Vec<_> = listed.tools.iter().map(|tool| judge.tool(*tool).unwrap().id.to_string()).collect();
    assert_eq!(names, ["mux/deploy", "mux/status"]);
    // A rule that only asks whether it is there can be asked.
    let there = r#"@id("there") forbid (principal, action in Action::"call", resource)
                   when { context.arguments has environment };"#;
    let judge = Judge::build(input(there)).unwrap();
    assert_eq!(judge.unjudgeable().count(), 0);
    assert_eq!(call(&judge, "mux/odd", &json!({"environment": null})).outcome, Outcome::Refused);
    assert_eq!(call(&judge, "mux/odd", &json!({})).outcome, Outcome::Allow);
}

#[test]
fn a_rule_that_does_not_fit_is_refused_when_it_is_new_and_hides_a_tool_that_is() {
    let unasked = r#"@id("freeze") forbid (principal, action in Action::"call", resource)
                     when { context.arguments.environment == "production" };"#;
    let mut first = input(unasked);
    first.tools.retain(|tool| tool.id.to_string() != "mux/odd");
    let told = problems(first.clone());
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].message.contains("`mux/status`") && told[0].remedy.as_ref().unwrap().contains("has arguments"));
    assert_eq!(told[0].line, 2);
    // The same rule, when only a tool it fits was known: a new one is hidden.
    first.tools.retain(|tool| tool.id.to_string() == "mux/deploy");
    let before = Judge::build(first).unwrap();
    let mut more = input(unasked);
    more.tools.retain(|tool| tool.id.to_string() != "mux/odd");
    let after = before.successor(more).unwrap();
    assert_eq!(standing(&after, "mux/deploy").outcome, Outcome::Allow);
    assert_eq!(standing(&after, "mux/status").outcome, Outcome::Hidden);
    assert!(standing(&after, "mux/status").reasons[0].contains("does not fit the arguments of `mux/status`"));
    assert!(!standing(&after, "mux/status").evaluation_error);
}

#[test]
fn a_rule_may_name_the_tools_it_is_about() {
    let judge = Judge::build(input(
        r#"@id("few") forbid (principal, action in [Action::"mux/deploy", Action::"mux/gone"], resource)
           when { context.arguments has replicas && context.arguments.replicas > 10 };
           @id("issue") forbid (principal, action == Action::"mux/deploy", resource)
           when { context.arguments has "issue-number" && context.arguments["issue-number"] like "x*" };
           @id("never") forbid (principal, action == Action::"mux/status", resource);"#,
    ))
    .unwrap();
    let deploy = |more: Value| {
        let mut arguments = json!({"environment": "staging"});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        call(&judge, "mux/deploy", &arguments).policies
    };
    assert_eq!(deploy(json!({"replicas": 10})), [""; 0]);
    assert_eq!(deploy(json!({"replicas": 11, "issue-number": "x1"})), ["few", "issue"]);
    // A standing rule on calls alone refuses what stays listed.
    assert_eq!(standing(&judge, "mux/status").outcome, Outcome::Refused);
    assert_eq!(standing(&judge, "mux/deploy").outcome, Outcome::Allow);
    assert_eq!(standing(&judge, "mux/odd").outcome, Outcome::Allow);
    let findings: Vec<_> = judge.findings().iter().map(ToString::to_string).collect();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].starts_with("policies/a.cedar:1:1: there is no tool `mux/gone`"), "{}", findings[0]);
}

#[test]
fn arguments_that_no_tool_has_are_found() {
    let judge = Judge::build(input(
        r#"@id("typo") forbid (principal, action in Action::"call", resource)
           when { context.arguments has enviroment && context.arguments.enviroment == "x" };"#,
    ))
    .unwrap();
    assert!(judge.findings()[0].message.contains("can never match"), "{:?}", judge.findings());
}

#[test]
fn a_forbid_on_lists_hides_and_says_so() {
    let judge = Judge::build(input(
        r#"@id("private") @message("only for the owners")
           forbid (principal, action, resource)
           when { principal has user && principal.user.groups.contains("staff") && resource.effect == "write" };"#,
    ))
    .unwrap();
    assert_eq!(standing(&judge, "mux/deploy").outcome, Outcome::Hidden);
    assert_eq!(standing(&judge, "mux/deploy").reasons, ["rule `private` forbids it: only for the owners"]);
    assert_eq!(standing(&judge, "mux/status").outcome, Outcome::Allow);
    let slug = EndpointSlug::parse("default").unwrap();
    let told = explain(&judge, &alice(), &slug, &ToolId::parse("mux/deploy").unwrap(), 100);
    assert_eq!(told.what_would_change, ["change rule `private` (policies/a.cedar:1)"]);
    let facts = judge.rule("private").unwrap();
    assert_eq!((facts.message, facts.per_call, facts.reported), (Some("only for the owners"), false, false));
}

#[test]
fn what_is_only_recorded_decides_nothing() {
    let judge = Judge::build(input(
        r#"@id("would-hide") @mode("report") forbid (principal, action, resource) when { resource.effect == "write" };
           @id("would-refuse") @mode("report") forbid (principal, action in Action::"call", resource)
           unless { context.approved };
           @id("would-break") @mode("report") forbid (principal, action in Action::"call", resource)
           when { (if context.approved then 1 else 9223372036854775807) + 1 == 7 };"#,
    ))
    .unwrap();
    let verdict = standing(&judge, "mux/deploy");
    assert_eq!((verdict.outcome, verdict.reported.as_slice()), (Outcome::Allow, &["would-hide".to_owned()][..]));
    assert!(standing(&judge, "mux/status").reported.is_empty());
    let called = call(&judge, "mux/status", &json!({}));
    assert_eq!((called.outcome, called.failed), (Outcome::Allow, false));
    assert_eq!(called.reported, ["would-break (cannot be evaluated)", "would-refuse"]);
}

#[test]
fn hours_are_those_of_the_named_zone() {
    let night = r#"@id("night") forbid (principal, action in Action::"call", resource)
                   when { context.time.hour < 6 || context.time.weekday == "sunday" };"#;
    // 2026-11-25T23:30:00Z, a Wednesday.
    let late = 1_795_649_400_000;
    let mut facts = input(night);
    assert_eq!(call_at(&Judge::build(facts.clone()).unwrap(), "mux/status", &json!({}), late).outcome, Outcome::Allow);
    facts.policies = in_zone(night, Some("Europe/Berlin"));
    let judge = Judge::build(facts).unwrap();
    assert_eq!(call_at(&judge, "mux/status", &json!({}), late).outcome, Outcome::Refused);
    assert_eq!(call_at(&judge, "mux/status", &json!({}), late + 4 * 24 * 3_600_000).outcome, Outcome::Refused);
    assert_eq!(call_at(&judge, "mux/status", &json!({}), late + 12 * 3_600_000).outcome, Outcome::Allow);
}

#[test]
fn rules_that_change_are_read_and_rules_that_do_not_stay() {
    let first = Judge::build(input(PRODUCTION)).unwrap();
    let same = first.successor(input(PRODUCTION)).unwrap();
    assert_eq!(first.rules_digest(), same.rules_digest());
    let none = first.successor(JudgeInput { policies: Arc::default(), ..input("") }).unwrap();
    assert_ne!(first.rules_digest(), none.rules_digest());
    assert_eq!(none.organisation_rules(), 0);
    assert_eq!(call(&none, "mux/deploy", &json!({"environment": "production"})).outcome, Outcome::Allow);
    assert!(matches!(first.successor(input("permit (principal, action, resource);")), Err(BuildError::Rules(_))));
}
