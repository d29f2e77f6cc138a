//! Rules that can be seen to match never, each beside a neighbour that may.

use cedar_policy::Policy;

use super::*;

fn seen(conditions: &str) -> Option<String> {
    let policy = Policy::parse(None, format!("forbid (principal, action, resource) {conditions};")).unwrap();
    seen_in(policy.to_json().unwrap().get("conditions").unwrap()).map(|never| never.message)
}

#[test]
fn a_comparison_that_nothing_satisfies_is_seen() {
    for (conditions, message) in [
        ("when { resource.effect == \"destroy\" }", "`resource.effect` is never `destroy`"),
        ("unless { \"Read\" == resource.effect }", "`resource.effect` is never `Read`"),
        ("when { resource.effect != \"delete\" }", "`resource.effect` is never `delete`"),
        ("when { [\"read\", \"wirte\"].contains(resource.effect) }", "`resource.effect` is never `wirte`"),
        (
            "when { resource.accepted && principal.client.assurance == \"strong\" }",
            "`principal.client.assurance` is never `strong`",
        ),
        ("when { context.time.weekday == \"Sunday\" }", "`context.time.weekday` is never `Sunday`"),
        ("when { context.time.hour == 24 }", "`context.time.hour` is never == 24"),
        ("when { context.time.hour >= 24 || context.time.hour < 6 }", "`context.time.hour` is never >= 24"),
        ("when { 0 > context.time.minute }", "`context.time.minute` is never < 0"),
        ("when { context.time.minute > 59 }", "`context.time.minute` is never > 59"),
        ("when { context has login && context.login.age_seconds < 0 }", "`context.login.age_seconds` is never < 0"),
    ] {
        assert_eq!(seen(conditions).as_deref(), Some(message), "{conditions}");
    }
}

#[test]
fn conditions_that_exclude_each_other_are_seen() {
    for (conditions, part) in [
        ("when { resource.effect == \"read\" && resource.effect == \"write\" }", "cannot be `read` and `write`"),
        (
            "when { resource.server.slug == \"a\" } when { \"b\" == resource.server.slug }",
            "`resource.server.slug` cannot be `a` and `b`",
        ),
        ("when { principal.operator == true } unless { principal.operator == true }", "leaves exactly that out"),
        (
            "when { context.arguments.n == 1 } unless { context.approved || context.arguments.n == 1 }",
            "`context.arguments.n` is `1`",
        ),
    ] {
        let message = seen(conditions).unwrap_or_default();
        assert!(message.contains(part), "{conditions}: {message}");
    }
}

#[test]
fn what_may_match_is_left_alone() {
    for conditions in [
        "",
        "when { resource.effect == \"write\" || resource.effect == \"read\" }",
        "when { resource.effect == \"write\" } unless { resource.effect == \"read\" }",
        "when { [\"read\", \"write\"].contains(resource.effect) }",
        "when { resource.server.environment == \"anything\" }",
        "when { context.time.hour < 24 && context.time.hour >= 0 && 23 == context.time.hour }",
        "when { context.time.weekday != \"sunday\" }",
        "when { resource.effect == principal.wish }",
        "when { resource.effect == \"read\" } unless { resource.effect == \"read\" && context.approved }",
        "when { context.arguments.effect == \"destroy\" }",
    ] {
        assert_eq!(seen(conditions), None, "{conditions}");
    }
}

