//! Budgets and breakers: who asks too often is told when to come back, a server that does not answer is left alone, and no
//! list changes by either.

use std::{num::NonZeroU32, time::Duration};

use ambit_gateway::Settings;
use ambit_live::deployment::Deployment;
use ambit_model::{
    Effect,
    budget::{Breaker, Limits, Rate},
    constraints::ToolPattern,
    ids::UserKey,
};
use axum::body::Body;
use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    room::{LEGACY, Room, base, legacy, modern, patient, post},
    upstream::Act,
};

fn number(number: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(number)
}

fn rate(text: &str, burst: u32) -> Limits {
    Limits { rate: Rate::parse(text, number(burst)), ..Limits::default() }
}

fn only_requests(limits: Limits) -> impl FnOnce(&mut Deployment) {
    move |deployment| {
        deployment.budgets.everybody.requests = limits;
        deployment.budgets.everybody.effects.clear();
    }
}

/// The rollups of the trail once the minute is over.
async fn rollups(room: &Room) -> Vec<Value> {
    room.clock.advance(61_000);
    room.live.recorder().flush_refusals(false).await.unwrap();
    room.events().into_iter().filter(|event| event["event"] == "rollup").collect()
}

#[tokio::test]
async fn a_flood_of_one_login_is_one_record_and_its_neighbour_goes_on() {
    let room = Room::over(only_requests(rate("10/m", 5))).await;
    let (alice, bob) = (room.alice(), room.token("bob", "c1", &["reads"]));
    let mut answers = Vec::new();
    // Through however many clients: anybody registers as many as they like.
    for n in 0..200 {
        let token = room.token("alice", &format!("c{n}"), &["reads"]);
        answers.push(room.modern(&token, "tools/list", json!({})).await);
    }
    assert!(answers[..5].iter().all(|answer| answer.status == StatusCode::OK));
    for answer in &answers[5..] {
        assert_eq!((answer.status, answer.error_code()), (StatusCode::TOO_MANY_REQUESTS, 42_900), "{answer:?}");
        assert_eq!(answer.headers["retry-after"], "6");
        assert_eq!(answer.json()["error"]["data"]["retryAfterMs"], json!(6_000));
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("10 requests a minute") && message.contains("in 6 seconds"), "{message}");
    }
    assert_eq!(room.requests().len(), 5);
    assert_eq!(room.names(&bob).await.len(), 2);

    let rollups = rollups(&room).await;
    assert_eq!(rollups.len(), 1, "{rollups:?}");
    let counted = &rollups[0];
    assert_eq!((&counted["reason"], &counted["count"]), (&json!("over_budget"), &json!(195)));
    assert_eq!((&counted["subject"], counted.get("client")), (&json!("user local:alice"), None));
    assert!(room.gateway.metrics().contains("ambit_refused_total{reason=\"over_budget\"} 195\n"));
    // A minute later it has ten more, at most five of them at once.
    assert_eq!(room.names(&alice).await.len(), 3);
}

#[tokio::test]
async fn a_call_over_the_budget_is_told_nothing_of_the_name() {
    let room = Room::over(only_requests(rate("60/m", 2))).await;
    let token = room.alice();
    for _ in 0..2 {
        assert!(!room.call(&token, "list-things", json!({})).await.is_tool_error());
    }
    let mut told = Vec::new();
    for name in ["list-things", "delete-thing", "no-such-thing"] {
        let answer = room.call(&token, name, json!({})).await;
        assert_eq!((answer.status, answer.error_code()), (StatusCode::TOO_MANY_REQUESTS, 42_900), "{answer:?}");
        assert_eq!(answer.headers["retry-after"], "1");
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("so nothing was done") && message.contains("in a second"), "{message}");
        told.push(answer);
    }
    assert!(told.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(room.upstream.seen().len(), 2);
    room.clock.advance(1_000);
    assert!(!room.call(&token, "list-things", json!({})).await.is_tool_error());
}

#[tokio::test]
async fn a_legacy_client_is_told_the_same() {
    let room = Room::over(only_requests(rate("60/m", 2))).await;
    let token = room.alice();
    let session = room.session(&token).await;
    let list = || legacy(&token, Some(&session), "tools/list", None);
    assert_eq!(room.send(list()).await.status, StatusCode::OK);
    assert_eq!(room.send(list()).await.status, StatusCode::TOO_MANY_REQUESTS);
    let call = legacy(&token, Some(&session), "tools/call", Some(json!({"name": "list-things", "arguments": {}})));
    assert_eq!(room.send(call).await.status, StatusCode::TOO_MANY_REQUESTS, "{LEGACY}");
}

