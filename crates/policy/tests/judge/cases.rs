//! The table of cases: who, which tool, when, and what comes of it. Each file of `tests/cases` adds its own grants and
//! reveals to the deployment they share.

use ambit_model::ids::{EndpointSlug, Millis, ToolId};
use ambit_policy::{Judge, explain};
use serde::Deserialize;

use crate::world::{CallerSpec, GrantSpec, RevealSpec, World, outcome};

pub const DEPLOYMENT: &str = include_str!("../cases/deployment.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    grants: Vec<GrantSpec>,
    #[serde(default)]
    reveals: Vec<RevealSpec>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    caller: CallerSpec,
    #[serde(default = "default_endpoint")]
    endpoint: String,
    tool: String,
    #[serde(default = "usual_time")]
    now: Millis,
    outcome: String,
    policies: Option<Vec<String>>,
    reasons: Option<Vec<String>>,
    changes: Option<Vec<String>>,
    #[serde(default)]
    missing: Vec<String>,
    until: Option<Millis>,
}

fn default_endpoint() -> String {
    "default".to_owned()
}

fn usual_time() -> Millis {
    100
}

fn check(text: &str) {
    let file: File = toml::from_str(text).unwrap();
    let mut world = World::read(DEPLOYMENT);
    world.grants.extend(file.grants);
    world.reveals.extend(file.reveals);
    let judge = Judge::build(world.input()).unwrap();
    for case in &file.cases {
        check_case(&judge, case);
    }
}

fn check_case(judge: &Judge, case: &Case) {
    let name = &case.name;
    let caller = case.caller.build();
    let (slug, id) = (EndpointSlug::parse(&case.endpoint).unwrap(), ToolId::parse(&case.tool).unwrap());
    let explanation = explain(judge, &caller, &slug, &id, case.now);
    assert_eq!(explanation.outcome, outcome(&case.outcome), "{name}: {explanation:#?}");
    if let Some(policies) = &case.policies {
        assert_eq!(&explanation.policies, policies, "{name}");
    }
    if let Some(reasons) = &case.reasons {
        assert_eq!(&explanation.reasons, reasons, "{name}");
    }
    if let Some(changes) = &case.changes {
        assert_eq!(&explanation.what_would_change, changes, "{name}");
    }
    let (Some(endpoint), Some(tool)) = (judge.endpoint_index(&slug), judge.tool_index(&id)) else { return };
    let class = judge.class(&caller);
    let verdict = judge.standing(&class, endpoint, tool, case.now);
    assert_eq!(verdict.outcome, explanation.outcome, "{name}");
    assert!(!verdict.evaluation_error, "{name}");
    let missing: Vec<_> = verdict.missing_scopes.iter().map(ToString::to_string).collect();
    assert_eq!(missing, case.missing, "{name}");
    if let Some(until) = case.until {
        assert_eq!(verdict.valid_until, until, "{name}");
    }
    let listed = judge.visible(&class, endpoint, case.now).tools.contains(&tool);
    assert_eq!(listed, verdict.outcome.is_listed(), "{name}");
}

#[test]
fn entitlement() {
    check(include_str!("../cases/entitlement.toml"));
}

#[test]
fn agents() {
    check(include_str!("../cases/agents.toml"));
}

#[test]
fn clients_and_scopes() {
    check(include_str!("../cases/clients-and-scopes.toml"));
}

#[test]
fn reveals() {
    check(include_str!("../cases/reveals.toml"));
}

#[test]
fn guards() {
    check(include_str!("../cases/guards.toml"));
}

#[test]
fn an_explanation_has_the_shape_scripts_read() {
    let judge = Judge::build(World::read(DEPLOYMENT).input()).unwrap();
    let caller = CallerSpec { user: Some("nobody".to_owned()), ..CallerSpec::default() }.build();
    let slug = EndpointSlug::parse("default").unwrap();
    let explanation = explain(&judge, &caller, &slug, &ToolId::parse("mux/get-asset").unwrap(), 0);
    let text = toml::to_string(&explanation).unwrap();
    let keys: Vec<_> = text.parse::<toml::Table>().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["outcome", "policies", "reasons", "reported", "what_would_change"]);
}
