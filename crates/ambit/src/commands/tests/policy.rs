//! The organisation's rules through the command line: checked, tested, explained.

use super::*;

const RULES: &str = r#"// What staff may look at.
@id("night") @message("orders are not read at night")
forbid (principal, action in Action::"call", resource)
when { context.time.hour >= 22 };

@id("big") forbid (principal, action == Action::"shop/get-order", resource)
when { context.arguments.id > 1000 } unless { context.approved };

@id("watch") @mode("report") forbid (principal, action, resource)
when { principal has user && principal.user.groups.contains("staff") };
"#;

const CASES: &str = r"
cases:
  - name: by day it is read
    as: alice
    tool: shop/get-order
    arguments: { id: 7 }
    context: { at: 2026-12-24T12:00:00Z }
    expect: allow
    by: [entitled]
    reported: [watch]
  - name: at night it is not
    as: alice
    tool: shop/get-order
    arguments: { id: 7 }
    context: { at: 2026-12-24T22:30:00Z }
    expect: refused
    by: [night]
  - name: a large one needs a second person
    as: alice
    tool: shop/get-order
    arguments: { id: 1001 }
    context: { at: 2026-12-24T12:00:00Z }
    expect: needs-approval
  - name: nobody else sees it
    as: bob
    tool: shop/get-order
    arguments: { id: 7 }
    expect: hidden
  - name: unless bob holds it
    as: bob
    holds: [look]
    tool: shop/get-order
    arguments: { id: 7 }
    context: { at: 2026-12-24T12:00:00Z, source: 10.0.0.7, login: { age: 10m, methods: [pwd] } }
    expect: allow
    reported: []
  - name: what destroys needs a reveal
    as: bob
    holds: [clear]
    tool: shop/delete-order
    arguments: { id: 7 }
    expect: hidden
    by: [guard.destructive-needs-reveal]
  - name: and then an approval of each call
    as: bob
    holds: [clear]
    revealed: [clear]
    tool: shop/delete-order
    arguments: { id: 7 }
    context: { at: 2026-12-24T12:00:00Z }
    expect: needs-approval
    by: [guard.destructive-needs-approval]
";

async fn desk(rules: &str) -> Desk {
    let desk = Desk::new(CONFIG);
    // Everything is accepted, so that only rules decide.
    desk.done("tools accept shop").await;
    fs::create_dir(desk.path("policies")).unwrap();
    fs::write(desk.path("policies/a.cedar"), rules).unwrap();
    fs::write(desk.path("policies/a.yaml"), CASES).unwrap();
    desk
}

#[tokio::test]
async fn rules_that_stand_are_checked_and_their_cases_pass() {
    let desk = desk(RULES).await;
    let checked = desk.done("policy check --json").await.json();
    assert_eq!((&checked["ok"], &checked["rules"]), (&json!(true), &json!(3)), "{checked}");
    let tested = desk.done("policy test --json").await.json();
    assert_eq!(tested["cases"].as_array().unwrap().len(), 7, "{tested}");
    let text = desk.done("policy test").await.out;
    assert_eq!(text, "7 cases: 7 passed, 0 failed\n");
}

#[tokio::test]
async fn a_case_that_fails_says_what_came_instead_and_why() {
    let desk = desk(&RULES.replace("22", "23")).await;
    let tested = desk.run("policy test").await;
    assert_eq!(tested.code, 1);
    assert!(tested.out.contains("a.yaml: at night it is not\n  expected refused, got allow"), "{}", tested.out);
    assert!(tested.out.contains("expected it decided by `night`, it was `entitled`"), "{}", tested.out);
    assert!(tested.out.ends_with("7 cases: 6 passed, 1 failed\n"), "{}", tested.out);
}

