//! The decision point: who may ask about whom, that a hidden tool is an absent one, and that nothing is done or used up.

use std::collections::BTreeSet;

use ambit_live::deployment::{Agent, Deployment, RegisteredClient};
use ambit_model::{
    budget::Limits,
    ids::{AgentId, ClientId, ToolId, UserKey},
    revocation::Scope,
    secret::SecretRef,
};
use axum::body::Body;
use http::{StatusCode, header::WWW_AUTHENTICATE};
use serde_json::{Value, json};

use crate::room::{Answer, Room, T0, base, post};

mod alike;
mod many;

const ONE: &str = "/access/v1/evaluation";
const SEVERAL: &str = "/access/v1/evaluations";

/// A registered client with a secret; `pep` may ask about others.
pub(super) fn with_clients(deployment: &mut Deployment) {
    let client = |id: &str, is_pep| RegisteredClient {
        id: ClientId::parse(id).unwrap(),
        name: id.into(),
        redirect_uris: Vec::new(),
        secret: Some(SecretRef::Env("CLIENT_SECRET".into())),
        may_introspect: false,
        is_pep,
    };
    deployment.clients =
        vec![client("pep", true), client("backend", false), client(ambit_identity::mint::OPERATOR_CLIENT, true)];
    let owner = UserKey::local("carol").unwrap();
    let agent = |expires_at| Agent { owner: owner.clone(), purpose: "tests".into(), expires_at };
    deployment.agents = [("bot", T0 + 3_600_000), ("old-bot", T0)]
        .map(|(id, expires_at)| (AgentId::parse(id).unwrap(), agent(expires_at)))
        .into();
    deployment.budgets.everybody.requests = Limits::default();
    deployment.budgets.everybody.effects.clear();
}

async fn room() -> Room {
    Room::over(with_clients).await
}

pub(super) fn subject(id: &str) -> Value {
    json!({"type": "user", "id": id})
}

/// Somebody at a client.
pub(super) fn somebody(id: &str, client: &str) -> Value {
    json!({"type": "user", "id": id, "properties": {"client": client}})
}

pub(super) fn question(subject: &Value, tool: &str, arguments: Value) -> Value {
    let mut asked = json!({
        "subject": subject,
        "action": {"name": "tools/call", "properties": {}},
        "resource": {"type": "tool", "id": tool},
    });
    asked["action"]["properties"]["arguments"] = arguments;
    asked
}

pub(super) async fn ask(room: &Room, token: &str, path: &str, question: &Value) -> Answer {
    room.send(post(path, token).body(Body::from(question.to_string())).unwrap()).await
}

