//! Approvals: a destructive call waits for people, runs once after their yes, and never without it. Who may say it is in
//! `separating.rs`, what a client brings back in `replaying.rs`.

use std::collections::BTreeMap;

use ambit_identity::approvals::{Ballot, VoteError, vote};
use ambit_live::deployment::Deployment;
use ambit_model::{
    Effect,
    approval::{REQUEST_LIFE_MS, SETTLED_MS, Says, Stage, UNUSED_LIFE_MS, Via},
    budget::{Limits, Rate},
    ids::{ApprovalId, GrantId, UserKey},
    revocation::Scope,
};
use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    room::{Answer, LEGACY, Room, document, legacy, modern_with},
    upstream::Act,
};

pub const TOOL: &str = "delete-thing";

pub async fn guarded() -> (Room, String) {
    revealed(Room::guarded().await).await
}

pub async fn revealed(room: Room) -> (Room, String) {
    room.reveal("alice", "c1", "destroys").await;
    let token = room.token("alice", "c1", &["reads", "destroys"]);
    (room, token)
}

pub async fn delete(room: &Room, token: &str, id: &str) -> Answer {
    room.call(token, TOOL, json!({"id": id})).await
}

/// The members of an answer that says where a call stands.
pub fn told(answer: &Answer) -> Value {
    answer.json()["result"]["structuredContent"].clone()
}

pub fn id_of(answer: &Answer) -> ApprovalId {
    ApprovalId::parse(told(answer)["approval"].as_str().unwrap_or_else(|| panic!("{answer:?}"))).unwrap()
}

pub async fn say(room: &Room, id: &ApprovalId, who: &str, says: Says) -> Result<Stage, VoteError> {
    let by = UserKey::local(who).unwrap();
    let ballot = Ballot { id, by: &by, since: room.clock.now(), says, via: Via::Page, reason: Some("checked") };
    vote(&room.live, ballot).await
}

pub fn deleted(room: &Room) -> usize {
    room.upstream.seen().iter().filter(|request| request.starts_with("DELETE ")).count()
}

#[tokio::test]
async fn a_call_waits_for_people_and_then_runs_once() {
    let (room, token) = guarded().await;
    let first = delete(&room, &token, "1").await;
    assert!(first.is_tool_error() && first.text().starts_with("not executed yet: "), "{first:?}");
    let id = id_of(&first);
    let page = format!("https://gw.example/approvals/{id}");
    assert!(first.text().contains(&page) && first.text().contains("bob or carol"), "{}", first.text());
    assert_eq!(told(&first)["status"], "approval_pending");
    assert_eq!((&told(&first)["executed"], &told(&first)["link"]), (&json!(false), &json!(page)));
    assert_eq!(told(&first)["expires_at"], "2027-01-15T08:15:00Z");
    // Hammering gets no second request, only a longer wait.
    let waits: Vec<_> = [delete(&room, &token, "1").await, delete(&room, &token, "1").await]
        .iter()
        .map(|again| {
            assert_eq!(id_of(again), id);
            told(again)["retry_after"].as_i64().unwrap()
        })
        .collect();
    assert_eq!(waits, [10, 20]);
    assert_eq!(deleted(&room), 0);

    assert_eq!(say(&room, &id, "bob", Says::Yes).await.unwrap().as_str(), "approved");
    let done = delete(&room, &token, "1").await;
    assert_eq!(done.json()["result"]["isError"], false, "{done:?}");
    assert_eq!(deleted(&room), 1);
    let again = delete(&room, &token, "1").await;
    assert_eq!((&told(&again)["status"], &told(&again)["approval"]), (&json!("already_executed"), &json!(id)));
    let record = told(&again)["record"].as_str().unwrap().to_owned();
    assert!(again.text().contains(&record), "{}", again.text());
    // One changed byte is another call.
    assert_ne!(id_of(&delete(&room, &token, "2").await), id);
    assert_eq!(deleted(&room), 1);

    let events = room.events();
    let intent = events.iter().find(|event| event["event"] == "intent").unwrap();
    assert_eq!(intent["approval"], json!({"id": id, "by": ["local:bob"]}));
    assert_eq!(intent["request"], json!(record));
    let acts: Vec<_> = events
        .iter()
        .filter(|event| event["subject"] == format!("approval {id}"))
        .map(|event| (event["act"].as_str().unwrap(), event["by"].as_str().unwrap()))
        .collect();
    let alice = "user local:alice";
    assert_eq!(
        acts,
        [("approval.request", alice), ("approval.approve", "user local:bob"), ("approval.consume", alice)]
    );
    let waited = events.iter().find(|event| event["result"] == "approval_pending").unwrap();
    assert_eq!((&waited["approval"], &waited["decision"]["outcome"]), (&json!(id), &json!("needs-approval")));
    // Ten minutes later it may be asked for again.
    room.clock.advance(SETTLED_MS);
    let token = room.token("alice", "c1", &["reads", "destroys"]);
    assert_ne!(id_of(&delete(&room, &token, "1").await), id);
}

