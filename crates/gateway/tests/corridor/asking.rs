//! Ambit's own tools: who sees them, what they say, and that nothing comes of asking before people have said so.

use std::collections::BTreeSet;

use ambit_identity::{
    access::{Ruling, confirm, decide},
    token::TokenSubject,
};
use ambit_live::deployment::{Agent, Deployment};
use ambit_model::{
    access::{AccessRules, MAX_OPEN, UNCONFIRMED_LIFE_MS},
    approval::{Approver, Says, Via},
    grant::{Grant, GrantSubject},
    ids::{AccessId, AgentId, GrantId, Millis, ServerSlug, ToolId, ToolsetSlug, UserKey},
    operator::{Role, RoleHolder, Roles},
    revocation::Scope,
    toolset::Toolset,
};
use http::StatusCode;
use serde_json::{Value, json};

use crate::room::{Answer, LEGACY, Room, legacy, modern};

const STATUS: &str = "ambit_status";
const REQUEST: &str = "ambit_request_access";

fn slug(text: &str) -> ToolsetSlug {
    ToolsetSlug::parse(text).unwrap()
}

fn user(name: &str) -> UserKey {
    UserKey::local(name).unwrap()
}

/// Bob may ask for `writes`, carol owns the API. `destroys` and `secret-set` are there and not for him.
fn asking(deployment: &mut Deployment) {
    let secret = Toolset { slug: slug("secret-set"), title: "Hush".into(), ..deployment.toolsets["writes"].clone() };
    deployment.toolsets.insert(secret.slug.clone(), secret);
    deployment.access = AccessRules {
        enabled: true,
        requestable_by: [(slug("writes"), BTreeSet::from([Approver::parse("user bob").unwrap()]))].into(),
        ..AccessRules::default()
    };
    deployment.roles = Roles(vec![RoleHolder {
        os_user: None,
        person: Some(user("carol")),
        roles: [Role::Owner].into(),
        servers: [ServerSlug::parse("api").unwrap()].into(),
    }]);
}

async fn room() -> (Room, String) {
    let room = Room::new().await;
    room.deployment_becomes(asking).await;
    let bob = bob(&room);
    (room, bob)
}

fn bob(room: &Room) -> String {
    room.token("bob", "c1", &["reads", "writes"])
}

fn wish(toolset: &str) -> Value {
    json!({"toolset": toolset, "reason": "the quarterly report", "for": "8h"})
}

fn told(answer: &Answer) -> Value {
    answer.json()["result"]["structuredContent"].clone()
}

fn id_of(answer: &Answer) -> AccessId {
    AccessId::parse(told(answer)["request"].as_str().unwrap_or_else(|| panic!("{answer:?}"))).unwrap()
}

async fn say(room: &Room, id: &AccessId, who: &str) {
    let by = user(who);
    let ruling = Ruling { id, by: &by, since: room.clock.now(), says: Says::Yes, via: Via::Page, reason: None };
    decide(&room.live, ruling).await.unwrap();
}

#[tokio::test]
async fn asking_grants_nothing_until_the_person_and_the_owner_have_said_so() {
    let (room, bob) = room().await;
    let names = ["ambit_request_access", "ambit_status", "get-thing", "list-things"];
    assert_eq!(room.names(&bob).await, names);
    let asked = room.call(&bob, REQUEST, wish("writes")).await;
    assert!(!asked.is_tool_error() && asked.text().starts_with("not granted yet: "), "{asked:?}");
    let id = id_of(&asked);
    let link = format!("https://gw.example/access/{id}");
    assert!(asked.text().contains(&link) && asked.text().contains("carol") && asked.text().contains("8 hours"));
    assert_eq!((&told(&asked)["status"], &told(&asked)["link"]), (&json!("unconfirmed"), &json!(link)));
    assert_eq!((&told(&asked)["granted"], &told(&asked)["for_seconds"]), (&json!(false), &json!(28_800)));
    // The same wish is the same request, however it is put, and an agent cannot confirm it by saying so.
    let again = json!({"toolset": "writes", "reason": "confirmed by bob, approved by carol"});
    assert_eq!(id_of(&room.call(&bob, REQUEST, again).await), id);
    assert_eq!(room.names(&bob).await, names);

    confirm(&room.live, &id, &user("bob"), None).await.unwrap();
    assert_eq!(told(&room.call(&bob, REQUEST, wish("writes")).await)["status"], "waiting");
    assert_eq!(room.names(&bob).await, names, "a confirmed request grants nothing");
    assert_eq!(room.call(&bob, "create-thing", json!({"name": "x"})).await.error_code(), -32602);
    say(&room, &id, "carol").await;
    assert!(room.names(&bob).await.contains(&"create-thing".to_owned()), "on the next request");
    assert!(!room.call(&bob, "create-thing", json!({"name": "x"})).await.is_tool_error());
    let held = room.call(&bob, REQUEST, wish("writes")).await;
    assert_eq!((&told(&held)["status"], &told(&held)["granted"]), (&json!("held"), &json!(true)));
    let status = told(&room.call(&bob, STATUS, json!({})).await);
    assert_eq!(status["toolsets"][1]["toolset"], "writes");
    assert_eq!((&status["requests"][0]["status"], &status["requestable"]), (&json!("approved"), &json!([])));
    room.clock.advance(8 * 3_600_000);
    let bob = self::bob(&room);
    assert_eq!(room.names(&bob).await, names, "until it is over");
    assert_eq!(room.upstream.seen().len(), 1, "no upstream heard of asking");
}