#[tokio::test]
async fn what_is_wrong_is_shown_at_its_place() {
    for (rules, said) in [
        ("permit (principal, action, resource);", "policies/a.cedar:1:1: a rule of the organisation only takes away"),
        (
            "// one\n@id(\"a\") forbid (principal, action, resource)\nwhen { resource.colour == \"red\" };",
            "policies/a.cedar:3:",
        ),
        (
            "@id(\"a\") forbid (principal, action in Action::\"call\", resource)\nwhen { context.arguments.colour == \"red\" };",
            "(in a call of `shop/",
        ),
        ("@id(\"a\") forbid (principal, action == Action::\"shop/gone\", resource);", "there is no tool `shop/gone`"),
        (
            "@id(\"a\") forbid (principal, action, resource)\nwhen { resource.effect == \"delete\" };",
            "policies/a.cedar:2:27: the rule can never match: `resource.effect` is never `delete`",
        ),
        (
            "@id(\"a\") forbid (principal, action, resource)\nwhen { resource.server.slug == \"shopp\" };",
            "policies/a.cedar:2:32: server `shopp` is not declared",
        ),
        (
            "@id(\"a\") forbid (principal, action in Action::\"call\", resource)\nwhen { context.arguments has colour };",
            "the rule can never match",
        ),
    ] {
        let desk = desk(rules).await;
        let checked = desk.run("policy check").await;
        assert_eq!(checked.code, 1, "{rules}: {} {}", checked.out, checked.err);
        assert!(checked.out.contains(said) && checked.out.contains('^'), "{rules}: {}", checked.out);
        let json = desk.run("policy check --json").await.json();
        assert_eq!(json["problems"].as_array().unwrap().len(), 1, "{json}");
    }
    // A configuration with rules that do not stand is not used by anything else.
    let desk = desk("permit (principal, action, resource);").await;
    let refused = desk.run("tools --as alice").await;
    assert_eq!(refused.code, 2, "{} {}", refused.out, refused.err);
    assert!(refused.err.contains("policies/a.cedar:1:1"), "{}", refused.err);
    assert_eq!(desk.run("policy check nowhere").await.code, 2);
}

/// What may become true is told and keeps nothing from starting.
#[tokio::test]
async fn names_that_nothing_has_are_told_and_refuse_nothing() {
    for (wrong, said, right) in [
        ("principal has agent && principal.agent.id == \"bott\"", "agent `bott` is not declared", "bot"),
        ("principal has user && principal.user.groups.contains(\"stuff\")", "nobody can be in group `stuff`", "staff"),
        ("principal.client.id == \"desk\"", "client `desk` is not declared", "dyn_desk"),
        ("[\"shop\", \"shopp\"].contains(resource.server.slug)", "server `shopp` is not declared", "shop"),
        ("resource.server == Server::\"shopp\" || resource.accepted", "server `shopp` is not declared", "shop"),
        ("!(resource.name == \"shop/get-odrer\")", "there is no tool `shop/get-odrer`", "shop/get-order"),
        ("resource.server.environment != \"tset\"", "no server has the environment `tset`", "test"),
        ("resource.server.data_class != \"public\"", "no server has the data class `public`", "internal"),
        ("!resource.labels.contains(\"private_data\")", "no tool has the label `private_data`", "public_sink"),
        (
            "principal has user && principal.user.key == \"local:alise\"",
            "there is no local account `alise`",
            "local:alice",
        ),
        (
            "principal has user && principal.user.key == \"okta:7\"",
            "issuer `okta` of `okta:7` is not declared",
            "local:bob",
        ),
    ] {
        let labelled = format!("{CONFIG}[servers.shop.labels]\n\"get-*\" = [\"public_sink\"]\n");
        let rule = |condition: &str| {
            format!("@id(\"a\") forbid (principal, action, resource)\nwhen {{ principal.operator && ({condition}) }};")
        };
        let desk = Desk::new(&labelled);
        fs::create_dir(desk.path("policies")).unwrap();
        fs::write(desk.path("policies/a.cedar"), rule(wrong)).unwrap();
        let checked = desk.run("policy check").await;
        assert_eq!(checked.code, 1, "{wrong}: {}", checked.out);
        assert!(checked.out.contains("a.cedar:2:") && checked.out.contains(said), "{wrong}: {}", checked.out);
        assert_eq!(desk.run("policy check --json").await.json()["problems"].as_array().unwrap().len(), 1);
        assert_eq!(desk.run("check").await.code, 0, "{wrong}");
        // The neighbour names what is there.
        let name = said.split('`').nth(1).unwrap();
        let name = if wrong.contains(&format!("\"local:{name}\"")) { format!("local:{name}") } else { name.to_owned() };
        let name = if name == "okta" { "okta:7".to_owned() } else { name };
        fs::write(desk.path("policies/a.cedar"), rule(&wrong.replace(&name, right))).unwrap();
        let checked = desk.run("policy check").await;
        assert_eq!(checked.code, 0, "{wrong}: {}", checked.out);
    }
}

