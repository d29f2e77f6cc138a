//! What strangers wrote and what is private do not leave together unasked.

use ambit_identity::approvals::{Ballot, vote};
use ambit_live::deployment::Deployment;
use ambit_model::{
    approval::{Says, Via},
    ids::{ApprovalId, UserKey},
    label::Label,
};
use serde_json::{Value, json};

use crate::{
    room::{Answer, Room, label},
    upstream::Act,
};

fn labelled(deployment: &mut Deployment) {
    label(
        deployment,
        [
            ("api/list-*", Label::PrivateData),
            ("api/get-thing", Label::UntrustedContent),
            ("api/create-thing", Label::PublicSink),
        ],
    );
}

async fn send_out(room: &Room, token: &str) -> Answer {
    room.call(token, "create-thing", json!({"name": "x"})).await
}

async fn read(room: &Room, token: &str, name: &str, arguments: Value) {
    assert!(!room.call(token, name, arguments).await.is_tool_error());
}

#[tokio::test]
async fn both_halves_together_hold_back_what_leaves_for_half_an_hour() {
    let room = Room::guarded_over(labelled).await;
    let token = room.alice();
    let before = room.names(&token).await;
    assert!(!send_out(&room, &token).await.is_tool_error());
    read(&room, &token, "list-things", json!({})).await;
    assert!(!send_out(&room, &token).await.is_tool_error());
    room.clock.advance(60_000);
    read(&room, &token, "get-thing", json!({"id": "1"})).await;
    let sent = room.upstream.seen().len();
    let held = send_out(&room, &token).await;
    assert!(held.is_tool_error(), "{held:?}");
    assert!(held.text().starts_with("not executed yet: in the last half hour"), "{}", held.text());
    assert!(held.text().contains("approval of another person"), "{}", held.text());
    assert_eq!(room.upstream.seen().len(), sent);
    let event = room.requests().pop().unwrap();
    assert_eq!(
        (&event["result"], &event["decision"]["outcome"]),
        (&json!("approval_pending"), &json!("needs-approval"))
    );
    assert_eq!(room.names(&token).await, before);

    // Another token of the same person at the same client washes nothing off; another client is another caller.
    let again = room.token_of("another-login", 0, "alice", "c1", &["writes"]);
    assert!(send_out(&room, &again).await.is_tool_error());
    let elsewhere = room.token("alice", "c2", &["writes"]);
    assert!(!send_out(&room, &elsewhere).await.is_tool_error());

    // Another person's yes to exactly this call lets it out, once; the next one needs another.
    let id = ApprovalId::parse(held.json()["result"]["structuredContent"]["approval"].as_str().unwrap()).unwrap();
    let bob = UserKey::local("bob").unwrap();
    let ballot =
        Ballot { id: &id, by: &bob, since: room.clock.now(), says: Says::Yes, via: Via::Page, reason: Some("seen") };
    vote(&room.live, ballot).await.unwrap();
    assert!(!send_out(&room, &token).await.is_tool_error());
    assert_eq!(room.upstream.seen().len(), sent + 2);
    assert!(room.call(&token, "create-thing", json!({"name": "y"})).await.is_tool_error());

    room.clock.advance(29 * 60_000);
    assert!(!send_out(&room, &room.alice()).await.is_tool_error(), "one of the two is half an hour old");
}

#[tokio::test]
async fn a_label_is_noted_before_the_answer_and_not_for_a_call_that_is_not_sent() {
    let room = Room::guarded_over(labelled).await;
    let token = room.alice();
    read(&room, &token, "list-things", json!({})).await;
    for arguments in [json!({}), json!({"id": "../x"})] {
        assert!(room.call(&token, "get-thing", arguments).await.is_tool_error());
    }
    assert!(!send_out(&room, &token).await.is_tool_error());
    room.upstream.will(Act::Close);
    assert!(room.call(&token, "get-thing", json!({"id": "1"})).await.is_tool_error());
    room.upstream.will(Act::Json(200, "{}".into()));
    assert!(send_out(&room, &token).await.text().contains("half hour"));
}

#[tokio::test]
async fn what_was_touched_at_one_node_holds_at_another_and_nothing_leaves_when_nobody_can_say() {
    let url = ambit_store::testing::postgres().unwrap_or_else(|error| panic!("{error}"));
    let one = Room::in_fleet(url.clone(), None, labelled).await;
    let two = Room::in_fleet(url, Some(&one), labelled).await;
    let token = one.alice();
    read(&one, &token, "list-things", json!({})).await;
    read(&two, &token, "get-thing", json!({"id": "1"})).await;
    let sent = one.upstream.seen().len();
    for node in [&one, &two] {
        let held = send_out(node, &token).await;
        assert!(held.text().starts_with("not executed yet: in the last half hour"), "{held:?}");
    }
    two.live.store().close().await;
    // Its reads go on, their labels are known to the store; what would leave is not sent on a guess.
    read(&two, &token, "get-thing", json!({"id": "1"})).await;
    let unknown = send_out(&two, &token).await;
    assert_eq!(unknown.status, http::StatusCode::SERVICE_UNAVAILABLE, "{unknown:?}");
    assert_eq!(one.upstream.seen().len(), sent + 1);
}