#[tokio::test]
async fn an_approval_is_not_spent_on_a_call_that_cannot_be_sent_now() {
    let once = Rate::parse("1/m", None);
    let limits = Limits { rate: once, ..Limits::default() };
    let change =
        |deployment: &mut Deployment| deployment.budgets.everybody.effects = [(Effect::Destructive, limits)].into();
    let (room, token) = revealed(Room::guarded_over(change).await).await;
    for id in ["1", "2"] {
        let waiting = id_of(&delete(&room, &token, id).await);
        say(&room, &waiting, "bob", Says::Yes).await.unwrap();
    }
    assert!(!delete(&room, &token, "1").await.is_tool_error());
    let over = delete(&room, &token, "2").await;
    assert_eq!(told(&over)["status"], "over_budget", "{over:?}");
    assert_eq!(deleted(&room), 1);
    // Its yes is still there when there is something left.
    room.clock.advance(60_000);
    assert!(!delete(&room, &token, "2").await.is_tool_error());
    assert_eq!(deleted(&room), 2);
}

#[tokio::test]
async fn reads_and_writes_ask_nobody() {
    let (room, _) = guarded().await;
    assert!(!room.call(&room.alice(), "get-thing", json!({"id": "1"})).await.is_tool_error());
    assert!(!room.call(&room.alice(), "create-thing", json!({"name": "x"})).await.is_tool_error());
    assert!(room.events().iter().all(|event| event["approval"].is_null()));
}

#[tokio::test]
async fn nobody_approves_their_own_call_and_strangers_find_nothing() {
    let (room, token) = guarded().await;
    let id = id_of(&delete(&room, &token, "1").await);
    for who in ["alice", "nobody"] {
        let refused = say(&room, &id, who, Says::Yes).await.unwrap_err();
        assert!(matches!(refused, VoteError::NotFound(_)), "{who}: {refused}");
    }
    let unknown = ApprovalId::parse("unknown").unwrap();
    assert!(matches!(say(&room, &unknown, "bob", Says::Yes).await, Err(VoteError::NotFound(_))));
    assert_eq!(id_of(&delete(&room, &token, "1").await), id);
    assert_eq!(deleted(&room), 0);
}

#[tokio::test]
async fn a_no_ends_it_even_after_a_yes() {
    let (room, token) = guarded().await;
    let id = id_of(&delete(&room, &token, "1").await);
    say(&room, &id, "bob", Says::Yes).await.unwrap();
    assert_eq!(say(&room, &id, "carol", Says::No).await.unwrap().as_str(), "denied");
    let denied = delete(&room, &token, "1").await;
    assert_eq!(told(&denied)["status"], "approval_denied");
    assert!(denied.is_tool_error());
    assert!(matches!(say(&room, &id, "bob", Says::Yes).await, Err(VoteError::Over("denied"))));
    assert_eq!(deleted(&room), 0);
}

