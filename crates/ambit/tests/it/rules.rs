//! The organisation's rules in a running gateway: they count with the next request, a broken one changes nothing, and what
//! they would have changed about the past can be asked.

use std::fs;

use ambit::operator::{Act, socket::Answer};
use ambit_testkit::app::{Era, Given, TestApp, dated};
use serde_json::{Value, json};

use crate::world;

const HIDES: &str = r#"@id("no-reads") forbid (principal, action, resource)
when { resource.name == "things/get-thing" && principal has user && principal.user.groups.contains("editors") };
"#;

const REFUSES: &str = r#"@id("no-making") @message("nothing is made this week")
forbid (principal, action in Action::"call", resource) when { resource.effect == "write" };
"#;

fn write(app: &TestApp, folder: &str, text: &str) {
    let directory = app.directory().path().join(folder);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("a.cedar"), text).unwrap();
}

async fn reload(app: &TestApp) -> Result<(), String> {
    match app.act(&Act::Reload {}).await.unwrap() {
        Answer::Done(_) => Ok(()),
        Answer::Refused { message } => Err(message),
    }
}

#[tokio::test]
async fn rules_count_on_the_next_request_and_a_broken_one_changes_nothing() {
    let (app, api) = world::start().await;
    let mut alice = world::person(&app, "alice", "c");
    alice.initialize().await.unwrap();
    let bob = world::person(&app, "bob", "c");
    let before = app.live().current().judge.rules_digest();
    write(&app, "policies", &format!("{HIDES}{REFUSES}"));
    assert_eq!(alice.list().await.unwrap().len(), 3, "nothing counts before it is asked to");
    reload(&app).await.unwrap();
    assert_eq!(alice.list().await.unwrap(), ["create-thing", "list-things"]);
    assert_eq!(bob.list().await.unwrap(), ["get-thing", "list-things"], "a rule is about whom it says");
    for era in [Era::Modern, Era::Legacy] {
        // Hidden is like absent; refused says why.
        let hidden = alice.call_in(era, "get-thing", json!({"id": "1"})).await.unwrap();
        assert_eq!(hidden.json()["error"]["code"], -32602, "{}", hidden.text());
        let refused = alice.call_in(era, "create-thing", json!({"name": "x"})).await.unwrap();
        assert_eq!(refused.status, 200, "{}", refused.text());
        assert_eq!(refused.json()["result"]["isError"], true, "{}", refused.text());
        let said = refused.text();
        assert!(said.contains("not executed: nothing is made this week (rule `no-making`)"), "{said}");
    }
    assert_eq!(api.seen(), [""; 0]);
    let events = app.events().unwrap();
    let refused = events.iter().find(|event| event["decision"]["outcome"] == "refused").unwrap();
    assert_eq!(refused["decision"]["policies"], json!(["no-making"]));
    assert_ne!(refused["decision"]["rules"], json!(before), "the decision names the rules it was made by");

    write(&app, "policies", "permit (principal, action, resource);");
    let said = reload(&app).await.unwrap_err();
    assert!(said.contains("policies/a.cedar:1:1") && said.contains("grants let callers in"), "{said}");
    assert_eq!(alice.list().await.unwrap(), ["create-thing", "list-things"], "the old rules stay");
    fs::remove_dir_all(app.directory().path().join("policies")).unwrap();
    reload(&app).await.unwrap();
    assert_eq!(alice.list().await.unwrap().len(), 3);
    assert_eq!(app.live().current().judge.rules_digest(), before);
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_rule_about_the_call_is_asked_with_every_call_and_named_in_the_trail() {
    let (app, api) = world::start().await;
    let mut alice = world::person(&app, "alice", "c");
    alice.initialize().await.unwrap();
    write(
        &app,
        "policies",
        r#"@id("not-seven") @message("number seven is kept as it is")
           forbid (principal, action == Action::"things/get-thing", resource) when { context.arguments.id == "7" };
           @id("second-person") forbid (principal, action == Action::"things/get-thing", resource)
           when { context.arguments.id == "8" } unless { context.approved };
           @id("far") @mode("report") forbid (principal, action in Action::"call", resource)
           unless { context has source && context.source.isInRange(ip("10.0.0.0/8")) };"#,
    );
    reload(&app).await.unwrap();
    for era in [Era::Modern, Era::Legacy] {
        let fine = alice.call_in(era, "get-thing", json!({"id": "6"})).await.unwrap();
        assert!(world::is_fine(&fine), "{}", fine.text());
        let refused = alice.call_in(era, "get-thing", json!({"id": "7"})).await.unwrap();
        assert!(refused.text().contains("not executed: number seven is kept as it is"), "{}", refused.text());
        assert_eq!(refused.json()["result"]["isError"], true);
        let held = alice.call_in(era, "get-thing", json!({"id": "8"})).await.unwrap();
        assert!(held.text().contains("needs the approval of"), "{}", held.text());
    }
    assert_eq!(api.seen(), ["GET /things/6", "GET /things/6"]);
    let events = app.events().unwrap();
    let decided =
        |outcome: &str| events.iter().filter(|event| event["decision"]["outcome"] == outcome).collect::<Vec<_>>();
    let refused = decided("refused");
    assert_eq!(refused[0]["decision"]["policies"], json!(["not-seven"]), "{:?}", refused[0]);
    assert!(decided("allow").iter().any(|event| event["decision"]["reported"] == json!(["far"])), "{events:?}");
    assert!(!serde_json::to_string(&events).unwrap().contains("\"7\""), "no argument stands in the trail plainly");
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_rule_that_cannot_be_evaluated_denies_and_alerts() {
    let (app, api) = world::start().await;
    let alice = world::person(&app, "alice", "c");
    // Integers end: beyond the largest there is no value, and a rule without a value decides nothing by itself.
    write(
        &app,
        "policies",
        r#"@id("standing") forbid (principal, action, resource)
           when { resource.name == "things/get-thing" && 9223372036854775807 + 1 == 0 };
           @id("per-call") forbid (principal, action == Action::"things/list-things", resource)
           when { context.arguments has limit && context.arguments.limit * 9223372036854775807 == 7 };
           @id("tried") @mode("report") forbid (principal, action, resource)
           when { resource.name == "things/create-thing" && 9223372036854775807 + 1 == 0 };"#,
    );
    reload(&app).await.unwrap();
    let before = app.gateway().metrics();
    assert!(!before.contains("ambit_rule_errors_total{"), "{before}");
    // Nobody sees what a broken rule is about; the others go on.
    assert_eq!(alice.list().await.unwrap(), ["create-thing", "list-things"]);
    let hidden = alice.call("get-thing", json!({"id": "1"})).await.unwrap();
    assert_eq!(hidden.json()["error"]["code"], -32602, "{}", hidden.text());
    let fine = alice.call("list-things", json!({})).await.unwrap();
    assert!(world::is_fine(&fine), "{}", fine.text());
    let refused = alice.call("list-things", json!({"limit": 2})).await.unwrap();
    assert_eq!(refused.json()["result"]["isError"], true, "{}", refused.text());
    assert!(refused.text().contains("a rule about this call could not be evaluated"), "{}", refused.text());
    // What is only recorded breaks nothing.
    let made = alice.call("create-thing", json!({"name": "x"})).await.unwrap();
    assert!(world::is_fine(&made), "{}", made.text());
    assert_eq!(api.seen().len(), 2, "{:?}", api.seen());

    let events = app.events().unwrap();
    let decision = |tool: &str, outcome: &str| {
        let of = |event: &&Value| event["target"]["tool"] == tool && event["decision"]["outcome"] == outcome;
        events.iter().find(of).unwrap_or_else(|| panic!("no {outcome} of {tool}: {events:#?}"))["decision"].clone()
    };
    for (tool, outcome, rule) in [("get-thing", "hidden", "standing"), ("list-things", "refused", "per-call")] {
        let decided = decision(tool, outcome);
        assert_eq!((&decided["failed"], &decided["policies"]), (&json!(true), &json!([rule])), "{decided}");
    }
    let recorded = decision("create-thing", "allow");
    assert_eq!(recorded["reported"], json!(["tried (cannot be evaluated)"]), "{recorded}");
    assert!(recorded.get("failed").is_none(), "{recorded}");
    let metrics = app.gateway().metrics();
    // Once for the list, once for the call.
    for line in [r#"ambit_rule_errors_total{rule="standing"} 2"#, r#"ambit_rule_errors_total{rule="per-call"} 1"#] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    app.stop().await.unwrap();
}

#[tokio::test]
async fn rules_read_the_login_the_address_and_the_client_of_a_real_call() {
    let (app, api) = world::start().await;
    let alice = world::person(&app, "alice", "c");
    let rules = |login: &str, source: &str, client: &str| {
        format!(
            r#"@id("login") forbid (principal, action in Action::"call", resource)
               unless {{ context has login && context.login.age_seconds < 300 && context.login.methods.contains("{login}") }};
               @id("source") forbid (principal, action in Action::"call", resource)
               unless {{ context has source && context.source.isInRange(ip("{source}")) }};
               @id("client") forbid (principal, action in Action::"call", resource)
               unless {{ principal.client.id == "{client}" }};"#
        )
    };
    for (login, source, client, deciding) in [
        ("pwd", "127.0.0.0/8", "c", None),
        ("otp", "127.0.0.0/8", "c", Some(json!(["login"]))),
        ("pwd", "10.0.0.0/8", "c", Some(json!(["source"]))),
        ("pwd", "127.0.0.0/8", "other", Some(json!(["client"]))),
    ] {
        write(&app, "policies", &rules(login, source, client));
        reload(&app).await.unwrap();
        let answer = alice.call("get-thing", json!({"id": "1"})).await.unwrap();
        assert_eq!(world::is_fine(&answer), deciding.is_none(), "{deciding:?}: {}", answer.text());
        if let Some(deciding) = deciding {
            let events = app.events().unwrap();
            let last = events.iter().rfind(|event| event["decision"]["outcome"] == "refused").unwrap();
            assert_eq!(last["decision"]["policies"], deciding);
        }
    }
    assert_eq!(api.seen(), ["GET /things/1"]);
    // What the rules read is kept, so other rules about it can be tried on these calls.
    let proposed = app.directory().path().join("proposed").display().to_string();
    write(&app, "proposed", &rules("otp", "127.0.0.0/8", "c"));
    let said = world::ambit(&app, &["simulate", "--since", "1d", "--json", "--policies", &proposed]).await;
    let found: Value = serde_json::from_str(&said).unwrap();
    // The last was refused before anything of the call was looked at.
    assert_eq!(
        (&found["decisions"], &found["undecided"]["the source address"]["count"]),
        (&json!(4), &json!(1)),
        "{found}"
    );
    assert_eq!(found["undecided"].as_object().unwrap().len(), 1, "{found}");
    app.stop().await.unwrap();
}

#[tokio::test]
async fn an_earlier_rule_set_is_written_back_and_applied() {
    let (app, _api) = world::start().await;
    let alice = world::person(&app, "alice", "c");
    write(&app, "policies", HIDES);
    reload(&app).await.unwrap();
    let first = app.live().current().judge.rules_digest();
    fs::write(app.directory().path().join("policies/b.cedar"), REFUSES).unwrap();
    write(&app, "policies", &HIDES.replace("get-thing", "list-things"));
    reload(&app).await.unwrap();
    assert_eq!(alice.list().await.unwrap(), ["create-thing", "get-thing"]);
    let history: Value = serde_json::from_str(&world::ambit(&app, &["policy", "history", "--json"]).await).unwrap();
    assert_eq!(history.as_array().unwrap().len(), 3, "{history}");
    assert_eq!(history[0]["files"], json!(["policies/a.cedar", "policies/b.cedar"]));

    // What was never applied is not thrown away unasked.
    write(&app, "policies", "// a thought\n");
    let (code, out, err) = app.ambit(&["policy", "rollback", &first.short()]).await;
    assert_eq!(code, 1, "{out}");
    assert!(err.contains("never applied"), "{err}");
    let said = world::ambit(&app, &["policy", "rollback", &first.short(), "--discard"]).await;
    assert!(said.contains("1 file of rule set"), "{said}");
    assert_eq!(alice.list().await.unwrap(), ["create-thing", "list-things"]);
    assert_eq!(app.live().current().judge.rules_digest(), first);
    assert!(!app.directory().path().join("policies/b.cedar").exists());
    for (digest, code) in [("0000", 2), ("", 2)] {
        assert_eq!(app.ambit(&["policy", "rollback", digest]).await.0, code, "{digest}");
    }
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_gateway_does_not_start_with_rules_that_do_not_stand() {
    let directory = std::sync::Arc::new(tempfile::tempdir().unwrap());
    fs::write(directory.path().join("things.json"), world::DOCUMENT).unwrap();
    fs::create_dir(directory.path().join("policies")).unwrap();
    fs::write(directory.path().join("policies/a.cedar"), "forbid (principal, action, resource);").unwrap();
    let api = world::Api::start().await;
    let given = Given { directory: Some(directory), ..Given::default() };
    let refused = TestApp::with(&world::config(api.address), given).await.err().unwrap();
    assert!(format!("{refused:#}").contains("the rule has no `@id`"), "{refused:#}");
}

#[tokio::test]
async fn what_other_rules_and_grants_would_have_changed_is_said_of_real_calls() {
    let (app, _api) = world::start().await;
    let mut alice = world::person(&app, "alice", "c");
    let bob = world::person(&app, "bob", "c");
    alice.initialize().await.unwrap();
    for era in [Era::Modern, Era::Legacy] {
        alice.call_in(era, "create-thing", json!({"name": "x"})).await.unwrap();
        alice.call_in(era, "get-thing", json!({"id": "1"})).await.unwrap();
    }
    bob.call("get-thing", json!({"id": "1"})).await.unwrap();
    bob.call("create-thing", json!({"name": "x"})).await.unwrap();

    let simulate = async |args: &[&str]| -> Value {
        let all = [&["simulate", "--since", "1d", "--json"], args].concat();
        serde_json::from_str(&world::ambit(&app, &all).await).unwrap()
    };
    write(&app, "proposed", &format!("{HIDES}{REFUSES}"));
    let proposed = app.directory().path().join("proposed").display().to_string();
    let found = simulate(&["--policies", &proposed]).await;
    assert_eq!(found["decisions"], 6, "{found}");
    assert_eq!(found["newly_denied"]["count"], 4, "{found}");
    let changes = found["newly_denied"]["changes"].as_array().unwrap();
    let said: Vec<_> = changes
        .iter()
        .map(|row| (row["tool"].as_str().unwrap(), row["to"].as_str().unwrap(), row["count"].as_u64().unwrap()))
        .collect();
    assert_eq!(said, [("things/create-thing", "refused", 2), ("things/get-thing", "hidden", 2)]);
    assert_eq!(changes[0]["policies"], json!(["no-making"]));
    assert!(changes[0]["examples"][0]["leaf"].is_u64(), "{found}");
    assert_eq!((&found["newly_allowed"]["count"], &found["undecided"]), (&json!(0), &json!({})), "{found}");
    assert_eq!(found["tools"], json!(["things/create-thing", "things/get-thing"]));

    // A rule over an argument that no rule read at the time: it cannot be said.
    let by_name = r#"@id("names") forbid (principal, action == Action::"things/create-thing", resource)
        when { context.arguments has body && context.arguments.body.name == "x" };"#;
    let by_id = r#"@id("ids") forbid (principal, action == Action::"things/get-thing", resource)
        when { context.arguments.id == "1" };"#;
    write(&app, "proposed", by_id);
    let found = simulate(&["--policies", &proposed]).await;
    assert_eq!(found["undecided"]["an argument"]["count"], 3, "{found}");
    assert_eq!(found["newly_denied"]["count"], 0, "{found}");
    // From when a rule reads it, it is kept, and no other argument is.
    write(&app, "policies", &by_id.replace("== \"1\"", "== \"2\""));
    reload(&app).await.unwrap();
    alice.call("get-thing", json!({"id": "1"})).await.unwrap();
    let found = simulate(&["--policies", &proposed]).await;
    assert_eq!((&found["newly_denied"]["count"], &found["undecided"]["an argument"]["count"]), (&json!(1), &json!(3)));
    assert!(!serde_json::to_string(&app.events().unwrap()).unwrap().contains("\"id\":\"1\""), "kept sealed");
    write(&app, "proposed", by_name);
    let (code, out, err) = app.ambit(&["policy", "check", &proposed]).await;
    assert!(code <= 1, "{out}{err}");

    // Other grants: bob may make things, alice may not.
    let grants = app.directory().path().join("grants.toml");
    let text = "[[grants]]\ngroup = \"readers\"\ntoolset = \"things-edit\"\nreason = \"r\"\nexpires = 2099-01-01\n";
    fs::write(&grants, dated(text, app.live().clock().now())).unwrap();
    let found = simulate(&["--grants", grants.to_str().unwrap()]).await;
    assert_eq!(found["newly_allowed"]["changes"][0]["tool"], "things/create-thing", "{found}");
    assert_eq!(found["newly_allowed"]["count"], 1, "{found}");
    assert!(found["newly_denied"]["count"].as_u64().unwrap() >= 3, "{found}");
    let words = world::ambit(&app, &["simulate", "--since", "1d", "--grants", grants.to_str().unwrap()]).await;
    assert!(words.contains("newly allowed: 1\n  1× local:bob + c  things/create-thing  hidden → allow"), "{words}");
    for (args, said) in [
        (vec!["simulate"], "name what is proposed"),
        (vec!["simulate", "--policies", "nowhere"], "cannot be read"),
        (vec!["simulate", "--policies", &proposed, "--since", "soon"], "is no time"),
    ] {
        let (code, _, err) = app.ambit(&args).await;
        assert_eq!(code, 2, "{args:?}: {err}");
        assert!(err.contains(said), "{args:?}: {err}");
    }
    app.stop().await.unwrap();
}

/// What is undecided says what was missing, and what a grant limits is held against an argument that was kept.
#[tokio::test]
async fn what_was_not_kept_is_named_and_what_was_is_used() {
    let (app, _api) = world::start().await;
    let (alice, bob) = (world::person(&app, "alice", "c"), world::person(&app, "bob", "c"));
    alice.call("get-thing", json!({"id": "1"})).await.unwrap();
    bob.call("get-thing", json!({"id": "1"})).await.unwrap();
    let by_id = r#"@id("ids") forbid (principal, action == Action::"things/get-thing", resource)
        when { context.arguments.id == "2" };"#;
    write(&app, "proposed", by_id);
    let proposed = app.directory().path().join("proposed").display().to_string();
    let simulate = ["simulate", "--since", "1d", "--policies", &proposed];
    let found: Value = serde_json::from_str(&world::ambit(&app, &[&simulate[..], &["--json"]].concat()).await).unwrap();
    let missing = &found["missing"][0];
    assert_eq!(
        (&missing["tool"], &missing["argument"], &missing["rule"], &missing["count"]),
        (&json!("things/get-thing"), &json!("/id"), &json!("ids"), &json!(2)),
        "{found}"
    );
    assert_eq!(found["tools"], json!(["things/get-thing"]));
    assert_eq!(found["identities"], json!(["local:alice + c", "local:bob + c"]));
    let words = world::ambit(&app, &simulate).await;
    assert!(words.contains("an argument (`/id`), which rule `ids` reads (such as record #"), "{words}");

    // A grant that limits the argument, over calls of which it was not kept and one of which it was.
    let grants = app.directory().path().join("grants.toml");
    let editors = "[[grants]]\ngroup = \"editors\"\ntoolset = \"things-edit\"\nreason = \"r\"\nexpires = 2099-01-01\n";
    let readers = editors.replace("editors", "readers").replace("things-edit", "things-read");
    let held = |id: &str| {
        let limit = format!("[grants.constraints.\"things/get-thing\".properties]\nid = {{ enum = [\"{id}\"] }}\n");
        fs::write(&grants, dated(&format!("{readers}{editors}{limit}"), app.live().clock().now())).unwrap();
    };
    let simulate = async || -> Value {
        let line = ["simulate", "--since", "1d", "--json", "--grants", grants.to_str().unwrap()];
        serde_json::from_str(&world::ambit(&app, &line).await).unwrap()
    };
    held("2");
    let found = simulate().await;
    assert_eq!(found["undecided"]["an argument that a grant limits"]["count"], 1, "{found}");
    assert_eq!(found["missing"][0]["argument"], "/id", "{found}");
    write(&app, "policies", by_id);
    reload(&app).await.unwrap();
    alice.call("get-thing", json!({"id": "1"})).await.unwrap();
    let found = simulate().await;
    assert_eq!(found["newly_denied"]["count"], 1, "{found}");
    assert_eq!(found["newly_denied"]["changes"][0]["policies"], json!(["guard.argument-constraints"]), "{found}");
    held("1");
    assert_eq!(simulate().await["newly_denied"]["count"], 0);
    app.stop().await.unwrap();
}
