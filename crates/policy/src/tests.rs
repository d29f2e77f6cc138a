//! Tests over the whole room.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ambit_model::{
    Digest, Effect, Outcome,
    caller::{AgentFacts, Assurance, CallerFacts, ClientFacts, Principal, TokenScopes, UserFacts},
    ceiling::{Ceiling, ClientCeilings},
    constraints::Constraints,
    grant::{Grant, GrantOrigin, GrantSubject},
    ids::{AgentId, ClientId, EndpointSlug, GrantId, ServerSlug, ToolId, ToolsetSlug, UserKey},
    tool::Acceptance,
    toolset::{Selector, Toolset},
};

use cedar_policy::Entities;

use crate::{
    CallFacts, CallVerdict, EndpointFacts, EndpointIndex, Judge, JudgeInput, PolicyFile, ServerFacts, ToolFacts,
    ToolIndex, organisation::Policies, schema::Schemas,
};

fn input() -> JudgeInput {
    let toolset = ToolsetSlug::parse("all").unwrap();
    JudgeInput {
        revision: 7,
        toolsets: vec![Toolset {
            slug: toolset.clone(),
            title: String::new(),
            tools: vec![Selector::try_from("mux/*".to_owned()).unwrap()],
            effects: Vec::new(),
        }],
        grants: vec![Grant {
            id: GrantId::parse("g1").unwrap(),
            subject: GrantSubject::User(UserKey::local("alice").unwrap()),
            toolset,
            reason: "test".into(),
            ticket: None,
            approved_by: None,
            starts_at: 0,
            expires_at: 100,
            origin: GrantOrigin::Config,
            constraints: Constraints::default(),
        }],
        reveals: Vec::new(),
        ceilings: ClientCeilings { clients: BTreeMap::new(), default: Ceiling::Everything },
        tools: vec![ToolFacts {
            id: ToolId::parse("mux/get-asset").unwrap(),
            definition: Digest::of(b"definition"),
            effect: Effect::Read,
            acceptance: Acceptance::Accepted,
            labels: Vec::new(),
            approval_waived_until: None,
            input_schema: None,
        }],
        servers: vec![ServerFacts {
            slug: ServerSlug::parse("mux").unwrap(),
            environment: "production".into(),
            data_class: "internal".into(),
            owner: "team".into(),
            expires_at: 1000,
        }],
        endpoints: vec![EndpointFacts {
            slug: EndpointSlug::parse("default").unwrap(),
            servers: vec![ServerSlug::parse("mux").unwrap()],
        }],
        policies: Arc::default(),
    }
}

fn alice() -> CallerFacts {
    CallerFacts {
        principal: Principal::Person {
            user: UserFacts { key: UserKey::local("alice").unwrap(), groups: BTreeSet::new(), claims: BTreeMap::new() },
        },
        client: ClientFacts { id: ClientId::parse("c").unwrap(), assurance: Assurance::Cimd },
        scopes: TokenScopes::None,
        declined: BTreeSet::new(),
        operator: None,
    }
}

fn outcome(judge: &Judge, caller: &CallerFacts, now: i64) -> Outcome {
    let endpoint = judge.endpoint_index(&EndpointSlug::parse("default").unwrap()).unwrap();
    let tool = judge.tool_index(&ToolId::parse("mux/get-asset").unwrap()).unwrap();
    judge.standing(&judge.class(caller), endpoint, tool, now).outcome
}

#[test]
fn a_grant_lets_its_user_in_for_as_long_as_it_lives() {
    let judge = Judge::build(input()).unwrap();
    assert_eq!(outcome(&judge, &alice(), 0), Outcome::Allow);
    assert_eq!(outcome(&judge, &alice(), 99), Outcome::Allow);
    assert_eq!(outcome(&judge, &alice(), 100), Outcome::Hidden);
    assert_eq!(outcome(&judge, &alice(), -1), Outcome::Hidden);
}

fn policies(text: &str) -> Arc<Policies> {
    let file = PolicyFile { name: "policies/a.cedar".to_owned(), text: text.to_owned() };
    Arc::new(Policies::new(vec![file], None).unwrap())
}

/// A judge whose rules are the platform's and one more.
fn with_rule(rule: &str) -> Judge {
    Judge::build(JudgeInput { policies: policies(rule), ..input() }).unwrap()
}