#[tokio::test]
async fn nothing_approves_by_waiting_and_an_approval_runs_out() {
    let (room, token) = guarded().await;
    let id = id_of(&delete(&room, &token, "1").await);
    room.clock.advance(REQUEST_LIFE_MS);
    assert!(matches!(say(&room, &id, "bob", Says::Yes).await, Err(VoteError::Over("lapsed"))));
    let token = room.token("alice", "c1", &["reads", "destroys"]);
    let second = id_of(&delete(&room, &token, "1").await);
    assert_ne!(second, id);
    say(&room, &second, "bob", Says::Yes).await.unwrap();
    room.clock.advance(UNUSED_LIFE_MS);
    assert_ne!(id_of(&delete(&room, &token, "1").await), second);
    assert_eq!(deleted(&room), 0);
    // What ran out is noted when the same call is asked for again; the sweep finds what nobody asked for.
    let ended = |room: &Room| room.events().iter().filter(|event| event["act"] == "approval.lapse").count();
    let noted = ended(&room);
    room.clock.advance(REQUEST_LIFE_MS);
    assert_eq!(ambit_identity::approvals::sweep(&room.live).await.unwrap(), 1);
    assert_eq!(ended(&room), noted + 1);
    assert_eq!(ambit_identity::approvals::sweep(&room.live).await.unwrap(), 0);
}

