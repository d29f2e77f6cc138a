//! Rules of the organisation on the way of a call: an approval they ask for lifts them, and what they say stands in the record.

use ambit_model::approval::Says;
use serde_json::{Value, json};

use crate::{
    approving::{id_of, say, told},
    room::Room,
};

/// Number eight is shown with a second person's yes; two more rules are only tried.
const RULES: &str = r#"
@id("second-person") forbid (principal, action == Action::"api/get-thing", resource)
when { context.arguments.id == "8" } unless { context.approved };
@id("tried-lifted") @mode("report") forbid (principal, action == Action::"api/get-thing", resource)
unless { context.approved };
@id("tried") @mode("report") forbid (principal, action == Action::"api/get-thing", resource)
when { context has login };
"#;

const NEVER: &str = r#"@id("never") forbid (principal, action == Action::"api/get-thing", resource)
when { context.arguments.id == "8" };"#;

fn decision(event: &Value) -> (&Value, &Value, &Value) {
    let decided = &event["decision"];
    (&decided["outcome"], &decided["policies"], &decided["reported"])
}

#[tokio::test]
async fn a_rule_that_asks_for_an_approval_is_lifted_by_it_and_the_record_says_so() {
    let room = Room::guarded().await;
    room.rules_become(RULES).await;
    let token = room.alice();
    let call = async |id: &str| room.call(&token, "get-thing", json!({"id": id})).await;
    // Not concerned, and only tried on.
    assert!(!call("7").await.is_tool_error());
    let waiting = call("8").await;
    assert_eq!(told(&waiting)["status"], "approval_pending", "{waiting:?}");
    assert_eq!(room.upstream.seen().len(), 1, "{:?}", room.upstream.seen());
    say(&room, &id_of(&waiting), "bob", Says::Yes).await.unwrap();
    let done = call("8").await;
    assert!(!done.is_tool_error(), "{done:?}");
    assert_eq!(room.upstream.seen().len(), 2, "once");

    let events = room.events();
    let intents: Vec<_> = events.iter().filter(|event| event["event"] == "intent").collect();
    let [plain, approved] = intents[..] else { panic!("two calls went out: {events:#?}") };
    let (allow, entitled) = (json!("allow"), json!(["entitled"]));
    assert_eq!(decision(plain), (&allow, &entitled, &json!(["tried-lifted"])));
    assert!(plain["approval"].is_null());
    // With the approval, the rule that it lifts would not have decided either.
    assert_eq!(decision(approved), (&allow, &entitled, &Value::Null));
    assert_eq!(approved["approval"]["by"], json!(["local:bob"]));
    let held = events.iter().find(|event| event["result"] == "approval_pending").unwrap();
    assert_eq!(decision(held), (&json!("needs-approval"), &json!(["second-person"]), &json!(["tried-lifted"])));
    for event in [plain, approved, held] {
        assert!(event["decision"]["call"].is_string(), "what the rules read is kept: {event}");
        assert!(!event.to_string().contains("\"8\""), "and sealed: {event}");
    }
}

#[tokio::test]
async fn rules_that_change_between_the_yes_and_the_call_ask_anew() {
    let room = Room::guarded().await;
    room.rules_become(RULES).await;
    let token = room.alice();
    let call = async || room.call(&token, "get-thing", json!({"id": "8"})).await;
    let first = id_of(&call().await);
    say(&room, &first, "bob", Says::Yes).await.unwrap();
    room.rules_become(&format!("{RULES}// one more word\n")).await;
    let second = id_of(&call().await);
    assert_ne!(first, second, "the yes was to other rules");
    assert!(room.upstream.seen().is_empty());
    // What no approval lifts is refused, whatever was said yes to.
    say(&room, &second, "bob", Says::Yes).await.unwrap();
    room.rules_become(NEVER).await;
    let refused = call().await;
    assert!(refused.is_tool_error() && refused.text().contains("rule `never`"), "{refused:?}");
    assert!(room.upstream.seen().is_empty());
}