/// The guide shows a first rule, and what is said to it.
#[tokio::test]
async fn the_first_rule_of_the_guide_is_told_what_the_guide_says() {
    let guide = include_str!("../../../../../docs/policies.md");
    let mut blocks = guide.split("```").skip(1).step_by(2);
    let rule = blocks.find_map(|block| block.strip_prefix("cedar\n")).unwrap();
    let answer = blocks.next().unwrap().trim().replace("policies/freeze.cedar", "policies/a.cedar");
    let checked = desk(rule).await.run("policy check").await;
    assert_eq!(checked.code, 1);
    assert!(checked.out.contains(&answer), "{}", checked.out);
    let corrected = rule.replace("context.time.date >= \"2026-12-20\"", "context.now >= datetime(\"2026-12-20\")");
    assert_ne!(corrected, rule);
    let checked = desk(&corrected).await.run("policy check").await;
    assert!(!checked.out.contains("unexpected type"), "{}", checked.out);
}

#[tokio::test]
async fn cases_that_cannot_be_run_say_why() {
    let desk = desk(RULES).await;
    for (cases, said) in [
        ("cases:\n  - name: x\n    tool: shop/get-order\n    expect: allow\n", "neither `as` nor `agent`"),
        ("cases:\n  - name: x\n    as: alice\n    tool: shop/get-order\n    expects: allow\n", "expects"),
        (
            "cases:\n  - name: x\n    as: alice\n    tool: shop/get-order\n    expect: allow\n    context: { at: noon }\n",
            "a time that is none",
        ),
    ] {
        fs::write(desk.path("policies/a.yaml"), cases).unwrap();
        let ended = desk.run("policy test").await;
        assert_eq!(ended.code, 2, "{cases}: {}", ended.out);
        assert!(ended.err.contains(said), "{cases}: {}", ended.err);
    }
    fs::remove_file(desk.path("policies/a.yaml")).unwrap();
    assert!(desk.run("policy test").await.err.contains("there are no cases"));
}

#[tokio::test]
async fn explain_goes_down_to_the_call() {
    let desk = desk(RULES).await;
    let config = CONFIG.replace("[servers.shop]\n", "[servers.shop]\napprovers = [\"user bob\"]\n");
    fs::write(desk.path("ambit.toml"), config).unwrap();
    let explain = async |more: &[&str]| {
        let mut words =
            vec!["explain", "--as", "alice", "--tool", "shop/get-order", "--json", "--at", "2026-12-24T12:00:00Z"];
        words.extend(more);
        desk.run_words(&words).await.json()
    };
    let asked = explain(&[]).await;
    assert!(asked["reasons"].to_string().contains("give them with `--args`"), "{asked}");
    assert_eq!(asked["reported"], json!(["watch"]));
    let large = explain(&["--args", r#"{"id":2000}"#]).await;
    assert_eq!((&large["outcome"], &large["policies"]), (&json!("needs-approval"), &json!(["big"])), "{large}");
    assert!(large["what_would_change"].to_string().contains("policies/a.cedar:6"), "{large}");
    let approved = explain(&["--args", r#"{"id":2000}"#, "--approved"]).await;
    assert_eq!(approved["outcome"], json!("allow"), "{approved}");
    let wrong = explain(&["--args", r#"{"id":"x"}"#]).await;
    assert_eq!(wrong["outcome"], json!("refused"), "{wrong}");
}