#[tokio::test]
async fn what_is_revoked_between_yes_and_use_stops_the_call() {
    let user = |name: &str| Scope::User(UserKey::local(name).unwrap());
    let server = Scope::parse("server", "api").unwrap();
    for (what, scope, asked_again) in [
        // The approver's word is void; the call is asked for again.
        ("approver", user("bob"), true),
        ("server", server, true),
    ] {
        let (room, token) = guarded().await;
        let id = id_of(&delete(&room, &token, "1").await);
        say(&room, &id, "bob", Says::Yes).await.unwrap();
        room.clock.advance(2_000);
        room.revoke(scope).await;
        room.clock.advance(2_000);
        room.reveal_as("r2", "alice", "c1", "destroys").await;
        let token = room.token("alice", "c1", &["reads", "destroys"]);
        let answer = delete(&room, &token, "1").await;
        assert_eq!(deleted(&room), 0, "{what}");
        if asked_again {
            assert_ne!(id_of(&answer), id, "{what}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn an_approver_who_loses_the_role_between_yes_and_use_has_said_nothing() {
    let (room, token) = guarded().await;
    let id = id_of(&delete(&room, &token, "1").await);
    say(&room, &id, "bob", Says::Yes).await.unwrap();
    room.approvers_become(&["carol"]).await;
    // What was asked first and what is asked next are told apart by when.
    room.clock.advance(1);
    let asked = id_of(&delete(&room, &token, "1").await);
    assert_ne!(asked, id);
    assert_eq!(deleted(&room), 0);
    let lapsed = room.events().into_iter().find(|event| event["act"] == "approval.lapse").unwrap();
    assert_eq!((&lapsed["subject"], &lapsed["after"]["why"]), (&json!(format!("approval {id}")), &json!("approvers")));
    // Nor does it help to get the role back.
    room.approvers_become(&["bob", "carol"]).await;
    assert_eq!(id_of(&delete(&room, &token, "1").await), asked);
    say(&room, &asked, "carol", Says::Yes).await.unwrap();
    assert!(!delete(&room, &token, "1").await.is_tool_error());
    assert_eq!(deleted(&room), 1);
}

#[tokio::test]
async fn a_definition_that_changes_between_yes_and_use_is_asked_for_again() {
    let (room, token) = guarded().await;
    let id = id_of(&delete(&room, &token, "1").await);
    say(&room, &id, "bob", Says::Yes).await.unwrap();
    let mut changed = document();
    changed["paths"]["/things/{id}"]["delete"]["summary"] = json!("Delete a thing and all its parts");
    room.tools_become(&changed).await;
    let asked = id_of(&delete(&room, &token, "1").await);
    assert_ne!(asked, id);
    assert_eq!(deleted(&room), 0);
    // The one that was approved is the old one: back to it, and its yes counts.
    room.tools_become(&document()).await;
    assert!(!delete(&room, &token, "1").await.is_tool_error());
    assert_eq!(deleted(&room), 1);
}

#[tokio::test]
async fn two_people_have_to_say_yes_where_two_are_asked_for() {
    let (room, token) = revealed(Room::guarded_by_two().await).await;
    let id = id_of(&delete(&room, &token, "1").await);
    // The same person twice is one.
    for _ in 0..2 {
        assert_eq!(say(&room, &id, "bob", Says::Yes).await.unwrap().as_str(), "pending");
        assert_eq!(told(&delete(&room, &token, "1").await)["status"], "approval_pending");
    }
    assert!(say(&room, &id, "alice", Says::Yes).await.is_err(), "who asks does not answer");
    assert_eq!(deleted(&room), 0);
    assert_eq!(say(&room, &id, "carol", Says::Yes).await.unwrap().as_str(), "approved");
    // One of them is gone before it is used: the other alone is not enough.
    room.clock.advance(1_000);
    room.revoke(Scope::User(UserKey::local("carol").unwrap())).await;
    let short = delete(&room, &token, "1").await;
    assert_eq!(told(&short)["status"], "no_approvers", "{short:?}");
    assert_eq!(deleted(&room), 0);

    let (room, token) = revealed(Room::guarded_by_two().await).await;
    let id = id_of(&delete(&room, &token, "1").await);
    say(&room, &id, "carol", Says::Yes).await.unwrap();
    say(&room, &id, "bob", Says::Yes).await.unwrap();
    assert!(!delete(&room, &token, "1").await.is_tool_error());
    assert_eq!(told(&delete(&room, &token, "1").await)["status"], "already_executed");
    assert_eq!(deleted(&room), 1);
    let intent = room.events().into_iter().find(|event| event["event"] == "intent").unwrap();
    assert_eq!(intent["approval"]["by"], json!(["local:bob", "local:carol"]));
}

#[tokio::test]
async fn a_reveal_that_ends_between_yes_and_use_hides_the_tool() {
    let (room, token) = guarded().await;
    let id = id_of(&delete(&room, &token, "1").await);
    say(&room, &id, "bob", Says::Yes).await.unwrap();
    room.end_reveal("r1").await;
    assert_eq!(delete(&room, &token, "1").await.error_code(), -32602);
    assert_eq!(deleted(&room), 0);
}

/// What another node revoked a moment ago, and this one has not heard of.
#[tokio::test]
async fn a_revocation_nobody_told_this_node_of_counts_when_the_approval_is_spent() {
    let (room, token) = guarded().await;
    let id = id_of(&delete(&room, &token, "1").await);
    say(&room, &id, "bob", Says::Yes).await.unwrap();
    let mut tx = room.live.store().begin().await.unwrap();
    let ended = GrantId::parse("r1").unwrap();
    ambit_store::reveals::end(&mut tx, &ended, "operator:test", room.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(delete(&room, &token, "1").await.error_code(), -32602);
    assert_eq!(deleted(&room), 0);
}

#[tokio::test]
async fn nobody_to_ask_is_said_at_once() {
    let (room, token) = guarded().await;
    for name in ["bob", "carol"] {
        let mut tx = room.live.store().begin().await.unwrap();
        let name = ambit_model::ids::Subject::parse(name).unwrap();
        ambit_store::accounts::disable(&mut tx, &name, room.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
    }
    let answer = delete(&room, &token, "1").await;
    assert_eq!(told(&answer)["status"], "no_approvers");
    assert!(answer.text().contains("`approvers`"), "{}", answer.text());
}

#[tokio::test]
async fn a_client_that_shows_urls_is_asked_to_and_its_state_opens_only_for_this_call() {
    let (room, token) = guarded().await;
    let capable = json!({"elicitation": {"url": {}}});
    let ask = async |token: &str, id: &str, more: Value| {
        let mut params = json!({"name": TOOL, "arguments": {"id": id}});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        room.send(modern_with("/mcp", token, "tools/call", params, &capable)).await
    };
    let first = ask(&token, "1", json!({})).await.json()["result"].clone();
    assert_eq!(first["resultType"], "input_required");
    let question = &first["inputRequests"]["ambit_approval"];
    assert_eq!((&question["method"], &question["params"]["mode"]), (&json!("elicitation/create"), &json!("url")));
    let url = question["params"]["url"].as_str().unwrap();
    let state = first["requestState"].as_str().unwrap().to_owned();
    let with = |state: &str, action: &str| json!({"requestState": state, "inputResponses": {"ambit_approval": {"action": action}}});
    // Altered, of another call, of another caller, forged, too long.
    let mut altered = state.clone().into_bytes();
    altered[20] = if altered[20] == b'A' { b'B' } else { b'A' };
    let altered = String::from_utf8(altered).unwrap();
    for (what, state, id) in
        [("altered", altered.as_str(), "1"), ("another call's", state.as_str(), "2"), ("forged", "AAAA", "1")]
    {
        let refused = ask(&token, id, with(state, "accept")).await;
        assert_eq!(refused.error_code(), -32602, "{what}");
    }
    let foreign = room.token("alice", "c2", &["reads", "destroys"]);
    room.reveal_as("r2", "alice", "c2", "destroys").await;
    assert_eq!(ask(&foreign, "1", with(&state, "accept")).await.error_code(), -32602);
    // The user agreed to look, and nobody has decided yet: shown again, a few times, then told in words.
    let mut current = state.clone();
    for _ in 0..2 {
        let again = ask(&token, "1", with(&current, "accept")).await.json()["result"].clone();
        assert_eq!(again["resultType"], "input_required");
        current = again["requestState"].as_str().unwrap().to_owned();
    }
    let words = ask(&token, "1", with(&current, "accept")).await;
    assert_eq!(told(&words)["status"], "approval_pending");
    let declined = ask(&token, "1", with(&state, "decline")).await;
    assert_eq!(told(&declined)["status"], "approval_pending");
    assert!(url.ends_with(id_of(&declined).as_str()));
    // A replayed state is worth what the store says: the yes is spent once.
    say(&room, &id_of(&declined), "bob", Says::Yes).await.unwrap();
    let done = ask(&token, "1", with(&state, "accept")).await;
    assert_eq!(done.json()["result"]["isError"], false, "{done:?}");
    let replayed = ask(&token, "1", with(&state, "accept")).await;
    assert_eq!(told(&replayed)["status"], "already_executed");
    assert_eq!(deleted(&room), 1);
    room.clock.advance(REQUEST_LIFE_MS + UNUSED_LIFE_MS);
    let token = room.token("alice", "c1", &["reads", "destroys"]);
    assert_eq!(ask(&token, "1", with(&state, "accept")).await.error_code(), -32602, "expired");
}

#[tokio::test]
async fn a_legacy_client_gets_what_its_session_declared() {
    let (room, token) = guarded().await;
    let open = async |capabilities: Value| {
        let params = json!({"protocolVersion": LEGACY, "capabilities": capabilities,
            "clientInfo": {"name": "t", "version": "1"}});
        let answer = room.send(legacy(&token, None, "initialize", Some(params))).await;
        answer.headers["mcp-session-id"].to_str().unwrap().to_owned()
    };
    let params = json!({"name": TOOL, "arguments": {"id": "1"}});
    let plain = open(json!({"elicitation": {}})).await;
    let words = room.send(legacy(&token, Some(&plain), "tools/call", Some(params.clone()))).await;
    assert_eq!(told(&words)["status"], "approval_pending");
    let capable = open(json!({"elicitation": {"form": {}, "url": {}}})).await;
    let error = room.send(legacy(&token, Some(&capable), "tools/call", Some(params.clone()))).await;
    assert_eq!((error.status, error.error_code()), (StatusCode::OK, -32042), "{error:?}");
    let asked = error.json()["error"]["data"]["elicitations"][0].clone();
    assert_eq!((&asked["mode"], &asked["elicitationId"]), (&json!("url"), &json!(id_of(&words))));
    say(&room, &id_of(&words), "carol", Says::Yes).await.unwrap();
    let done = room.send(legacy(&token, Some(&capable), "tools/call", Some(params))).await;
    assert!(done.json()["result"]["isError"] != true && deleted(&room) == 1, "{done:?}");
}

#[tokio::test]
async fn what_could_not_be_sent_may_be_asked_for_at_once_and_what_may_have_happened_not() {
    let (room, token) = guarded().await;
    let id = id_of(&delete(&room, &token, "1").await);
    say(&room, &id, "bob", Says::Yes).await.unwrap();
    room.upstream.will(Act::Close);
    let unknown = delete(&room, &token, "1").await;
    assert!(unknown.is_tool_error() && unknown.text().contains("may have been carried out"), "{unknown:?}");
    let again = delete(&room, &token, "1").await;
    assert_eq!((&told(&again)["status"], told(&again)["record"].is_string()), (&json!("outcome_unknown"), true));
    room.move_api_to("http://127.0.0.1:1").await;
    let id = id_of(&delete(&room, &token, "2").await);
    say(&room, &id, "bob", Says::Yes).await.unwrap();
    let unsent = delete(&room, &token, "2").await;
    assert!(unsent.text().starts_with("not executed: "), "{unsent:?}");
    assert_ne!(id_of(&delete(&room, &token, "2").await), id, "the approval is spent, the call never left");
}

/// A node that stopped between spending and noting: the approval is gone, and nothing runs twice.
#[tokio::test]
async fn a_crash_after_the_approval_was_spent_never_repeats_the_call() {
    let (room, token) = guarded().await;
    let id = id_of(&delete(&room, &token, "1").await);
    say(&room, &id, "bob", Says::Yes).await.unwrap();
    let mut tx = room.live.store().begin().await.unwrap();
    let held = ambit_store::approvals::hold(&mut tx, &id).await.unwrap().unwrap();
    let spent = ambit_store::approvals::consume(&mut tx, &id, &held.digest, "lost", room.clock.now()).await.unwrap();
    assert!(spent.is_some());
    tx.commit().await.unwrap();
    let answer = delete(&room, &token, "1").await;
    assert_eq!((&told(&answer)["status"], &told(&answer)["record"]), (&json!("outcome_unknown"), &json!("lost")));
    assert_eq!(deleted(&room), 0);
}

/// A grant, unlike a reveal, may be all that a call stands on: a write that a rule wants approved.
#[tokio::test]
async fn a_grant_that_is_ended_between_yes_and_use_leaves_nothing_to_use() {
    const RULE: &str = r#"
@id("second-person") forbid (principal, action == Action::"api/create-thing", resource) unless { context.approved };"#;
    // Here, and at another node that this one has not heard of.
    for heard in [true, false] {
        let without = |deployment: &mut Deployment| deployment.grants.retain(|grant| grant.id.as_str() != "g2");
        let room = Room::guarded_over(without).await;
        room.rules_become(RULE).await;
        let token = room.alice();
        let create = async || room.call(&token, "create-thing", json!({"name": "x"})).await;
        assert_eq!(create().await.error_code(), -32602, "nothing is held yet");
        room.grant("s1", "alice", "writes").await;
        let id = id_of(&create().await);
        assert_eq!(say(&room, &id, "bob", Says::Yes).await.unwrap().as_str(), "approved");
        if heard {
            room.end_grant("s1").await;
        } else {
            room.end_grant_unheard("s1").await;
        }
        assert_eq!(create().await.error_code(), -32602, "heard: {heard}");
        assert!(room.upstream.seen().is_empty(), "heard: {heard}");
        let kept = ambit_store::approvals::find(room.live.store(), &id).await.unwrap().unwrap();
        assert_eq!(kept.stage.as_str(), "approved", "a call that is hidden spends nothing");
        // Given back in time, the yes to exactly this call still counts.
        room.grant("s2", "alice", "writes").await;
        assert!(!create().await.is_tool_error());
        assert_eq!(room.upstream.seen().len(), 1);
    }
}

/// The store answers where the call stands, and is gone when the approval is spent.
#[tokio::test]
async fn a_store_that_is_lost_between_asking_and_spending_dispatches_nothing() {
    let (room, token) = guarded().await;
    let id = id_of(&delete(&room, &token, "1").await);
    say(&room, &id, "bob", Says::Yes).await.unwrap();
    ambit_store::testing::refuse_spending(room.live.store()).await.unwrap();
    let answer = delete(&room, &token, "1").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert_eq!(deleted(&room), 0);
    let kept = ambit_store::approvals::find(room.live.store(), &id).await.unwrap().unwrap();
    assert_eq!(kept.stage.as_str(), "approved", "it got as far as an approval that could be spent");
    let events = room.events();
    assert!(events.iter().all(|event| event["event"] != "intent" && event["act"] != "approval.consume"), "{events:#?}");
    // Back again, the same yes lets the call out once.
    ambit_store::testing::allow_spending(room.live.store()).await.unwrap();
    assert!(!delete(&room, &token, "1").await.is_tool_error());
    assert_eq!(told(&delete(&room, &token, "1").await)["status"], "already_executed");
    assert_eq!(deleted(&room), 1);
}

#[tokio::test]
async fn without_the_store_nothing_is_dispatched() {
    let (room, token) = guarded().await;
    let id = id_of(&delete(&room, &token, "1").await);
    say(&room, &id, "bob", Says::Yes).await.unwrap();
    room.live.store().close().await;
    let answer = delete(&room, &token, "1").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert_eq!(deleted(&room), 0);
}

#[tokio::test]
async fn a_clock_that_steps_back_runs_nothing_twice() {
    let (room, token) = guarded().await;
    room.clock.advance(5_000);
    let id = id_of(&delete(&room, &token, "1").await);
    say(&room, &id, "bob", Says::Yes).await.unwrap();
    delete(&room, &token, "1").await;
    room.clock.advance(-3_000);
    assert_eq!(told(&delete(&room, &token, "1").await)["status"], "already_executed");
    assert_eq!(deleted(&room), 1);
}

/// Fifty retries at once, spread over two gateways of this process on one PostgreSQL.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_retries_at_two_gateways_dispatch_once() {
    let url = ambit_store::testing::postgres().unwrap_or_else(|error| panic!("{error}"));
    let (one, token) = revealed(Room::guarded_on(Some(url.clone())).await).await;
    let two = one.beside(url).await;
    let id = id_of(&delete(&one, &token, "1").await);
    assert_eq!(id_of(&delete(&two, &token, "1").await), id, "one request, whichever gateway is asked");
    say(&two, &id, "bob", Says::Yes).await.unwrap();
    let retries = (0..50).map(|number| {
        let (room, token) = (if number % 2 == 0 { &one } else { &two }, &token);
        async move { delete(room, token, "1").await }
    });
    let answers = futures_util::future::join_all(retries).await;
    assert_eq!(deleted(&one), 1, "exactly one left");
    let mut counts = BTreeMap::new();
    for answer in &answers {
        let status = told(answer)["status"].as_str().unwrap_or("ran").to_owned();
        *counts.entry(status).or_insert(0) += 1;
    }
    assert_eq!(counts.get("ran"), Some(&1), "{counts:?}");
    assert!(
        counts.keys().all(|status| ["ran", "already_executed", "outcome_unknown"].contains(&status.as_str())),
        "{counts:?}"
    );
}