#[tokio::test]
async fn nonsense_costs_as_much_as_anything_and_is_slowed_down() {
    let room = Room::over(only_requests(rate("60/m", 4))).await;
    let token = room.alice();
    let statuses = [
        room.send(base("GET", "/mcp").header("authorization", format!("Bearer {token}")).body(Body::empty()).unwrap()),
        room.send(post("/mcp", &token).body(Body::from("{")).unwrap()),
        room.send(post("/mcp", &token).body(Body::from("[]")).unwrap()),
        room.send(legacy(&token, None, "tools/list", None)),
    ];
    for (n, answering) in statuses.into_iter().enumerate() {
        assert_ne!(answering.await.status, StatusCode::TOO_MANY_REQUESTS, "{n}");
    }
    let slowed = room.send(post("/mcp", &token).body(Body::from("{")).unwrap()).await;
    assert_eq!((slowed.status, slowed.headers["retry-after"].to_str().unwrap()), (StatusCode::TOO_MANY_REQUESTS, "1"));
    assert!(room.names(&room.token("bob", "c1", &["reads"])).await.len() == 2);
}

#[tokio::test]
async fn one_login_holds_a_share_of_what_runs_to_its_end_and_pings_hold_none() {
    // Of sixteen places a person has one.
    let room = Room::over_with(Settings { running: 16, ..Settings::default() }, patient).await;
    let alice = room.alice();
    room.upstream.will(Act::Hang);
    let session = room.session(&alice).await;
    let hanging =
        || legacy(&alice, Some(&session), "tools/call", Some(json!({"name": "list-things", "arguments": {}})));
    let first = tokio::spawn(room.sending(hanging()));
    room.upstream.arrived().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    // Its client has left, it goes on and holds the place; another client of hers changes nothing.
    let other = room.token("alice", "c2", &["reads", "writes"]);
    let other_session = room.session(&other).await;
    let call = json!({"name": "create-thing", "arguments": {"name": "x"}});
    let answers = [
        room.send(hanging()).await,
        room.send(legacy(&other, Some(&other_session), "tools/call", Some(call.clone()))).await,
        room.send(modern("/mcp", &other, "tools/call", call.clone())).await,
    ];
    for answer in answers {
        assert_eq!((answer.status, answer.error_code()), (StatusCode::TOO_MANY_REQUESTS, 42_900), "{answer:?}");
        assert!(answer.headers.contains_key("retry-after"));
    }
    assert_eq!(room.send(legacy(&alice, Some(&session), "ping", None)).await.status, StatusCode::OK);
    assert_eq!(room.send(legacy(&alice, Some(&session), "tools/list", None)).await.status, StatusCode::OK);
    room.upstream.will(Act::Json(200, "{}".into()));
    let bob = room.token("bob", "c1", &["reads", "writes"]);
    let bobs = room.session(&bob).await;
    let list = json!({"name": "list-things", "arguments": {}});
    assert!(!room.send(legacy(&bob, Some(&bobs), "tools/call", Some(list))).await.is_tool_error());
    assert_eq!(room.upstream.seen().len(), 2);
    let refused = room.requests().into_iter().filter(|event| event["result"] == "too_many_running").count();
    assert_eq!(refused, 3);
}

#[tokio::test]
async fn one_login_holds_a_share_of_the_places_at_a_server() {
    let room = Room::over(patient).await;
    room.upstream.will(Act::Hang);
    let clients = ["c1", "c2", "c3"].map(|client| room.token("alice", client, &["reads"]));
    let hanging: Vec<_> = (0..80)
        .map(|n| tokio::spawn(room.sending(crate::room::call(&clients[n % 3], "list-things", &json!({})))))
        .collect();
    let all_arrived = async {
        while room.upstream.seen().len() < 64 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), all_arrived).await.unwrap();
    room.upstream.will(Act::Json(200, "{}".into()));
    // Her own wait; his goes at once.
    let started = std::time::Instant::now();
    let bobs = room.call(&room.token("bob", "c1", &["reads"]), "list-things", json!({})).await;
    assert!(!bobs.is_tool_error(), "{bobs:?}");
    assert!(started.elapsed() < Duration::from_millis(1_500), "{:?}", started.elapsed());
    assert_eq!(room.upstream.seen().len(), 65);
    drop(hanging);
}