const BY_ALL: &str = "principal is Caller, action, resource is Tool";

#[test]
fn an_evaluation_error_denies_and_says_so() {
    // Overflow is the one error that strict validation lets through.
    let broken = format!("@id(\"broken\") forbid ({BY_ALL}) when {{ 9223372036854775807 + 1 > resource.labels.x }};");
    assert!(Judge::build(JudgeInput { policies: policies(&broken), ..input() }).is_err());
    let judge = with_rule(&format!(
        "@id(\"broken\") forbid ({BY_ALL}) when {{ (if resource.accepted then 9223372036854775807 else 1) + 1 == 7 }};"
    ));
    let endpoint = judge.endpoint_index(&EndpointSlug::parse("default").unwrap()).unwrap();
    let tool = judge.tool_index(&ToolId::parse("mux/get-asset").unwrap()).unwrap();
    let verdict = judge.standing(&judge.class(&alice()), endpoint, tool, 0);
    assert_eq!(verdict.outcome, Outcome::Hidden);
    assert!(verdict.evaluation_error);
    assert_eq!(verdict.reasons, ["evaluation error", "rule `broken` could not be evaluated"]);
    assert_eq!(verdict.policies, ["broken"]);
    let listed = judge.visible(&judge.class(&alice()), endpoint, 0);
    assert!(listed.tools.is_empty());
    assert_eq!(listed.broken, ["broken"]);
}

#[test]
fn a_forbid_on_call_alone_refuses_and_on_list_hides() {
    let head = |action| format!("principal is Caller, action == Action::\"{action}\", resource is Tool");
    let refusing = with_rule(&format!("@id(\"no\") forbid ({}) when {{ resource.accepted }};", head("call")));
    assert_eq!(outcome(&refusing, &alice(), 0), Outcome::Refused);
    let hiding = with_rule(&format!("@id(\"no\") forbid ({}) when {{ resource.accepted }};", head("list")));
    assert_eq!(outcome(&hiding, &alice(), 0), Outcome::Hidden);
}

#[test]
fn a_class_of_another_judge_is_resolved_anew() {
    let empty = Judge::build(JudgeInput { grants: Vec::new(), ..input() }).unwrap();
    let full = Judge::build(input()).unwrap();
    let (of_empty, of_full) = (empty.class(&alice()), full.class(&alice()));
    let endpoint = full.endpoint_index(&EndpointSlug::parse("default").unwrap()).unwrap();
    let tool = full.tool_index(&ToolId::parse("mux/get-asset").unwrap()).unwrap();
    assert_eq!(full.standing(&of_empty, endpoint, tool, 0).outcome, Outcome::Allow);
    assert_eq!(empty.standing(&of_full, endpoint, tool, 0).outcome, Outcome::Hidden);
    assert_eq!(empty.visible(&of_full, endpoint, 0).tools, []);
    // Also after the judge it came from is gone.
    drop(full);
    assert_eq!(empty.standing(&of_full, endpoint, tool, 0).outcome, Outcome::Hidden);
}

#[test]
fn every_slice_conforms_to_the_schema() {
    let judge = Judge::build(input()).unwrap();
    let endpoint = judge.endpoint_index(&EndpointSlug::parse("default").unwrap()).unwrap();
    let tool = judge.tool_index(&ToolId::parse("mux/get-asset").unwrap()).unwrap();
    let schema = Schemas::platform().unwrap().without_arguments(&BTreeSet::new()).unwrap();
    let mut user = alice().user().unwrap().clone();
    user.groups.insert("staff".to_owned().try_into().unwrap());
    user.claims.insert("org_id".to_owned(), "acme".into());
    user.claims.insert("roles".to_owned(), serde_json::json!(["a", 1, {"b": null}]));
    let agent = AgentFacts { id: AgentId::parse("bot").unwrap(), owner: user.key.clone(), expires_at: 50 };
    for principal in [
        alice().principal,
        Principal::Agent { agent: agent.clone() },
        Principal::Delegated { user: user.clone(), agent: agent.clone() },
    ] {
        for operator in [None, Some("operator:root".to_owned())] {
            let caller = CallerFacts { principal: principal.clone(), operator, ..alice() };
            let slice = judge.whole_slice(&judge.class(&caller), endpoint, tool, 0).unwrap();
            assert_eq!(slice.iter().count(), 3);
            Entities::from_entities(slice.iter().cloned(), Some(&schema)).unwrap();
        }
    }
}

