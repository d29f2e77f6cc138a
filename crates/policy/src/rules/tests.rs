//! Which rule sets stand, and what is known of their rules.

use super::*;
use crate::PolicyFile;

fn platform(text: &str) -> Result<Rules, RulesError> {
    Rules::build(text, Arc::default())
}

/// The platform's rules and these of the organisation.
fn organisation(text: &str) -> Result<Rules, RulesError> {
    let file = PolicyFile { name: "policies/a.cedar".to_owned(), text: text.to_owned() };
    Rules::load(Arc::new(Policies::new(vec![file], None).unwrap()))
}

#[test]
fn the_platform_rules_stand_and_carry_their_ids() {
    let rules = Rules::platform().unwrap();
    let mut ids: Vec<_> = rules.all.iter().map(Rule::id).collect();
    ids.sort_unstable();
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
        id::FLOW,
        id::NEEDS_APPROVAL,
    ];
    expected.sort_unstable();
    assert_eq!(ids, expected);
}

#[test]
fn rules_that_tell_list_from_call_are_recognised() {
    let one =
        |rules: &Rules| rules.all().iter().filter(|rule| !rule.is_per_call()).all(|rule| !rule.tells_actions_apart());
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
        assert_eq!(one(&platform(&policy).unwrap()), one_answer, "{policy}");
    }
}

#[test]
fn rules_that_name_a_tool_are_recognised() {
    assert!(!Rules::platform().unwrap().names_tools());
    for (scope, condition, names) in [
        ("resource is Tool", "resource.accepted", false),
        ("resource", "resource.server == Server::\"mux\"", false),
        ("resource", "resource == Tool::\"mux/a\"", true),
        ("resource", "resource.name like \"mux/*\"", true),
        ("resource == Tool::\"mux/a\"", "resource.accepted", true),
        ("resource", "[Tool::\"mux/a\", Tool::\"mux/b\"].contains(resource)", true),
        ("resource", "resource in [Tool::\"mux/a\"]", true),
        ("resource in Tool::\"mux/a\"", "resource.accepted", true),
    ] {
        let policy = format!("@id(\"a\") forbid (principal, action, {scope}) when {{ {condition} }};");
        assert_eq!(platform(&policy).unwrap().names_tools(), names, "{policy}");
    }
}

#[test]
fn the_digest_covers_every_rule() {
    let base = Rules::platform().unwrap().digest();
    assert_ne!(platform(&format!("{PLATFORM_POLICIES}// one more line\n")).unwrap().digest(), base);
    let rule = "@id(\"a\") forbid (principal, action, resource) when { resource.effect == \"write\" };";
    let one = organisation(rule).unwrap().digest();
    assert_ne!(one, base);
    assert_ne!(organisation(&format!("{rule}\n")).unwrap().digest(), one);
}

#[test]
fn platform_rules_that_cannot_be_told_apart_or_do_not_fit_are_refused() {
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
        let error = platform(&policies).err().unwrap().to_string();
        assert!(error.contains(complaint), "{policies}: {error}");
    }
}

#[test]
fn rules_of_the_organisation_that_do_not_fit_are_refused_at_their_place() {
    for (rule, message) in [
        ("@id(\"a\") forbid (principal, action, resource)\nwhen { resource.colour == 1 };", "a.cedar:2:"),
        ("@id(\"a\") forbid (principal, action, resource) when { principal.user.holds.isEmpty() };", "a.cedar:1:"),
        ("@id(\"a\") forbid (principal, action, resource) when { resource.effect == 1 };", "a.cedar:1:"),
        // Can never match.
        ("// one\n@id(\"a\") forbid (principal, action, resource) when { false };", "a.cedar:2:"),
        ("@id(\"a\") forbid (principal is Tool, action, resource);", "a.cedar:1:"),
        ("@id(\"a\") forbid (principal, action == Action::\"describe\", resource) when { resource.x };", "a.cedar:1:"),
        // Text made to be misread.
        ("@id(\"a\") forbid (principal, action, resource) when { resource.effect == \"re\u{0430}d\" };", "a.cedar:1:"),
    ] {
        match organisation(rule) {
            Err(RulesError::Organisation(problems)) => {
                assert!(problems[0].to_string().contains(message), "{rule}: {}", problems[0]);
                assert_eq!(problems[0].rule.as_deref(), Some("a"), "{rule}");
            }
            Err(other) => panic!("{rule}: {other}"),
            Ok(_) => panic!("{rule} stands"),
        }
    }
}

#[test]
fn what_rules_may_read_is_in_the_schema() {
    let facts = r#"
        @id("caller") forbid (principal, action, resource)
        when { principal has user && principal.user.key == "local:alice" && principal.user.groups.contains("staff") }
        when { principal.hasTag("org_id") && principal.getTag("org_id").contains("acme") }
        when { principal.client.id == "c" && principal.client.assurance == "dynamic" }
        when { principal has agent && principal.agent.id == "bot" && principal.agent.owner == "local:bob" };
        @id("tool") forbid (principal, action == Action::"list", resource)
        when { resource.name like "mux/delete-*" && resource.labels.contains("private_data") && resource.accepted }
        when { resource.server.slug == "mux" && resource.server.environment == "production" }
        when { resource.server.data_class == "internal" && resource.server.owner == "team" };
        @id("call") @mode("report") forbid (principal, action in Action::"call", resource)
        when { context.time.hour < 8 || context.time.weekday == "sunday" || context.time.date == "2026-12-24" }
        when { context.now < datetime("2027-01-01") && context has source && context.source.isInRange(ip("10.0.0.0/8")) }
        when { context has login && context.login.age_seconds > 300 && !context.login.methods.contains("otp") }
        unless { context.approved || context.approval_waived || context.touched.contains("untrusted_content") };
        @id("one") forbid (principal, action == Action::"mux/delete-asset", resource) unless { context.approved };
    "#;
    organisation(facts).unwrap_or_else(|error| panic!("{error}"));
}