#[tokio::test]
async fn an_effect_and_a_tool_have_budgets_of_their_own_and_no_list_changes() {
    let room = Room::over(|deployment| {
        let everybody = &mut deployment.budgets.everybody;
        everybody.effects = [(Effect::Write, rate("1/h", 2))].into();
        everybody.tools = vec![
            (ToolPattern::parse("api/*").unwrap(), rate("100/s", 100)),
            (ToolPattern::parse("api/list-things").unwrap(), Limits { per_day: number(3), ..Limits::default() }),
        ];
    })
    .await;
    let token = room.alice();
    let before = room.modern(&token, "tools/list", json!({})).await;
    for n in 0..5 {
        let write = room.call(&token, "create-thing", json!({"name": "x"})).await;
        assert_eq!(write.is_tool_error(), n >= 2, "{write:?}");
        let read = room.call(&token, "list-things", json!({})).await;
        assert_eq!(read.is_tool_error(), n >= 3, "{read:?}");
        if n == 4 {
            assert!(write.text().contains("`write`") && write.text().contains("in 60 minutes"), "{}", write.text());
            assert!(read.text().contains("3 calls of this tool a day"), "{}", read.text());
        }
    }
    assert!(!room.call(&token, "get-thing", json!({"id": "1"})).await.is_tool_error());
    assert_eq!(room.modern(&token, "tools/list", json!({})).await, before);
    assert_eq!(room.upstream.seen().len(), 6);
    let refused: Vec<_> = room.requests().into_iter().filter(|event| event["result"] == "over_budget").collect();
    assert_eq!(refused.len(), 5);
    for event in refused {
        assert_eq!((&event["decision"]["outcome"], &event["executed"]), (&json!("refused"), &json!("no")));
    }
}

#[tokio::test]
async fn a_call_that_was_refused_otherwise_costs_nothing_of_the_effect() {
    let room =
        Room::over(|deployment| deployment.budgets.everybody.effects = [(Effect::Write, rate("1/h", 1))].into()).await;
    let token = room.alice();
    for _ in 0..5 {
        let answer = room.call(&token, "create-thing", json!({"name": 7})).await;
        assert!(answer.text().contains("name"), "{answer:?}");
    }
    assert!(!room.call(&token, "create-thing", json!({"name": "x"})).await.is_tool_error());
}

#[tokio::test]
async fn one_person_may_have_more_than_everybody() {
    let room = Room::over(|deployment| {
        only_requests(rate("1/m", 1))(deployment);
        let more = ambit_model::budget::Allowance { requests: rate("100/m", 50), ..Default::default() };
        deployment.budgets.users.insert(UserKey::local("alice").unwrap(), more);
    })
    .await;
    for (user, may) in [("alice", 20), ("bob", 1)] {
        let token = room.token(user, "c1", &["reads"]);
        let mut passed = 0;
        for _ in 0..20 {
            passed += usize::from(room.modern(&token, "tools/list", json!({})).await.status == StatusCode::OK);
        }
        assert_eq!(passed, may, "{user}");
    }
}