#[test]
fn a_rule_that_names_one_tool_leaves_its_twins_alone() {
    let mut facts = input();
    let mut twin = facts.tools[0].clone();
    twin.id = ToolId::parse("mux/zz-twin").unwrap();
    facts.tools.push(twin);
    facts.policies = policies("@id(\"no\") forbid (principal, action, resource == Tool::\"mux/get-asset\");");
    let judge = Judge::build(facts).unwrap();
    let endpoint = judge.endpoint_index(&EndpointSlug::parse("default").unwrap()).unwrap();
    let listed = judge.visible(&judge.class(&alice()), endpoint, 0);
    let names: Vec<_> = listed.tools.iter().map(|tool| judge.tool(*tool).unwrap().id.to_string()).collect();
    assert_eq!(names, ["mux/zz-twin"]);
}

/// A judge over one destructive tool, revealed, whose owner waived approvals until 50, by the platform's rules and one more.
fn destroying(rule: &str, waived_until: Option<i64>) -> Judge {
    let mut facts = input();
    facts.tools[0].effect = Effect::Destructive;
    facts.tools[0].approval_waived_until = waived_until;
    facts.policies = policies(rule);
    Judge::build(facts).unwrap()
}

fn called(judge: &Judge, facts: &CallFacts<'_>) -> CallVerdict {
    let endpoint = judge.endpoint_index(&EndpointSlug::parse("default").unwrap()).unwrap();
    let tool = judge.tool_index(&ToolId::parse("mux/get-asset").unwrap()).unwrap();
    judge.per_call(&judge.class(&alice()), endpoint, tool, facts)
}

#[test]
fn a_destructive_call_needs_an_approval_unless_it_was_waived() {
    let arguments = serde_json::json!({});
    let at = |now, approved| CallFacts { approved, ..CallFacts::new(now, &arguments) };
    let judge = destroying("", None);
    let verdict = called(&judge, &at(0, false));
    assert_eq!(verdict.outcome, Outcome::NeedsApproval);
    assert_eq!(verdict.policies, ["guard.destructive-needs-approval"]);
    assert!(verdict.sentence.unwrap().contains("needs the approval of another person"));
    let approved = called(&judge, &at(0, true));
    assert_eq!((approved.outcome, approved.sentence), (Outcome::Allow, None));
    let waived = destroying("", Some(50));
    assert_eq!(called(&waived, &at(49, false)).outcome, Outcome::Allow);
    assert_eq!(called(&waived, &at(50, false)).outcome, Outcome::NeedsApproval);
    // A tool that does not destroy has no rule that reads the call.
    assert_eq!(called(&Judge::build(input()).unwrap(), &at(0, false)).outcome, Outcome::Allow);
}