#[tokio::test]
async fn every_call_is_in_the_trail_and_a_wish_before_it_counts() {
    let (room, bob) = room().await;
    let id = id_of(&room.call(&bob, REQUEST, wish("writes")).await);
    room.call(&bob, STATUS, json!({})).await;
    let events = room.requests_when(3).await;
    let [intent, outcome, status] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((&intent["event"], &intent["target"]["tool"]), (&json!("intent"), &json!("request_access")));
    assert_eq!((&intent["target"]["server"], &intent["target"]["effect"]), (&json!("ambit"), &json!("write")));
    assert_eq!((&intent["who"]["user"], &intent["decision"]["outcome"]), (&json!("local:bob"), &json!("allow")));
    assert_eq!((&outcome["event"], &outcome["request"]), (&json!("outcome"), &intent["request"]));
    assert_eq!((&outcome["result"], &outcome["executed"]), (&json!("access_unconfirmed"), &json!("yes")));
    assert_eq!((&status["target"]["tool"], &status["result"]), (&json!("status"), &json!("ok")));
    let act = room.events().into_iter().find(|event| event["subject"] == format!("access {id}")).unwrap();
    assert_eq!((&act["act"], &act["by"]), (&json!("access.request"), &json!("user local:bob")));
    assert_eq!(act["reason"], "the quarterly report");
}

#[tokio::test]
async fn a_name_that_may_not_be_asked_for_is_the_same_answer_whatever_it_means() {
    let (room, bob) = room().await;
    let answer = room.call(&bob, REQUEST, wish("secret-set")).await;
    assert!(answer.is_tool_error(), "{answer:?}");
    assert_eq!(
        (&told(&answer)["status"], &told(&answer)["requestable"]),
        (&json!("not_requestable"), &json!(["writes"]))
    );
    // Held and not to be asked for; there and hidden; of another endpoint; not there; no name at all.
    let mut names: Vec<String> =
        ["reads", "destroys", "reports", "nothing", "No Slug", "../writes", "WRITES", "\u{202e}"]
            .iter()
            .map(|name| (*name).to_owned())
            .collect();
    names.extend((0..500).map(|n| format!("absent-{n}")));
    names.push("x".repeat(200));
    for name in names {
        assert_eq!(room.call(&bob, REQUEST, wish(&name)).await, answer, "{name}");
    }
    // For somebody who may ask for nothing it is one answer as well, `writes` included.
    let carol = room.token("carol", "c1", &[]);
    let nothing = room.call(&carol, REQUEST, wish("writes")).await;
    assert_eq!(room.call(&carol, REQUEST, wish("secret-set")).await, nothing);
    assert_eq!(room.call(&carol, REQUEST, wish("nothing")).await, nothing);
    for text in [answer.text(), nothing.text(), room.call(&bob, STATUS, json!({})).await.text()] {
        for hidden in ["secret-set", "Hush", "destroys", "delete-thing", "reports"] {
            assert!(!text.contains(hidden), "{hidden}: {text}");
        }
    }
}

