//! A question and the call it is about come to the same: over everybody, every tool, right and wrong arguments, and each way a
//! tool may be held back. And a question leaves everything as it was.

use ambit_live::deployment::Deployment;
use ambit_model::{
    constraints::{Constraints, ToolPattern},
    ids::ToolName,
    label::Label,
};
use serde_json::{Value, json};

use super::{ONE, ask, decided, question, somebody, subject, with_clients};
use crate::room::{Room, label};

const RULES: &str = r#"
@id("second-person") forbid (principal, action == Action::"api/get-thing", resource)
when { context.arguments.id == "8" } unless { context.approved };
@id("never") forbid (principal, action == Action::"api/get-thing", resource) when { context.arguments.id == "9" };
@id("third-person") forbid (principal, action == Action::"api/delete-thing", resource)
when { context.arguments.id == "2" } unless { context.approved };
@id("not-c2") forbid (principal, action in Action::"list", resource)
when { resource.effect == "write" && principal.client.id == "c2" };
"#;

const ANYWHERE_BUT: &str = r#"@id("inside") forbid (principal, action == Action::"api/get-thing", resource)
when { context has source && context.source.isInRange(ip("192.0.2.0/24")) };"#;

/// Alice's reads are of few things, bob's of all.
fn narrowed(deployment: &mut Deployment) {
    with_clients(deployment);
    let few = (ToolPattern::parse("api/get-thing").unwrap(), json!({"properties": {"id": {"enum": ["1", "8", "9"]}}}));
    let grant = deployment.grants.iter_mut().find(|grant| grant.id.as_str() == "g1").unwrap();
    grant.constraints = Constraints::new([few].into()).unwrap();
    let api = deployment.servers.values_mut().find(|server| server.slug.as_str() == "api").unwrap();
    // What destroys waits for people, unless they waived it.
    api.approvals.waivers.remove(&ToolName::parse("delete-thing").unwrap());
    label(
        deployment,
        [
            ("api/list-*", Label::PrivateData),
            ("api/get-thing", Label::UntrustedContent),
            ("api/create-thing", Label::PublicSink),
        ],
    );
}

const TOOLSETS: [&[&str]; 4] = [&[], &["reads"], &["reads", "writes"], &["reads", "writes", "destroys"]];
const TOOLS: [&str; 6] = ["list-things", "get-thing", "create-thing", "delete-thing", "absent", "api/get-thing"];

fn arguments() -> Vec<Value> {
    let ids = ["1", "2", "8", "9"].map(|id| json!({"id": id}));
    ids.into_iter().chain([json!({}), json!({"name": "x"}), json!({"limit": 7}), json!({"limit": 700})]).collect()
}

/// Every call, with what a question about it said just before: to whoever would make it, and to an enforcement point.
async fn compare(room: &Room) -> (usize, usize) {
    let pep = room.proven("carol", "pep", &[]);
    let (mut allowed, mut denied) = (0, 0);
    for (user, client) in [("alice", "c1"), ("alice", "c2"), ("bob", "c1"), ("carol", "c1")] {
        for toolsets in TOOLSETS {
            let token = room.token(user, client, toolsets);
            for tool in TOOLS {
                for arguments in arguments() {
                    let own = ask(room, &token, ONE, &question(&subject(user), tool, arguments.clone())).await;
                    let mut other = somebody(user, client);
                    other["properties"]["toolsets"] = json!(toolsets);
                    let told = ask(room, &pep, ONE, &question(&other, tool, arguments.clone())).await;
                    assert_eq!(own.body, told.body, "{user} {client} {toolsets:?} {tool} {arguments}");
                    let before = room.upstream.seen().len();
                    // By the name it is shown under: a call knows no other.
                    let call = room.call(&token, tool.trim_start_matches("api/"), arguments.clone()).await;
                    let went_out = room.upstream.seen().len() > before;
                    let (said, code) = decided(&own);
                    assert_eq!(said, went_out, "{user} {client} {toolsets:?} {tool} {arguments}: {code:?} {call:?}");
                    if said { allowed += 1 } else { denied += 1 }
                }
            }
        }
    }
    (allowed, denied)
}