#[tokio::test]
async fn places_are_free_again_on_every_way_out() {
    let room = Room::over(only_requests(Limits { at_once: number(1), ..Limits::default() })).await;
    let token = room.alice();
    let list = || room.modern(&token, "tools/list", json!({}));
    for request in [
        modern("/mcp", &token, "tools/call", json!({"name": "no-such-thing", "arguments": {}})),
        modern("/mcp", &token, "tools/call", json!({"name": "list-things", "arguments": {"limit": "x"}})),
        modern("/mcp", &token, "tools/call", json!({"arguments": {}})),
        modern("/mcp", &token, "nonsense/method", json!({})),
        modern("/mcp", &token, "tools/call", json!({"name": "list-things", "arguments": {}})),
    ] {
        room.send(request).await;
        assert_eq!(list().await.status, StatusCode::OK);
    }
    room.upstream.arrived().await;
    // One that waits for its upstream has the only place, until its client leaves.
    room.upstream.will(Act::Hang);
    let hanging = tokio::spawn(room.sending(crate::room::call(&token, "list-things", &json!({}))));
    room.upstream.arrived().await;
    let full = list().await;
    assert_eq!(full.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(full.json()["error"]["message"].as_str().unwrap().contains("1 requests under way"), "{full:?}");
    hanging.abort();
    assert!(hanging.await.unwrap_err().is_cancelled());
    assert_eq!(list().await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_was_used_of_the_day_survives_a_restart() {
    let limits = Limits { per_day: number(5), ..Limits::default() };
    let before = Room::over(only_requests(limits)).await;
    for _ in 0..4 {
        assert_eq!(before.modern(&before.alice(), "tools/list", json!({})).await.status, StatusCode::OK);
    }
    let counts = before.gateway.changed_day_counts();
    assert_eq!(counts.iter().map(|count| (count.what.as_str(), count.count)).collect::<Vec<_>>(), [("request", 4)]);
    let after = Room::over(only_requests(limits)).await;
    after.gateway.restore_day_counts(&counts);
    assert_eq!(after.modern(&after.alice(), "tools/list", json!({})).await.status, StatusCode::OK);
    let over = after.modern(&after.alice(), "tools/list", json!({})).await;
    assert_eq!(over.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(over.json()["error"]["message"].as_str().unwrap().contains("5 requests a day"), "{over:?}");
}

fn breaker(failures: u32) -> impl FnOnce(&mut Deployment) {
    move |deployment| {
        for server in deployment.servers.values_mut() {
            server.limits.timeout = Duration::from_millis(150);
            server.limits.breaker = Breaker { failures: number(failures).unwrap(), within_ms: 60_000, rest_ms: 10_000 };
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_left_alone_and_tried_again() {
    let room = Room::over(breaker(3)).await;
    let token = room.alice();
    let before = room.names(&token).await;
    for act in [Act::Hang, Act::Close, Act::Json(503, "{}".into())] {
        room.upstream.will(act);
        room.call(&token, "list-things", json!({})).await;
    }
    room.upstream.will(Act::Json(200, "[]".into()));
    let sent = room.upstream.seen().len();
    for (name, arguments) in [("list-things", json!({})), ("create-thing", json!({"name": "x"}))] {
        let answer = room.call(&token, name, arguments).await;
        assert!(answer.is_tool_error(), "{answer:?}");
        assert_eq!(answer.headers["retry-after"], "10");
        let structured = &answer.json()["result"]["structuredContent"];
        assert_eq!(*structured, json!({"status": "breaker_open", "retry_after": 10}));
        assert!(answer.text().contains("server `api` did not answer"), "{}", answer.text());
    }
    assert_eq!(room.upstream.seen().len(), sent);
    assert_eq!(room.names(&token).await, before);
    let ready = room.get("/readyz").await;
    // The node is well, and strangers are not told which server is not.
    assert_eq!((ready.status, ready.body.as_slice()), (StatusCode::OK, &b"ok\n"[..]));
    assert!(room.gateway.metrics().contains("ambit_breaker_open{server=\"api\"} 1\n"));
    // Another server is none of it.
    let other = room.token_at(2, "alice", "c1", &["reports"]);
    let report = modern("/mcp/up", &other, "tools/call", json!({"name": "create-report", "arguments": {}}));
    assert_eq!(room.send(report).await.json()["result"].get("isError"), None);

    room.clock.advance(10_000);
    assert!(!room.call(&token, "list-things", json!({})).await.is_tool_error());
    assert!(!room.call(&token, "create-thing", json!({"name": "x"})).await.is_tool_error());
    assert!(!room.gateway.metrics().contains("ambit_breaker_open{"));
    let acts: Vec<_> = room.events().into_iter().filter(|event| event["subject"] == "server api").collect();
    assert_eq!(acts.iter().map(|act| &act["act"]).collect::<Vec<_>>(), ["breaker.open", "breaker.close"]);
}

#[tokio::test]
async fn an_api_that_only_says_no_is_not_left_alone() {
    let room = Room::over(breaker(2)).await;
    for status in [400_u16, 404, 429, 500, 401, 500] {
        room.upstream.will(Act::Json(status, "{}".into()));
        room.call(&room.alice(), "list-things", json!({})).await;
    }
    assert_eq!(room.upstream.seen().len(), 6);
}