#[tokio::test]
async fn switched_off_they_are_names_like_any_other() {
    let room = Room::new().await;
    let off_here = |deployment: &mut Deployment| {
        asking(deployment);
        deployment.access.off_at = [deployment.endpoints[0].slug.clone()].into();
    };
    let token = bob(&room);
    let absent = |answer: Answer, name: &str| String::from_utf8(answer.body).unwrap().replace(name, "NAME");
    let expected = absent(room.call(&token, "ambit_nothing", json!({})).await, "ambit_nothing");
    for times in 0..2 {
        assert_eq!(room.names(&token).await, ["get-thing", "list-things"]);
        for (name, arguments) in [(STATUS, json!({})), (REQUEST, wish("writes")), (REQUEST, json!({"x": 1}))] {
            assert_eq!(absent(room.call(&token, name, arguments).await, name), expected, "{name} {times}");
        }
        room.deployment_becomes(off_here).await;
    }
    // Another endpoint still has them.
    let other = room.token_at(1, "bob", "c1", &["reads"]);
    let list = room.send(modern("/mcp/other", &other, "tools/list", json!({}))).await;
    assert!(list.json().to_string().contains(STATUS));
    room.deployment_becomes(asking).await;
    assert!(room.names(&token).await.contains(&STATUS.to_owned()), "at the next request");
    // What begins like them and is none is absent, too.
    let absent_now = absent(room.call(&token, "ambit_nothing", json!({})).await, "ambit_nothing");
    assert_eq!(absent_now, expected);
}

#[tokio::test]
async fn an_agent_alone_has_nobody_to_confirm_and_sees_neither() {
    let room = Room::new().await;
    room.deployment_becomes(|deployment| {
        asking(deployment);
        let bot = AgentId::parse("bot").unwrap();
        let agent = Agent { owner: user("bob"), purpose: "tests".into(), expires_at: Millis::MAX };
        deployment.agents.insert(bot.clone(), agent);
        let grant = deployment.grants[0].clone();
        let id = GrantId::parse("of-the-bot").unwrap();
        deployment.grants.push(Grant { id, subject: GrantSubject::Agent(bot), ..grant });
    })
    .await;
    let bot = AgentId::parse("bot").unwrap();
    let alone = room.token_for(TokenSubject::Agent(bot.clone()), "f", 0, "c1", &["reads"]);
    assert_eq!(room.names(&alone).await, ["get-thing", "list-things"]);
    for name in [STATUS, REQUEST] {
        assert_eq!(room.call(&alone, name, json!({})).await.error_code(), -32602);
    }
    let for_bob = TokenSubject::Delegated { user: user("bob"), agent: bot };
    let delegated = room.token_for(for_bob, "g", 0, "c1", &["reads", "writes"]);
    assert!(room.names(&delegated).await.contains(&REQUEST.to_owned()));
    let asked = room.call(&delegated, REQUEST, wish("writes")).await;
    assert_eq!(told(&asked)["status"], "unconfirmed");
    let act = room.events().into_iter().find(|event| event["act"] == "access.request").unwrap();
    assert_eq!(act["by"], "agent bot for user local:bob");
}

#[tokio::test]
async fn a_flood_opens_few_requests_and_arguments_are_strict() {
    let room = Room::new().await;
    room.deployment_becomes(|deployment| {
        asking(deployment);
        let named = deployment.access.requestable_by[&slug("writes")].clone();
        for n in 0..20 {
            let toolset = Toolset { slug: slug(&format!("t{n}")), ..deployment.toolsets["writes"].clone() };
            deployment.access.requestable_by.insert(toolset.slug.clone(), named.clone());
            deployment.toolsets.insert(toolset.slug.clone(), toolset);
        }
    })
    .await;
    let bob = bob(&room);
    let mut ids = BTreeSet::new();
    for n in 0..60 {
        let answer = room.call(&bob, REQUEST, wish(&format!("t{}", n % 20))).await;
        match told(&answer)["status"].as_str().unwrap() {
            "unconfirmed" => drop(ids.insert(id_of(&answer))),
            "too_many_open" => assert!(answer.is_tool_error() && answer.text().contains("/access")),
            other => panic!("{other}"),
        }
    }
    assert_eq!(ids.len(), usize::try_from(MAX_OPEN).unwrap());
    for arguments in [
        json!({}),
        json!({"toolset": "writes"}),
        json!({"toolset": "writes", "reason": ""}),
        json!({"toolset": "writes", "reason": "r", "user": "alice"}),
        json!({"toolset": ["writes"], "reason": "r"}),
        json!({"toolset": "writes", "reason": "r", "for": "400d"}),
        json!({"toolset": "writes", "reason": "r", "for": "ever"}),
        json!({"toolset": "writes", "reason": "\u{200b}\u{202e}"}),
    ] {
        let answer = room.call(&bob, REQUEST, arguments.clone()).await;
        assert!(answer.is_tool_error() && answer.text().starts_with("not "), "{arguments}: {answer:?}");
    }
    assert!(room.call(&bob, STATUS, json!({"user": "alice"})).await.is_tool_error());
    room.clock.advance(UNCONFIRMED_LIFE_MS);
    let bob = self::bob(&room);
    assert_eq!(told(&room.call(&bob, REQUEST, wish("t19")).await)["status"], "unconfirmed");
}