/// What is refused, why, and its neighbour that may match.
const NEIGHBOURS: &[(&str, &str, &str)] = &[
    (
        "context.time.hour > 20 && context.time.hour < 6",
        "`context.time.hour` cannot be `> 20` and `< 6` at once",
        "context.time.hour > 20 || context.time.hour < 6",
    ),
    (
        "context.time.hour >= 8 && 8 > context.time.hour",
        "`context.time.hour` cannot be `>= 8` and `< 8` at once",
        "context.time.hour >= 8 && 9 > context.time.hour",
    ),
    (
        "context.time.hour == 7 && context.time.hour > 7",
        "cannot be `7` and `> 7`",
        "context.time.hour == 7 && context.time.hour > 6",
    ),
    (
        "[22, 23].contains(context.time.hour) && context.time.hour < 22",
        "`context.time.hour`",
        "[22, 23].contains(context.time.hour) && context.time.hour < 23",
    ),
    (
        "[\"read\", \"write\"].contains(resource.effect) && resource.effect == \"destructive\"",
        "cannot be",
        "[\"read\", \"write\"].contains(resource.effect) && resource.effect != \"read\"",
    ),
    (
        "resource.effect != \"read\" && resource.effect != \"write\" && resource.effect != \"destructive\"",
        "`resource.effect` cannot be not `read` and not `write` and not `destructive` at once",
        "resource.effect != \"read\" && resource.effect != \"write\"",
    ),
    (
        "context.arguments.n > 10 && !(context.arguments.n >= 5)",
        "`context.arguments.n` cannot be `> 10` and `< 5`",
        "context.arguments.n > 10 && !(context.arguments.n >= 50)",
    ),
    (
        "resource.server.slug == \"mux\" && resource.server.slug like \"git*\"",
        "cannot be `mux` and like `git*`",
        "resource.server.slug == \"mux\" && resource.server.slug like \"m*\"",
    ),
    (
        "principal.operator && !principal.operator",
        "asks that `principal.operator`, and leaves exactly that out",
        "principal.operator && !resource.accepted",
    ),
    (
        "principal.user.groups.contains(\"a\") && !principal.user.groups.contains(\"a\")",
        "leaves exactly that out",
        "principal.user.groups.contains(\"a\") && !principal.user.groups.contains(\"b\")",
    ),
    (
        "principal.user.groups.containsAll([\"a\", \"b\"]) && !principal.user.groups.contains(\"b\")",
        "leaves exactly that out",
        "principal.user.groups.containsAny([\"a\", \"b\"]) && !principal.user.groups.contains(\"b\")",
    ),
    (
        "(resource.accepted || principal.operator) && !resource.accepted && !principal.operator",
        "leaves exactly that out",
        "(resource.accepted || principal.operator) && !resource.accepted",
    ),
    (
        "context.now > datetime(\"2027-01-02\") && context.now < datetime(\"2027-01-01T12:00:00Z\")",
        "`context.now` cannot be `> 2027-01-02` and `< 2027-01-01T12:00:00Z`",
        "context.now > datetime(\"2027-01-01\") && context.now < datetime(\"2027-01-01T12:00:00Z\")",
    ),
    (
        "context.now < datetime(\"2020-01-01\")",
        "`context.now` is never < 2020-01-01",
        "context.now < datetime(\"2036-01-01\")",
    ),
    (
        "datetime(\"2019-06-01T00:00:00Z\") >= context.now",
        "`context.now` is never <= 2019-06-01T00:00:00Z",
        "datetime(\"2019-06-01T00:00:00Z\") <= context.now",
    ),
    (
        "context.time.date == \"24.12.2026\"",
        "`context.time.date` is never `24.12.2026`",
        "context.time.date == \"2026-12-24\"",
    ),
    ("context.time.date == \"2026-02-30\"", "is never `2026-02-30`", "context.time.date == \"2028-02-29\""),
    ("context.time.date == \"2019-12-24\"", "is never `2019-12-24`", "context.time.date != \"2026-12-24\""),
    (
        "[\"2026-12-24\", \"26/12/2026\"].contains(context.time.date)",
        "is never `26/12/2026`",
        "[\"2026-12-24\", \"2026-12-26\"].contains(context.time.date)",
    ),
    ("context.time.date like \"24.12.*\"", "is never like `24.12.*`", "context.time.date like \"*-12-24\""),
    (
        "principal.user.key == \"alice\"",
        "`principal.user.key` is never `alice`",
        "principal.user.key == \"local:alice\"",
    ),
    (
        "[\"local:alice\", \"bob\"].contains(principal.user.key)",
        "is never `bob`",
        "[\"local:alice\", \"okta:bob\"].contains(principal.user.key)",
    ),
    ("principal.agent.owner == \"alice\"", "is never `alice`", "principal.agent.owner == \"okta:a:b\""),
    ("principal.agent.id == \"My Bot\"", "is never `My Bot`", "principal.agent.id == \"my-bot\""),
    (
        "principal.user.groups.contains(\"On Call\")",
        "never holds `On Call`",
        "principal.user.groups.contains(\"on-call\")",
    ),
    ("resource.server.slug == \"Mux\"", "is never `Mux`", "resource.server.slug == \"mux\""),
    ("resource.name == \"delete\"", "is never `delete`", "resource.name == \"mux/delete\""),
    (
        "resource.labels.contains(\"untrusted-content\")",
        "`resource.labels` never holds `untrusted-content`",
        "resource.labels.contains(\"untrusted_content\")",
    ),
    (
        "context.touched.contains(\"public_sink\")",
        "`context.touched` never holds `public_sink`",
        "context.touched.contains(\"private_data\")",
    ),
    (
        "context.touched.containsAll([\"private_data\", \"public_sink\"])",
        "never holds `public_sink`",
        "context.touched.containsAll([\"private_data\", \"untrusted_content\"])",
    ),
    ("resource.effect like \"destroy*\"", "is never like `destroy*`", "resource.effect like \"destruct*\""),
];