#[tokio::test]
async fn what_is_answered_is_what_a_call_comes_to() {
    let room = Room::guarded_over(narrowed).await;
    room.reveal("alice", "c1", "destroys").await;
    let (allowed, denied) = compare(&room).await;
    assert!(allowed > 20 && denied > 600, "{allowed} {denied}");
    room.rules_become(RULES).await;
    let (ruled, _) = compare(&room).await;
    assert!(ruled < allowed, "the rules took something away: {ruled} of {allowed}");
    room.break_glass("glass", "alice", "c1", "destroys").await;
    let (unguarded, _) = compare(&room).await;
    assert!(unguarded > ruled, "broken glass waits for nobody: {unguarded}, {ruled} before");
}

#[tokio::test]
async fn a_question_uses_nothing_up_and_asks_nobody() {
    let room = Room::guarded_over(narrowed).await;
    room.reveal("alice", "c1", "destroys").await;
    let token = room.token("alice", "c1", &["reads", "writes", "destroys"]);
    let asked = question(&subject("alice"), "delete-thing", json!({"id": "1"}));
    for _ in 0..3 {
        let answer = ask(&room, &token, ONE, &asked).await;
        assert_eq!(decided(&answer), (false, Some("approval_required".to_owned())));
        let context = &answer.json()["context"];
        assert_eq!(context["outcome"], "needs-approval");
        assert!(context["reason_user"]["403"].as_str().unwrap().contains("approval of another person"), "{context}");
    }
    let waiting = ambit_store::approvals::list_waiting(room.live.store(), room.clock.now()).await.unwrap();
    assert!(waiting.is_empty(), "nobody is asked to approve a question: {waiting:?}");

    // A yes to the very call stays where it is, and lets no question through.
    let held = room.call(&token, "delete-thing", json!({"id": "1"})).await;
    let id = crate::approving::id_of(&held);
    crate::approving::say(&room, &id, "bob", ambit_model::approval::Says::Yes).await.unwrap();
    assert_eq!(decided(&ask(&room, &token, ONE, &asked).await).1.as_deref(), Some("approval_required"));
    assert!(room.upstream.seen().is_empty());
    let done = room.call(&token, "delete-thing", json!({"id": "1"})).await;
    assert!(!done.is_tool_error() && room.upstream.seen().len() == 1, "{done:?}");

    // Nothing a question is about sticks to anybody.
    for tool in ["list-things", "get-thing"] {
        ask(&room, &token, ONE, &question(&subject("alice"), tool, json!({"id": "1"}))).await;
    }
    assert!(!room.call(&token, "create-thing", json!({"name": "x"})).await.is_tool_error());
}

#[tokio::test]
async fn a_question_that_leaves_out_what_the_answer_depends_on_is_a_no() {
    let room = Room::over(narrowed).await;
    let (alice, bob) = (room.alice(), room.token("bob", "c1", &["reads"]));
    let pep = room.proven("carol", "pep", &[]);
    let bare = |subject: &Value, tool: &str| json!({"subject": subject, "action": {"name": "tools/call"}, "resource": {"type": "tool", "id": tool}});
    let not_known = (false, Some("not_known".to_owned()));
    // Whatever the arguments, as long as they fit.
    assert_eq!(decided(&ask(&room, &bob, ONE, &bare(&subject("bob"), "get-thing")).await), (true, None));
    assert_eq!(decided(&ask(&room, &alice, ONE, &bare(&subject("alice"), "list-things")).await), (true, None));
    // Which the grants limit.
    assert_eq!(decided(&ask(&room, &alice, ONE, &bare(&subject("alice"), "get-thing")).await), not_known);
    // Which a rule reads.
    room.rules_become(RULES).await;
    assert_eq!(decided(&ask(&room, &bob, ONE, &bare(&subject("bob"), "get-thing")).await), not_known);
    // Where the call of somebody else would come from.
    room.rules_become(ANYWHERE_BUT).await;
    let about = async |source: Option<&str>| {
        let mut asked = question(&somebody("bob", "c1"), "get-thing", json!({"id": "1"}));
        if let Some(source) = source {
            asked["context"] = json!({"source": source});
        }
        decided(&ask(&room, &pep, ONE, &asked).await)
    };
    assert_eq!(about(None).await, not_known);
    assert_eq!(about(Some("198.51.100.7")).await, (true, None));
    assert_eq!(about(Some("192.0.2.7")).await, (false, Some("refused_by_rule".to_owned())));
    // One's own comes from where the question does, whatever it says.
    let mut asked = question(&subject("bob"), "get-thing", json!({"id": "1"}));
    asked["context"] = json!({"source": "192.0.2.7"});
    assert_eq!(decided(&ask(&room, &bob, ONE, &asked).await), (true, None));
}