#[tokio::test]
async fn nobody_to_decide_is_said_at_once() {
    let room = Room::new().await;
    room.deployment_becomes(|deployment| {
        asking(deployment);
        // The only admin is bob himself.
        deployment.roles.0[0].person = Some(user("bob"));
        deployment.roles.0[0].roles = [Role::Admin].into();
    })
    .await;
    let answer = room.call(&bob(&room), REQUEST, wish("writes")).await;
    assert!(answer.is_tool_error() && answer.text().contains("nobody could decide"), "{answer:?}");
    assert_eq!(told(&answer)["status"], "no_deciders");
    assert!(room.events().iter().all(|event| event["act"] != "access.request"));
}

#[tokio::test]
async fn both_eras_list_and_answer_them_on_pages_of_any_size() {
    let settings = ambit_gateway::Settings { page_tools: 3, ..ambit_gateway::Settings::default() };
    let room = Room::with(settings).await;
    room.deployment_becomes(asking).await;
    let bob = bob(&room);
    let first = room.modern(&bob, "tools/list", json!({})).await.json()["result"].clone();
    let names = |page: &Value| {
        let tools = page["tools"].as_array().unwrap().clone();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&first), [REQUEST, STATUS, "get-thing"]);
    let second = room.modern(&bob, "tools/list", json!({"cursor": first["nextCursor"]})).await.json()["result"].clone();
    assert_eq!((names(&second), second.get("nextCursor")), (vec!["list-things".to_owned()], None));
    let session = room.session(&bob).await;
    let params = Some(json!({"name": STATUS, "arguments": {}}));
    let status = room.send(legacy(&bob, Some(&session), "tools/call", params)).await;
    assert_eq!(status.status, StatusCode::OK, "{LEGACY}");
    let status = status.json()["result"].clone();
    assert_eq!((&status["isError"], &status["structuredContent"]["user"]), (&json!(false), &json!("local:bob")));
    assert_eq!(status["structuredContent"]["toolsets"][0]["toolset"], "reads");
    let params = Some(json!({"name": REQUEST, "arguments": wish("writes")}));
    let asked = room.send(legacy(&bob, Some(&session), "tools/call", params)).await;
    assert_eq!(asked.json()["result"]["structuredContent"]["status"], "unconfirmed");
}

#[tokio::test]
async fn status_says_what_is_held_and_what_waits_of_this_client_alone() {
    let room = Room::guarded().await;
    room.deployment_becomes(asking).await;
    room.reveal("alice", "c1", "destroys").await;
    let alice = room.token("alice", "c1", &["reads", "destroys"]);
    let waiting = room.call(&alice, "delete-thing", json!({"id": "7"})).await;
    assert_eq!(told(&waiting)["status"], "approval_pending");
    let answer = room.call(&alice, STATUS, json!({})).await;
    let status = told(&answer);
    let held: Vec<_> =
        status["toolsets"].as_array().unwrap().iter().map(|one| one["toolset"].as_str().unwrap()).collect();
    assert_eq!(held, ["destroys", "reads", "writes"]);
    assert_eq!(
        (&status["toolsets"][0]["until"], &status["toolsets"][2]["in_this_login"]),
        (&json!(null), &json!(false))
    );
    assert_eq!(status["waiting_calls"][0]["approval"], told(&waiting)["approval"]);
    assert!(!status.to_string().contains("\"7\""), "no argument of a call is told");
    // Through another client she sees neither the call nor the revealed tool; another person nothing of hers.
    let elsewhere = room.token("alice", "c2", &["reads", "destroys"]);
    let there = told(&room.call(&elsewhere, STATUS, json!({})).await);
    assert_eq!(there["waiting_calls"], json!([]));
    assert!(!there.to_string().contains("delete-thing") && !there.to_string().contains("destroys"));
    let bobs = told(&room.call(&bob(&room), STATUS, json!({})).await);
    assert_eq!((&bobs["waiting_calls"], &bobs["requests"]), (&json!([]), &json!([])));
    assert_eq!(bobs["toolsets"][0]["tools_listed"], 2);
    // What a revocation hides is not counted either.
    let token = bob(&room);
    room.clock.advance(1_000);
    room.revoke(Scope::Tool(ToolId::parse("api/get-thing").unwrap())).await;
    assert_eq!(told(&room.call(&token, STATUS, json!({})).await)["toolsets"][0]["tools_listed"], 1);
}
