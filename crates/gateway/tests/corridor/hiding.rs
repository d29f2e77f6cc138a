//! Hidden and absent are one answer, byte for byte, for every way a tool can be hidden.

use std::collections::BTreeSet;

use ambit_model::{ids::ToolId, revocation::Scope};
use serde_json::json;

use crate::room::{Answer, Room};

/// An answer with the name that was asked for taken out.
fn without_name(mut answer: Answer, name: &str) -> Answer {
    let body = String::from_utf8(answer.body).unwrap();
    let quoted = format!("`{name}`");
    assert!(body.contains(&quoted), "{body}");
    answer.body = body.replace(&quoted, "NAME").into_bytes();
    answer.headers.remove("content-length");
    answer
}

#[tokio::test]
async fn a_hidden_tool_and_ten_thousand_absent_ones_are_one_answer() {
    let room = Room::over(|deployment| deployment.budgets.everybody.requests.rate = None).await;
    let alice = room.alice();
    let bob = room.token("bob", "c1", &["reads", "writes"]);
    let hidden = without_name(room.call(&alice, "delete-thing", json!({"id": "1"})).await, "delete-thing");
    assert_eq!((hidden.status.as_u16(), hidden.error_code()), (200, -32602));
    // Not granted at all; granted but for no scope nobody can add; and arguments that would not do either.
    let for_bob = without_name(room.call(&bob, "create-thing", json!({"name": "x"})).await, "create-thing");
    let wrong = without_name(room.call(&bob, "create-thing", json!({"nonsense": 1})).await, "create-thing");
    assert_eq!((&for_bob, &wrong), (&hidden, &hidden));
    for n in 0..10_000 {
        let name = match n % 4 {
            0 => format!("delete-thing-{n}"),
            1 => format!("absent_{n}"),
            2 => format!("{n}"),
            _ => format!("create-thing{n}"),
        };
        let absent = without_name(room.call(&alice, &name, json!({"id": "1"})).await, &name);
        assert_eq!(absent, hidden, "{name}");
    }
    assert!(room.upstream.seen().is_empty());
    assert!(!room.names(&alice).await.contains(&"delete-thing".to_owned()));
}

#[tokio::test]
async fn the_trail_knows_which_was_which() {
    let room = Room::new().await;
    let alice = room.alice();
    room.call(&alice, "delete-thing", json!({"id": "1"})).await;
    room.call(&alice, "no-such-thing", json!({"id": "1"})).await;
    let events = room.requests();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["target"]["tool"], "delete-thing");
    assert_eq!(events[0]["decision"]["outcome"], "hidden");
    let asked = events[1]["asked"].as_str().unwrap();
    assert!(asked.starts_with("sha256:") && events[1].get("target").is_none(), "what a caller types may be a secret");
    assert_eq!(events[1]["decision"]["outcome"], "hidden");
    assert_eq!(events[1]["decision"]["policies"], json!([]), "nobody decided about a tool that is not there");
    for event in &events {
        assert_eq!(
            (&event["event"], &event["executed"], &event["result"]),
            (&json!("outcome"), &json!("no"), &json!("unknown_tool"))
        );
        assert_eq!(event["who"]["user"], "local:alice");
    }
}

#[tokio::test]
async fn a_reveal_shows_what_destroys_to_its_user_and_client_alone() {
    let room = Room::new().await;
    room.reveal("alice", "c1", "destroys").await;
    let toolsets = ["reads", "destroys"];
    let named = room.token("alice", "c1", &toolsets);
    assert!(room.names(&named).await.contains(&"delete-thing".to_owned()));
    let deleted = room.call(&named, "delete-thing", json!({"id": "1"})).await;
    assert_eq!(deleted.json()["result"]["isError"], false, "{deleted:?}");
    assert!(room.upstream.seen()[0].starts_with("DELETE /things/1 "));
    for (user, client) in [("alice", "c2"), ("bob", "c1")] {
        let token = room.token(user, client, &toolsets);
        assert_eq!(room.call(&token, "delete-thing", json!({"id": "1"})).await.error_code(), -32602);
        assert!(!room.names(&token).await.contains(&"delete-thing".to_owned()));
    }
    assert_eq!(room.upstream.seen().len(), 1);
}

#[tokio::test]
async fn a_revoked_tool_is_hidden_from_list_and_call() {
    let room = Room::new().await;
    let token = room.alice();
    let absent = without_name(room.call(&token, "absent", json!({})).await, "absent");
    room.clock.advance(5_000);
    room.revoke(Scope::Tool(ToolId::parse("api/get-thing").unwrap())).await;
    assert_eq!(room.names(&token).await, ["create-thing", "list-things"]);
    let hidden = without_name(room.call(&token, "get-thing", json!({"id": "1"})).await, "get-thing");
    assert_eq!(hidden, absent);
}

#[tokio::test]
async fn what_is_listed_is_what_can_be_called() {
    let room = Room::new().await;
    for (user, toolsets) in
        [("alice", vec!["reads", "writes"]), ("alice", vec!["reads"]), ("bob", vec!["reads"]), ("bob", vec![])]
    {
        let token = room.token(user, "c1", &toolsets);
        let listed: BTreeSet<String> = room.names(&token).await.into_iter().collect();
        for name in ["list-things", "get-thing", "create-thing", "delete-thing"] {
            let answer = room.call(&token, name, json!({})).await;
            let is_hidden = answer.json()["error"]["code"] == -32602;
            assert_eq!(!is_hidden, listed.contains(name), "{user} {toolsets:?} {name}");
        }
    }
}

/// What is written costs time, and it is written before the answer. The work is compared, not the time it takes: that differs
/// more from machine to machine than any defect would.
#[tokio::test]
async fn a_hidden_tool_and_an_absent_one_leave_records_of_one_length_and_make() {
    let room = Room::new().await;
    let token = room.token("bob", "c1", &["reads"]);
    let tools = ["create-thing", "delete-thing"];
    for name in tools {
        room.call(&token, name, json!({"id": "1"})).await;
    }
    // Each is judged in the stead of one of the tools there are, all of which are to have their turn.
    for n in 0..64 {
        room.call(&token, &format!("absent-{n:05}"), json!({"id": "1"})).await;
    }
    let events = room.requests();
    assert_eq!(events.len(), 2 + 64);
    // Without what differs between any two records.
    let made = |event: &serde_json::Value| {
        let mut event = event.clone();
        let members = event.as_object_mut().unwrap();
        for own in ["request", "at", "micros"] {
            assert!(members.remove(own).is_some(), "{own}");
        }
        assert_eq!(members["asked"].as_str().unwrap().len(), "sha256:".len() + 64);
        assert!(members.contains_key("target") != members.contains_key("filler"), "{members:?}");
        members.keys().map(|key| key.replace("filler", "target")).collect::<BTreeSet<_>>()
    };
    let length = |event: &serde_json::Value| {
        let mut event = event.clone();
        for own in ["request", "at", "micros"] {
            event.as_object_mut().unwrap().remove(own);
        }
        event.to_string().len()
    };
    let (hidden, absent) = events.split_at(tools.len());
    assert!(absent.iter().all(|event| made(event) == made(&hidden[0])));
    let lengths: BTreeSet<_> = absent.iter().map(length).collect();
    // As long as those of the tools in whose stead they were judged: names differ, by less than a block of the hash.
    let all = || lengths.iter().copied().chain(hidden.iter().map(length));
    assert!(all().max().unwrap() - all().min().unwrap() < 64, "{lengths:?}");
    assert!(lengths.contains(&length(&hidden[0])) && lengths.contains(&length(&hidden[1])), "{lengths:?}");
}