#[test]
fn what_no_approval_lifts_is_refused() {
    let inside = "@id(\"inside\") forbid (principal, action == Action::\"call\", resource)
                  unless { context has source && context.source.isInRange(ip(\"10.0.0.0/8\")) };";
    let judge = destroying(inside, None);
    let arguments = serde_json::json!({});
    let from = |source: &str| CallFacts { source: source.parse().ok(), ..CallFacts::new(0, &arguments) };
    assert_eq!(called(&judge, &from("10.1.2.3")).outcome, Outcome::NeedsApproval);
    for elsewhere in ["11.1.2.3", "2001:db8::1", "unknown"] {
        let verdict = called(&judge, &from(elsewhere));
        assert_eq!((verdict.outcome, verdict.failed), (Outcome::Refused, false), "{elsewhere}");
        assert_eq!(verdict.policies, ["inside"]);
        assert!(verdict.sentence.unwrap().contains("rule `inside`"));
    }
    assert_eq!(called(&judge, &from("::ffff:10.1.2.3")).outcome, Outcome::NeedsApproval);
}

#[test]
fn labels_and_logins_can_be_read() {
    let rules = "@id(\"flow\") forbid (principal, action == Action::\"call\", resource)
                 when { context.touched.contains(\"private_data\") } unless { context.approved };
                 @id(\"login\") forbid (principal, action == Action::\"call\", resource)
                 unless { context has login && context.login.age_seconds < 300 && context.login.methods.contains(\"otp\") };";
    let judge = with_rule(rules);
    let (arguments, none) = (serde_json::json!({}), BTreeSet::new());
    let private = BTreeSet::from(["private_data".to_owned()]);
    let (strong, weak) = (["pwd".to_owned(), "otp".to_owned()], ["pwd".to_owned()]);
    for (touched, login, outcome) in [
        (&none, Some((1_000, &strong[..])), Outcome::Allow),
        (&private, Some((1_000, &strong[..])), Outcome::NeedsApproval),
        (&none, Some((1_000, &weak[..])), Outcome::Refused),
        (&none, Some((-200_000, &strong[..])), Outcome::Refused),
        (&none, None, Outcome::Refused),
    ] {
        let login = login.map(|(at, methods)| crate::Login { at, methods });
        let facts = CallFacts { touched, login, ..CallFacts::new(100_000, &arguments) };
        assert_eq!(called(&judge, &facts).outcome, outcome, "{facts:?}");
    }
}

#[test]
fn what_may_reach_strangers_needs_an_approval_once_both_halves_were_touched() {
    let labelled = |label: Option<&str>| {
        let mut input = input();
        input.tools[0].labels = label.into_iter().map(str::to_owned).collect();
        Judge::build(input).unwrap()
    };
    let arguments = serde_json::json!({});
    let touched = |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect::<BTreeSet<_>>();
    let both = touched(&["private_data", "untrusted_content"]);
    let sink = labelled(Some("public_sink"));
    for (labels, outcome) in [
        (touched(&[]), Outcome::Allow),
        (touched(&["private_data"]), Outcome::Allow),
        (touched(&["untrusted_content"]), Outcome::Allow),
        (both.clone(), Outcome::NeedsApproval),
    ] {
        let facts = CallFacts { touched: &labels, ..CallFacts::new(0, &arguments) };
        let verdict = called(&sink, &facts);
        assert_eq!(verdict.outcome, outcome, "{labels:?}");
        if outcome == Outcome::NeedsApproval {
            assert_eq!(verdict.policies, ["guard.flow"]);
            assert!(verdict.sentence.unwrap().contains("strangers"));
        }
    }
    let approved = CallFacts { touched: &both, approved: true, ..CallFacts::new(0, &arguments) };
    assert_eq!(called(&sink, &approved).outcome, Outcome::Allow);
    assert!(sink.asks_what_was_touched(ToolIndex(0)) && sink.asks_what_was_touched(ToolIndex(99)));
    for other in [None, Some("private_data"), Some("untrusted_content")] {
        let judge = labelled(other);
        assert!(!judge.asks_what_was_touched(ToolIndex(0)), "{other:?}: a tool without the label costs nothing");
        assert_eq!(
            called(&judge, &CallFacts { touched: &both, ..CallFacts::new(0, &arguments) }).outcome,
            Outcome::Allow
        );
    }
}

#[test]
fn a_rule_about_the_call_that_cannot_be_evaluated_refuses_it() {
    let broken = "@id(\"broken\") forbid (principal, action == Action::\"call\", resource)
                  when { (if context.approved then 1 else 9223372036854775807) + 1 == 7 };";
    let judge = with_rule(broken);
    let arguments = serde_json::json!({});
    let verdict = called(&judge, &CallFacts::new(0, &arguments));
    assert_eq!((verdict.outcome, verdict.failed), (Outcome::Refused, true));
    let approved = CallFacts { approved: true, ..CallFacts::new(0, &arguments) };
    assert_eq!(called(&judge, &approved).outcome, Outcome::Allow);
}

#[test]
fn a_call_of_a_tool_that_is_not_there_is_refused() {
    let judge = Judge::build(input()).unwrap();
    let arguments = serde_json::json!({});
    let verdict =
        judge.per_call(&judge.class(&alice()), EndpointIndex(0), ToolIndex(9), &CallFacts::new(0, &arguments));
    assert_eq!((verdict.outcome, verdict.failed), (Outcome::Refused, true));
}
