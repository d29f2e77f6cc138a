//! Breaking the glass: a call waits for nobody, as long as it is broken, and for nothing else is anything different.

use ambit_model::{break_glass::BreakGlass, label::Label, revocation::Scope};
use serde_json::json;

use crate::{
    approving::{TOOL, delete, told},
    room::{Room, document, label},
};

const HOUR_MS: i64 = 3_600_000;

fn deleted(room: &Room) -> usize {
    room.upstream.seen().iter().filter(|request| request.starts_with("DELETE ")).count()
}

async fn broken() -> (Room, String) {
    let room = Room::guarded().await;
    room.break_glass("glass:1", "alice", "c1", "destroys").await;
    let token = room.token("alice", "c1", &["reads", "destroys"]);
    (room, token)
}

#[tokio::test]
async fn a_call_under_broken_glass_waits_for_nobody_and_says_so_in_the_trail() {
    let (room, token) = broken().await;
    for number in ["1", "1", "2"] {
        let done = delete(&room, &token, number).await;
        assert!(!done.is_tool_error(), "{done:?}");
    }
    assert_eq!(deleted(&room), 3, "each is a call of its own: nobody said yes to one of them");
    let events = room.events();
    let intents: Vec<_> = events.iter().filter(|event| event["event"] == "intent").collect();
    assert_eq!(intents.len(), 3);
    for intent in intents {
        assert_eq!((&intent["break_glass"], &intent["approval"]), (&json!("glass:1"), &json!(null)));
    }
    assert!(events.iter().all(|event| event["act"] != "approval.request"), "nobody is asked");
    // An ordinary call has none.
    room.call(&room.alice(), "create-thing", json!({"name": "x"})).await;
    let last = room.events().into_iter().rfind(|event| event["event"] == "intent").unwrap();
    assert_eq!(last["break_glass"], json!(null));
}

#[tokio::test]
async fn it_is_over_after_an_hour_and_when_it_is_ended() {
    let (room, token) = broken().await;
    assert!(!delete(&room, &token, "1").await.is_tool_error());
    room.end_reveal("glass:1").await;
    assert_eq!(delete(&room, &token, "2").await.error_code(), -32602, "hidden again");
    room.break_glass("glass:2", "alice", "c1", "destroys").await;
    room.clock.advance(HOUR_MS);
    let token = room.token("alice", "c1", &["reads", "destroys"]);
    assert_eq!(delete(&room, &token, "2").await.error_code(), -32602);
    assert_eq!(deleted(&room), 1);
}

#[tokio::test]
async fn it_is_of_one_person_in_one_client_and_of_what_configuration_names() {
    let (room, token) = broken().await;
    // Another client of hers, and another person in the same client, see nothing.
    let elsewhere = room.token("alice", "c2", &["reads", "destroys"]);
    assert_eq!(delete(&room, &elsewhere, "1").await.error_code(), -32602);
    let somebody = room.token("bob", "c1", &["reads", "destroys"]);
    assert_eq!(delete(&room, &somebody, "1").await.error_code(), -32602);
    // With a reveal of their own they wait like everybody.
    room.reveal_as("r2", "alice", "c2", "destroys").await;
    assert_eq!(told(&delete(&room, &elsewhere, "1").await)["status"], "approval_pending");
    // Once configuration names her no more, what she broke before is an ordinary reveal.
    room.glass_becomes(BreakGlass::default()).await;
    assert_eq!(told(&delete(&room, &token, "1").await)["status"], "approval_pending");
    assert_eq!(deleted(&room), 0);
}

#[tokio::test]
async fn it_lifts_no_block_no_pending_definition_no_audience_and_no_schema() {
    let (room, token) = broken().await;
    assert!(delete(&room, &token, &"x".repeat(5)).await.status.is_success());
    let wrong = room.call(&token, TOOL, json!({"id": 1})).await;
    assert!(wrong.is_tool_error() && deleted(&room) == 1, "{wrong:?}");
    let elsewhere = room.token_at(1, "alice", "c1", &["destroys"]);
    assert_eq!(delete(&room, &elsewhere, "1").await.status, 401, "a token of another endpoint");
    let mut changed = document();
    changed["paths"]["/things/{id}"]["delete"]["summary"] = json!("Delete a thing and all its parts");
    room.tools_become_unaccepted(&changed).await;
    assert_eq!(delete(&room, &token, "1").await.error_code(), -32602, "pending");
    room.tools_become(&document()).await;
    assert!(!delete(&room, &token, "1").await.is_tool_error());
    room.block(Scope::parse("tool", "api/delete-thing").unwrap()).await;
    assert_eq!(delete(&room, &token, "1").await.error_code(), -32602, "blocked");
    assert_eq!(deleted(&room), 2);
}

#[tokio::test]
async fn a_request_that_waits_stays_one_and_its_no_says_nothing_about_broken_glass() {
    let room = Room::guarded().await;
    room.reveal("alice", "c1", "destroys").await;
    let token = room.token("alice", "c1", &["reads", "destroys"]);
    let id = crate::approving::id_of(&delete(&room, &token, "1").await);
    room.break_glass("glass:1", "alice", "c1", "destroys").await;
    assert!(!delete(&room, &token, "1").await.is_tool_error());
    room.end_reveal("glass:1").await;
    let waiting = delete(&room, &token, "1").await;
    assert_eq!((&told(&waiting)["status"], &told(&waiting)["approval"]), (&json!("approval_pending"), &json!(id)));
    assert_eq!(deleted(&room), 1);
}

#[tokio::test]
async fn what_strangers_may_have_asked_for_waits_under_broken_glass_too() {
    let room = Room::guarded_over(|deployment| {
        label(
            deployment,
            [
                ("api/list-things", Label::PrivateData),
                ("api/get-thing", Label::UntrustedContent),
                ("api/delete-*", Label::PublicSink),
            ],
        );
    })
    .await;
    room.break_glass("glass:1", "alice", "c1", "destroys").await;
    let token = room.token("alice", "c1", &["reads", "destroys"]);
    assert!(!room.call(&token, "list-things", json!({})).await.is_tool_error());
    assert!(!delete(&room, &token, "1").await.is_tool_error(), "one half alone holds nothing back");
    assert!(!room.call(&token, "get-thing", json!({"id": "1"})).await.is_tool_error());
    let held = delete(&room, &token, "2").await;
    assert!(held.text().starts_with("not executed yet: in the last half hour"), "{}", held.text());
    assert_eq!(deleted(&room), 1);
}

#[tokio::test]
async fn no_rule_of_the_organisation_is_lifted() {
    let (room, token) = broken().await;
    room.rules_become(
        r#"@id("never") forbid (principal, action == Action::"api/delete-thing", resource) when { context.arguments.id == "1" };
        @id("asked") forbid (principal, action == Action::"api/delete-thing", resource)
        when { context.arguments.id == "2" } unless { context.approved };
        @id("reads") forbid (principal, action == Action::"api/get-thing", resource) unless { context.approved };"#,
    )
    .await;
    let never = delete(&room, &token, "1").await;
    assert!(never.text().starts_with("not executed: "), "{never:?}");
    for waiting in [delete(&room, &token, "2").await, room.call(&token, "get-thing", json!({"id": "1"})).await] {
        assert_eq!(told(&waiting)["status"], "approval_pending", "{waiting:?}");
    }
    assert!(room.upstream.seen().is_empty(), "{:?}", room.upstream.seen());
    assert!(!delete(&room, &token, "3").await.is_tool_error(), "what no rule is about waits for nobody");
}