#[test]
fn every_hole_is_closed_and_its_neighbour_stands() {
    for (wrong, message, right) in NEIGHBOURS {
        let said = seen(&format!("when {{ {wrong} }}")).unwrap_or_default();
        assert!(said.contains(message), "{wrong}: {said}");
        assert_eq!(seen(&format!("when {{ {right} }}")), None, "{right}");
        // Written the other way round, with the same meaning.
        let turned = seen(&format!("unless {{ !({wrong}) }}")).unwrap_or_default();
        assert!(turned.contains(message), "unless not {wrong}: {turned}");
    }
}

#[test]
fn a_part_that_never_matches_is_told_as_a_part() {
    let part = |conditions: &str| {
        let policy = Policy::parse(None, format!("forbid (principal, action, resource) {conditions};")).unwrap();
        seen_in(policy.to_json().unwrap().get("conditions").unwrap()).map(|never| never.part)
    };
    let night = "context.time.hour > 20 && context.time.hour < 6";
    assert_eq!(part(&format!("when {{ {night} }}")), Some(false));
    assert_eq!(part(&format!("when {{ {night} || context.time.weekday == \"sunday\" }}")), Some(true));
    assert_eq!(part(&format!("when {{ resource.accepted }} unless {{ {night} }}")), Some(true));
    assert_eq!(part("when { if context.approved then context.approved && resource.accepted else true }"), None);
    assert_eq!(
        part("when { (resource.accepted && context.approved) || (!resource.accepted && principal.operator) }"),
        None
    );
    assert_eq!(part("when { false }"), None, "switched off on purpose");
}

/// A rule with more ways to match than anybody counts is left alone, and costs no time.
#[test]
fn what_is_too_large_is_left_alone() {
    let many = (0..40).map(|n| format!("(context.arguments.a{n} == 1 || context.arguments.b{n} == 2)"));
    assert_eq!(seen(&format!("when {{ {} }}", many.collect::<Vec<_>>().join(" && "))), None);
    let stars = "*a".repeat(500);
    assert_eq!(
        seen(&format!(
            "when {{ context.arguments.x == \"{}\" && context.arguments.x like \"{stars}b\" }}",
            "a".repeat(2000)
        ))
        .as_deref()
        .map(|said| said.contains("cannot be")),
        Some(true)
    );
}