/// Whether it is allowed, and the code of a no.
fn decided(answer: &Answer) -> (bool, Option<String>) {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let decision = answer.json();
    let code = decision["context"]["code"].as_str().map(ToOwned::to_owned);
    (decision["decision"].as_bool().unwrap_or_else(|| panic!("{answer:?}")), code)
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

#[tokio::test]
async fn whoever_asks_about_itself_hears_what_a_call_would_come_to() {
    let room = room().await;
    let alice = room.token("alice", "c1", &["reads"]);
    let me = subject("local:alice");
    for (tool, arguments, expected) in [
        ("get-thing", json!({"id": "1"}), (true, None)),
        ("api/get-thing", json!({"id": "1"}), (true, None)),
        ("get-thing", json!({}), (false, Some("bad_arguments"))),
        ("create-thing", json!({"name": "x"}), (false, Some("insufficient_scope"))),
        ("delete-thing", json!({"id": "1"}), (false, Some("unknown_tool"))),
        ("nothing", json!({}), (false, Some("unknown_tool"))),
        // A tool of another endpoint.
        ("up/get-report", json!({}), (false, Some("unknown_tool"))),
    ] {
        let answer = ask(&room, &alice, ONE, &question(&me, tool, arguments)).await;
        let (allowed, code) = decided(&answer);
        assert_eq!((allowed, code.as_deref()), expected, "{tool}: {answer:?}");
        assert_eq!(answer.json().get("context").is_none(), allowed, "a yes has no context");
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(answer.headers["cache-control"], "no-store");
    }
    for (action, resource, allowed) in [
        ("tools/list", json!({"type": "tool", "id": "get-thing"}), true),
        ("list", json!({"type": "tool", "id": "create-thing"}), true),
        ("tools/list", json!({"type": "tool", "id": "delete-thing"}), false),
        ("tools/list", json!({"type": "mcp_server", "id": "https://gw.example/mcp"}), true),
        ("tools/list", json!({"type": "mcp_server", "id": "https://gw.example/mcp/other"}), false),
        ("tools/call", json!({"type": "mcp_server", "id": "https://gw.example/mcp"}), false),
        ("resources/read", json!({"type": "tool", "id": "get-thing"}), false),
        ("tools/list", json!({"type": "book", "id": "get-thing"}), false),
    ] {
        let asked = json!({"subject": me, "action": {"name": action}, "resource": resource});
        assert_eq!(decided(&ask(&room, &alice, ONE, &asked).await).0, allowed, "{asked}");
    }
    // By every name it has.
    for me in [json!({"type": "user", "id": "alice"}), json!({"type": "identity", "id": "local:alice"})] {
        assert!(decided(&ask(&room, &alice, ONE, &question(&me, "get-thing", json!({"id": "1"}))).await).0);
    }
    assert!(room.upstream.seen().is_empty());
}

#[tokio::test]
async fn nobody_but_an_enforcement_point_asks_about_others_and_nothing_tells_whether_they_exist() {
    let room = room().await;
    let tokens = [
        ("a client without a secret", room.alice()),
        ("the name of the enforcement point without its secret", room.token("alice", "pep", &["reads"])),
        ("a client that is none", room.proven("alice", "backend", &["reads"])),
        ("what an operator put together", room.operator_token("alice")),
        ("an agent", room.acting("alice", "bot", "c1", &["reads"])),
    ];
    let others = [
        subject("local:bob"),
        subject("bob"),
        subject("local:nobody"),
        subject("okta:alice"),
        subject("local:\u{0}"),
        subject(""),
        json!({"type": "agent", "id": "old-bot"}),
        json!({"type": "agent", "id": "none"}),
        json!({"type": "agent", "id": "local:alice"}),
        json!({"type": "identity", "id": "alice"}),
        json!({"type": "group", "id": "local:alice"}),
        json!({"type": "User", "id": "local:alice"}),
        somebody("local:alice", "another"),
        json!({"type": "user", "id": "alice", "properties": {"agent": "another"}}),
    ];
    let mut refusals = BTreeSet::new();
    for (who, token) in &tokens {
        let own = question(&subject("local:alice"), "get-thing", json!({"id": "1"}));
        assert_eq!(ask(&room, token, ONE, &own).await.status, StatusCode::OK, "{who}");
        for other in &others {
            let alone = question(other, "get-thing", json!({"id": "1"}));
            // Said above for all, said below for one of them, and beside one's own.
            let above = json!({"subject": other, "action": own["action"], "evaluations": [
                {"subject": own["subject"], "resource": own["resource"]}, {"resource": own["resource"]},
            ]});
            let below = json!({"subject": own["subject"], "action": own["action"], "resource": own["resource"],
                "evaluations": [{}, {"subject": other}]});
            let last =
                json!({"options": {"evaluations_semantic": "permit_on_first_permit"}, "evaluations": [own, alone]});
            for (path, asked) in [(ONE, alone), (SEVERAL, above), (SEVERAL, below), (SEVERAL, last)] {
                let answer = ask(&room, token, path, &asked).await;
                assert_eq!(answer.status, StatusCode::FORBIDDEN, "{who}: {asked}: {answer:?}");
                assert!(!answer.headers.contains_key(WWW_AUTHENTICATE), "no login changes it");
                refusals.insert(answer.body);
            }
        }
    }
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    let evaluations = room.events().into_iter().filter(|event| event["event"] == "evaluation").count();
    assert_eq!(evaluations, tokens.len(), "nothing of a refused request was looked at");
}

#[tokio::test]
async fn an_enforcement_point_asks_about_anybody_and_who_is_not_there_sees_nothing() {
    let room = room().await;
    let pep = room.proven("carol", "pep", &[]);
    let about =
        async |subject: &Value, tool: &str| ask(&room, &pep, ONE, &question(subject, tool, json!({"id": "1"}))).await;
    assert_eq!(decided(&about(&somebody("local:alice", "c1"), "get-thing").await), (true, None));
    let fewer = json!({"type": "user", "id": "alice", "properties": {"client": "c1", "toolsets": ["writes"]}});
    assert_eq!(decided(&about(&fewer, "get-thing").await).1.as_deref(), Some("insufficient_scope"));
    // Which client is part of who calls: a ceiling, a reveal and a rule depend on it.
    let without = about(&subject("local:alice"), "get-thing").await;
    assert_eq!(decided(&without).1.as_deref(), Some("not_known"));
    assert_eq!(without.body, about(&subject("local:alice"), "delete-thing").await.body, "whatever it is about");
    assert_eq!(without.body, about(&subject("local:nobody"), "get-thing").await.body);

    // Carol holds nothing; the others are nobody who could call here.
    let hidden = about(&somebody("local:carol", "c1"), "get-thing").await;
    assert_eq!(decided(&hidden).1.as_deref(), Some("unknown_tool"));
    room.block(Scope::User(UserKey::local("bob").unwrap())).await;
    let agent = |id: &str| json!({"type": "agent", "id": id, "properties": {"client": "c1"}});
    for nobody in [
        somebody("local:nobody", "c1"),
        somebody("okta:alice", "c1"),
        somebody("local:alice", ""),
        somebody("local:bob", "c1"),
        agent("bot"),
        agent("none"),
        agent("old-bot"),
        json!({"type": "user", "id": "alice", "properties": {"client": "c1", "agent": "old-bot"}}),
        json!({"type": "user", "id": "alice", "properties": {"client": "c1", "agent": "bot"}}),
        json!({"type": "agent", "id": "bot", "properties": {"client": "c1", "agent": "bot"}}),
        json!({"type": "group", "id": "local:alice", "properties": {"client": "c1"}}),
    ] {
        assert_eq!(about(&nobody, "get-thing").await, hidden, "{nobody}");
    }
    // Itself it asks about like everybody: as its token stands.
    assert_eq!(about(&subject("local:carol"), "get-thing").await, hidden);
    assert!(room.upstream.seen().is_empty());
}

#[tokio::test]
async fn a_hidden_tool_and_an_absent_one_are_one_answer() {
    let room = room().await;
    room.revoke(Scope::Tool(ToolId::parse("api/list-things").unwrap())).await;
    let (alice, pep) = (room.alice(), room.proven("carol", "pep", &[]));
    let (own, other) = (subject("alice"), somebody("bob", "c1"));
    for (token, subject, hidden) in [
        (&alice, &own, ["delete-thing", "api/delete-thing", "up/get-report", "list-things"]),
        (&pep, &other, ["delete-thing", "api/create-thing", "up/get-report", "create-thing"]),
    ] {
        for action in ["tools/call", "tools/list"] {
            let mut seen = BTreeSet::new();
            for (number, name) in hidden.into_iter().chain(["absent", "api/absent", "none/absent", "/", ""]).enumerate()
            {
                // Of a call, whether its arguments are right tells nothing either.
                let mut asked = question(subject, name, json!({"id": number}));
                asked["action"]["name"] = action.into();
                let mut answer = ask(&room, token, ONE, &asked).await;
                answer.headers.remove("content-length");
                let body = text(&answer).replace(&format!("`{name}`"), "NAME");
                assert!(body.contains("unknown tool NAME"), "{body}");
                seen.insert((answer.status.as_u16(), format!("{:?}", answer.headers), body));
            }
            assert_eq!(seen.len(), 1, "{action}: {seen:?}");
        }
    }
}

/// What is written before an answer costs time: as much for the one as for the other.
#[tokio::test]
async fn the_records_of_a_hidden_tool_and_an_absent_one_are_of_one_length_and_make() {
    let room = room().await;
    let bob = room.token("bob", "c1", &["reads"]);
    let ask = async |name: &str| ask(&room, &bob, ONE, &question(&subject("bob"), name, json!({"id": "1"}))).await;
    for name in ["create-thing", "delete-thing"] {
        ask(name).await;
    }
    // Each is judged in the stead of one of the tools there are, all of which are to have their turn.
    for n in 0..64 {
        ask(&format!("absent-{n:05}")).await;
    }
    let events = room.events().into_iter().filter(|event| event["event"] == "evaluation");
    let made = events.map(|mut event| {
        let members = event.as_object_mut().unwrap();
        members.retain(|name, _| !["request", "at"].contains(&name.as_str()));
        assert!(members.contains_key("asked") && members.contains_key("target") != members.contains_key("filler"));
        let names: Vec<_> = members.keys().map(|name| name.replace("filler", "target")).collect();
        (names.into_iter().collect::<BTreeSet<_>>(), event.to_string().len())
    });
    let made: Vec<_> = made.collect();
    let (hidden, absent) = made.split_at(2);
    assert_eq!(absent.len(), 64);
    assert!(made.iter().all(|(members, _)| *members == hidden[0].0));
    for hidden in hidden {
        assert!(absent.contains(hidden), "one was judged in its stead, and is as long: {hidden:?}");
    }
}

#[tokio::test]
async fn what_is_no_question_is_told_so_and_leaves_no_record() {
    let room = room().await;
    let alice = room.alice();
    let good = question(&subject("alice"), "get-thing", json!({"id": "1"})).to_string();
    let twice = good.replacen(r#""type":"tool""#, r#""type":"tool","type":"tool""#, 1);
    assert_ne!(twice, good);
    let hidden_twice = good.replacen(r#""id":"1""#, r#""id":"1","\u0069d":"2""#, 1);
    assert_ne!(hidden_twice, good);
    let deep = good.replacen(r#""id":"1""#, &format!(r#""id":{}1{}"#, "[".repeat(70), "]".repeat(70)), 1);
    let many = json!({"evaluations": vec![json!({}); 101]}).to_string();
    for body in
        ["", "[]", "{}", "null", &twice, &hidden_twice, &deep, &many, &format!("{good} {good}"), "{\"a\":\"\\ud800\"}"]
    {
        let answer = room.send(post(SEVERAL, &alice).body(Body::from(body.to_owned())).unwrap()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {answer:?}");
        assert!(answer.json().is_string(), "an error is a message: {answer:?}");
    }
    let untyped = base("POST", ONE).header("authorization", format!("Bearer {alice}"));
    let answer = room.send(untyped.body(Body::from(good.clone())).unwrap()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
    let long = room.send(post(ONE, &alice).body(Body::from(vec![b' '; 5 << 20])).unwrap()).await;
    assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(long.json().is_string(), "{long:?}");
    assert!(!room.events().iter().any(|event| event["event"] == "evaluation"));
}

#[tokio::test]
async fn a_token_counts_at_its_own_endpoint_while_it_lasts() {
    let room = room().await;
    let asked = question(&subject("alice"), "get-thing", json!({"id": "1"}));
    let other = room.token_at(1, "alice", "c1", &["reads"]);
    let there = "/mcp/other/access/v1/evaluation";
    let prefixed = question(&subject("alice"), "api_get-thing", json!({"id": "1"}));
    assert_eq!(decided(&ask(&room, &other, there, &prefixed).await), (true, None));
    assert_eq!(decided(&ask(&room, &other, there, &asked).await).1.as_deref(), Some("unknown_tool"), "shown otherwise");
    for (token, path) in [(other.as_str(), ONE), (other.as_str(), SEVERAL), (&room.alice(), there), ("invented", ONE)] {
        let answer = ask(&room, token, path, &asked).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(answer.headers[WWW_AUTHENTICATE].to_str().unwrap().contains("resource_metadata="));
    }
    let anonymous = base("POST", ONE).header("content-type", "application/json").header("x-request-id", "a 1");
    let answer = room.send(anonymous.body(Body::from(asked.to_string())).unwrap()).await;
    assert_eq!((answer.status, &answer.headers["x-request-id"]), (StatusCode::UNAUTHORIZED, &"a 1".parse().unwrap()));
    let alice = room.alice();
    assert_eq!(ask(&room, &alice, "/mcp/none/access/v1/evaluation", &asked).await.status, StatusCode::NOT_FOUND);
    assert_eq!(ask(&room, &alice, "/mcp/access/v1/evaluation", &asked).await.status, StatusCode::NOT_FOUND);
    for method in ["GET", "PUT", "DELETE"] {
        let request = base(method, ONE).header("authorization", format!("Bearer {alice}")).body(Body::empty()).unwrap();
        assert_eq!(room.send(request).await.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
    }
    let page = post(ONE, &alice).header("origin", "null").body(Body::from(asked.to_string())).unwrap();
    assert_eq!(room.send(page).await.status, StatusCode::FORBIDDEN, "no page asks with somebody's token");
    room.clock.advance(11 * 60_000);
    assert_eq!(ask(&room, &alice, ONE, &asked).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_list_is_answered_in_its_order_and_ends_where_it_was_asked_to() {
    let room = room().await;
    let alice = room.alice();
    let tool = |id: &str| json!({"resource": {"type": "tool", "id": id}});
    let list = json!([tool("list-things"), tool("delete-thing"), {"resource": "get-thing"}, tool("get-thing")]);
    let asked = |semantic: &str| {
        let arguments = json!({"name": "tools/call", "properties": {"arguments": {"id": "1"}}});
        json!({"subject": subject("alice"), "action": arguments, "evaluations": list,
            "options": {"evaluations_semantic": semantic}})
    };
    let yes_and_no = async |semantic: &str| {
        let answer = ask(&room, &alice, SEVERAL, &asked(semantic)).await;
        let decisions = answer.json()["evaluations"].as_array().unwrap_or_else(|| panic!("{answer:?}")).clone();
        assert!(answer.json().get("decision").is_none());
        decisions.iter().map(|decision| decision["decision"].as_bool().unwrap()).collect::<Vec<_>>()
    };
    // The first does not take an `id`.
    assert_eq!(yes_and_no("execute_all").await, [false, false, false, true]);
    assert_eq!(yes_and_no("deny_on_first_deny").await, [false]);
    assert_eq!(yes_and_no("permit_on_first_permit").await, [false, false, false, true]);
    let all = ask(&room, &alice, SEVERAL, &asked("execute_all")).await.json();
    assert_eq!(all["evaluations"][2]["context"]["error"]["status"], 400, "one that cannot be read spoils no other");
    // Without a list it is one question, at either address.
    let one = question(&subject("alice"), "get-thing", json!({"id": "1"}));
    assert_eq!(ask(&room, &alice, SEVERAL, &one).await.json(), json!({"decision": true}));
    let mut with_list = one.clone();
    with_list["evaluations"] = list;
    assert_eq!(ask(&room, &alice, ONE, &with_list).await.json(), json!({"decision": true}));
    with_list["evaluations"] = json!([]);
    assert_eq!(ask(&room, &alice, SEVERAL, &with_list).await.json(), json!({"decision": true}));
}

#[tokio::test]
async fn what_names_a_request_comes_back() {
    let room = room().await;
    let alice = room.alice();
    let asked = question(&subject("alice"), "get-thing", json!({"id": "1"})).to_string();
    let with = |id: &str| post(ONE, &alice).header("x-request-id", id);
    let answer = room.send(with("bfe9eb29-\"x\"").body(Body::from(asked.clone())).unwrap()).await;
    assert_eq!(answer.headers["x-request-id"], "bfe9eb29-\"x\"");
    let refused = room.send(with("7").body(Body::from("[]")).unwrap()).await;
    assert_eq!((refused.status, &refused.headers["x-request-id"]), (StatusCode::BAD_REQUEST, &"7".parse().unwrap()));
    let long = room.send(with(&"7".repeat(513)).body(Body::from(asked.clone())).unwrap()).await;
    assert_eq!((long.status, long.headers.get("x-request-id")), (StatusCode::BAD_REQUEST, None));
    let without = room.send(post(ONE, &alice).body(Body::from(asked)).unwrap()).await;
    assert!(!without.headers.contains_key("x-request-id"));
}

#[tokio::test]
async fn every_question_leaves_a_record_that_says_who_asked_and_about_whom() {
    let room = room().await;
    let pep = room.proven("carol", "pep", &[]);
    let other = json!({"type": "user", "id": "alice", "properties": {"client": "c1", "agent": "bot\u{1b}"}});
    let asked = json!({"evaluations": [
        question(&somebody("alice", "c1"), "get-thing", json!({"id": "s3cret"})),
        question(&somebody("alice", "c1"), "absent-s3cret", json!({})),
        question(&somebody("s3cret", "c1"), "get-thing", json!({})),
        question(&other, "get-thing", json!({})),
        {"subject": 1},
    ]});
    let answer = ask(&room, &pep, SEVERAL, &asked).await;
    assert_eq!(answer.json()["evaluations"].as_array().unwrap().len(), 5, "{answer:?}");
    let events: Vec<_> = room.events().into_iter().filter(|event| event["event"] == "evaluation").collect();
    assert_eq!(events.len(), 5);
    for event in &events {
        assert_eq!((&event["who"]["user"], &event["who"]["client"]), (&json!("local:carol"), &json!("pep")));
        assert_eq!((&event["request"], &event["endpoint"]), (&events[0]["request"], &json!("default")));
    }
    let [yes, absent, nobody, unnamed, malformed] = &events[..] else { panic!("five") };
    assert_eq!(yes["about"], json!({"user": "local:alice", "client": "c1"}));
    assert_eq!((&yes["allowed"], &yes["result"], &yes["action"]), (&json!(true), &json!("ok"), &json!("tools/call")));
    assert_eq!((&yes["target"]["tool"], &yes["decision"]["outcome"]), (&json!("get-thing"), &json!("allow")));
    assert!(yes["arguments"].is_string() && yes["decision"]["caller"].is_string(), "{yes}");
    assert_eq!((&absent["allowed"], &absent["result"]), (&json!(false), &json!("unknown_tool")));
    assert!(absent["asked"].is_string() && absent.get("target").is_none());
    assert_eq!((&nobody["result"], &nobody["about"]["user"]), (&json!("unknown_subject"), &json!("local:s3cret")));
    assert_eq!((&unnamed["result"], unnamed["about"].get("agent")), (&json!("unknown_subject"), None));
    assert_eq!((&malformed["result"], malformed.get("action")), (&json!("not_a_question"), None));
    assert!(!yes.to_string().contains("s3cret") && !absent.to_string().contains("s3cret"));
    let padded = |event: &Value| event["filler"].is_string() && event.get("target").is_none();
    assert!(padded(absent) && padded(nobody), "as long as that of a hidden one");
    assert!(room.requests().is_empty(), "none of them was a call");
    // One's own is about nobody else.
    ask(&room, &pep, ONE, &question(&subject("carol"), "get-thing", json!({}))).await;
    let own = room.events().pop().unwrap();
    assert_eq!((own.get("about"), &own["who"]["user"]), (None, &json!("local:carol")));
}

#[tokio::test]
async fn each_decision_point_is_described_at_its_identifier() {
    let room = room().await;
    for (path, point) in [("", "https://gw.example"), ("/mcp/other", "https://gw.example/mcp/other")] {
        let answer = room.get(&format!("/.well-known/authzen-configuration{path}")).await;
        assert_eq!(answer.headers["content-type"], "application/json");
        let described = json!({
            "policy_decision_point": point,
            "access_evaluation_endpoint": format!("{point}/access/v1/evaluation"),
            "access_evaluations_endpoint": format!("{point}/access/v1/evaluations"),
        });
        assert_eq!(answer.json(), described);
    }
    for path in ["/mcp/none", "/mcp", "/none"] {
        let answer = room.get(&format!("/.well-known/authzen-configuration{path}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
}
