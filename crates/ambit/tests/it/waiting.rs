//! A call that waits for people, in the whole gateway: who hears of it, who decides it from the command line, and that it runs
//! once. What is heard outside harms nothing when it cannot be delivered.

use std::{sync::Arc, time::Duration};

use ambit_model::{
    grant::Reveal,
    ids::{ClientId, GrantId, ToolsetSlug, UserKey},
};
use ambit_store::{broken_glass, reveals};
use ambit_testkit::app::{Answer, Caller, Given, TestApp};
use serde_json::{Value, json};

use crate::world::{self, Api, ambit};

/// The operating system's user these tests run as, as the operator socket sees it.
pub async fn os_user(app: &TestApp) -> String {
    let text = ambit(app, &["token", "--json", "--user", "alice"]).await;
    assert!(text.contains("access_token"));
    let events = app.events().unwrap();
    let mint = events.iter().find(|event| event["act"] == "mint").unwrap();
    mint["by"].as_str().unwrap().strip_prefix("operator:").unwrap().to_owned()
}

/// A gateway where bob approves what deletes things, and alice may see it.
async fn guarded(more: impl Fn(&Api) -> String) -> (TestApp, Api, Caller) {
    let api = Api::start().await;
    let directory = Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(directory.path().join("things.json"), world::DOCUMENT).unwrap();
    std::fs::write(directory.path().join("hook-key"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    let text = world::config_with(api.address, "approvers = [\"user bob\"]\n") + &more(&api);
    let app = TestApp::with(&text, Given { directory: Some(directory), ..Given::default() }).await.unwrap();
    let os_user = os_user(&app).await;
    let roles =
        format!("[[operator.roles]]\nos_user = \"{os_user}\"\nperson = \"bob\"\nroles = [\"admin\", \"approver\"]\n");
    app.write_config(&(text + &roles)).unwrap();
    reload(&app).await;
    // Whoever approves has to be able to log in.
    let link: Value = serde_json::from_str(&ambit(&app, &["account", "--json", "link", "bob"]).await).unwrap();
    app.browser().set_password(link["url"].as_str().unwrap()).await.unwrap();
    world::reveal(&app, "c1").await;
    let alice = world::person(&app, "alice", "c1");
    (app, api, alice)
}

pub async fn reload(app: &TestApp) {
    let answer = app.act(&ambit::operator::Act::Reload {}).await.unwrap();
    assert!(matches!(answer, ambit::operator::socket::Answer::Done(_)), "{answer:?}");
}

async fn delete(alice: &Caller) -> Answer {
    alice.call("delete-thing", json!({"id": "a-secret-id"})).await.unwrap()
}

fn told(answer: &Answer) -> Value {
    answer.json()["result"]["structuredContent"].clone()
}

fn deleted(api: &Api) -> usize {
    api.seen().iter().filter(|line| line.starts_with("DELETE ")).count()
}

/// What reached the webhook, once so much did.
pub async fn heard(api: &Api, many: usize) -> Vec<Value> {
    for _ in 0..500 {
        let lines: Vec<_> = api.seen().into_iter().filter(|line| line.starts_with("POST /hook")).collect();
        if lines.len() >= many {
            let body = |line: &String| serde_json::from_str(line.split_once(' ').unwrap().1.split_once(' ').unwrap().1);
            return lines.iter().map(|line| body(line).unwrap()).collect();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("only {:?}", api.seen());
}

#[tokio::test]
async fn a_webhook_hears_what_waits_and_how_it_was_decided_and_no_argument() {
    let (app, api, alice) = guarded(|api| {
        format!("[webhooks.pager]\nurl = \"http://{}/hook?key=url-secret\"\nsecret = \"file:hook-key\"\n", api.address)
    })
    .await;
    let waiting = delete(&alice).await;
    let id = told(&waiting)["approval"].as_str().unwrap().to_owned();
    let first = heard(&api, 1).await.remove(0);
    assert_eq!((&first["type"], &first["data"]["tool"]), (&json!("approval.requested"), &json!("things/delete-thing")));
    assert_eq!(first["data"]["requester"], "user local:alice");
    assert_eq!(first["data"]["link"], format!("{}/approvals/{id}", app.url()));
    assert_eq!(deleted(&api), 0);
    let head = api.heads().into_iter().find(|head| head.contains_key("webhook-id")).unwrap();
    assert!(head["webhook-signature"].to_str().unwrap().starts_with("v1,"));
    assert!(!head.contains_key("authorization"), "nobody's credential goes there");

    let shown: Value = serde_json::from_str(&ambit(&app, &["approve", "--json", "show", &id]).await).unwrap();
    assert_eq!(shown["arguments"], json!({"id": "a-secret-id"}));
    ambit(&app, &["approve", "yes", &id, "--reason", "checked"]).await;
    let all = heard(&api, 2).await;
    assert_eq!(all[1]["type"], "approval.approved");
    assert!(world::is_fine(&delete(&alice).await));
    assert_eq!(told(&delete(&alice).await)["status"], "already_executed");
    assert_eq!(deleted(&api), 1);
    assert!(!serde_json::to_string(&all).unwrap().contains("a-secret-id"));
    app.stop().await.unwrap();
}

/// Whoever decides at a terminal reads what is there, not what it was made to look like.
#[tokio::test]
async fn a_terminal_spells_out_what_would_not_be_seen() {
    let (app, _api, alice) = guarded(|_| String::new()).await;
    let arguments = json!({"id": "7\u{202e}8\u{200b}\u{e0041}"});
    let waiting = alice.call("delete-thing", arguments.clone()).await.unwrap();
    let id = told(&waiting)["approval"].as_str().unwrap_or_else(|| panic!("{}", waiting.text())).to_owned();
    let shown = ambit(&app, &["approve", "show", &id]).await;
    let json = ambit(&app, &["approve", "show", &id, "--json"]).await;
    for text in [&shown, &json] {
        assert!(text.contains(r"7\u202e8\u200b\udb40\udc41"), "{text}");
        assert!(!text.chars().any(|c| c != '\n' && ambit_model::shown::is_hidden(c)), "{text:?}");
    }
    assert!(shown.contains("no earlier call of this tool whose arguments are still kept"), "{shown}");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["arguments"], arguments, "and it is still what is sent");
    let [ground] = json["grounds"].as_array().unwrap().as_slice() else { panic!("{json}") };
    let ground = ground.as_str().unwrap();
    assert!(ground.contains(", made by operator:") && !ground.contains("approved"), "{ground}");
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_webhook_that_does_not_answer_holds_nobody_up_and_is_reported() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (app, api, alice) = guarded(|api| {
        // Nobody listens at the first; the second does not want to hear.
        format!(
            "[webhooks.gone]\nurl = \"http://{closed}/hook\"\nformat = \"slack\"\n[webhooks.unwilling]\nurl = \
             \"http://{}/hook\"\nformat = \"slack\"\n",
            api.address
        )
    })
    .await;
    api.answers(404, "{}");
    let began = std::time::Instant::now();
    let id = told(&delete(&alice).await)["approval"].as_str().unwrap().to_owned();
    assert!(began.elapsed() < Duration::from_secs(5));
    let line = heard(&api, 1).await.remove(0);
    assert!(
        line["text"]
            .as_str()
            .unwrap()
            .starts_with("A call of `things/delete-thing` (destructive, test) by user local:alice")
    );
    let gave_up = async || {
        for _ in 0..500 {
            // A file of the trail may be replaced while it is looked for.
            let events = app.events().unwrap_or_default();
            if let Some(event) = events.into_iter().find(|event| event["act"] == "webhook.give_up") {
                return event;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nobody says that it was given up");
    };
    let event = gave_up().await;
    assert_eq!((&event["subject"], &event["after"]["id"]), (&json!("webhook unwilling"), &json!(id)));
    api.answers(200, r#"{"ok":true}"#);
    ambit(&app, &["approve", "yes", &id]).await;
    assert!(world::is_fine(&delete(&alice).await));
    app.stop().await.unwrap();
}

/// As the page does it for somebody who has just proved who they are.
async fn break_glass(app: &TestApp, id: &str, user: &str) {
    let (store, now) = (app.live().store(), app.live().clock().now());
    let reveal = Reveal {
        id: GrantId::parse(id).unwrap(),
        user: UserKey::local(user).unwrap(),
        client: ClientId::parse("c9").unwrap(),
        agent: None,
        toolset: ToolsetSlug::parse("things-cleanup").unwrap(),
        reason: "the pager rang".into(),
        approved_by: None,
        starts_at: now,
        expires_at: now + 3_600_000,
    };
    let mut tx = store.begin().await.unwrap();
    reveals::insert(&mut tx, &reveal, &format!("user local:{user}"), now).await.unwrap();
    broken_glass::insert(&mut tx, &reveal.id).await.unwrap();
    tx.commit().await.unwrap();
    app.live().refresh().await.unwrap();
}

#[tokio::test]
async fn broken_glass_counts_while_configuration_names_who_broke_it_and_somebody_else_reviews_it() {
    let names = "[break_glass]\npeople = [\"alice\"]\ntoolsets = [\"things-cleanup\"]\n";
    let (app, api, _) = guarded(|_| names.to_owned()).await;
    break_glass(&app, "glass:1", "alice").await;
    let alice = world::person(&app, "alice", "c9");
    assert!(world::is_fine(&delete(&alice).await));
    assert_eq!(deleted(&api), 1);
    let calls: Vec<_> = app.events().unwrap().into_iter().filter(|event| event["event"] == "intent").collect();
    assert_eq!(calls.last().unwrap()["break_glass"], "glass:1");

    let held: Value = serde_json::from_str(&ambit(&app, &["grants", "--json", "--user", "alice"]).await).unwrap();
    let origins = held.as_array().unwrap().iter().filter(|line| line["kind"] == "reveal").map(|line| &line["origin"]);
    assert_eq!(origins.collect::<Vec<_>>(), ["break_glass", "operator"]);
    let list = ambit(&app, &["break-glass", "list"]).await;
    assert!(list.contains("glass:1") && list.contains("nobody has looked at it yet"), "{list}");
    // Bob is not named: his is an ordinary reveal.
    break_glass(&app, "glass:2", "bob").await;
    let bob = world::person(&app, "bob", "c9");
    let refused = delete(&bob).await;
    assert!(
        refused.json()["result"]["isError"] == true && refused.text().contains("not executed"),
        "{}",
        refused.text()
    );
    let text = std::fs::read_to_string(app.config_file()).unwrap();
    std::fs::write(app.config_file(), text.replace(names, "")).unwrap();
    reload(&app).await;
    let waiting = delete(&alice).await;
    assert_eq!(told(&waiting)["status"], "approval_pending", "named no more: {}", waiting.text());
    assert_eq!(deleted(&api), 1);
    // One word is about everything that was done under it, so it comes when that is over.
    let (code, out, err) = app.ambit(&["break-glass", "review", "glass:1", "--reason", "fine"]).await;
    assert!(code == 1 && format!("{out}{err}").contains("still broken"), "{out}{err}");
    ambit(&app, &["revoke", "grant", "glass:1", "--reason", "done"]).await;
    ambit(&app, &["break-glass", "review", "glass:1", "--reason", "ticket 12"]).await;
    let list: Value = serde_json::from_str(&ambit(&app, &["break-glass", "--json", "list"]).await).unwrap();
    let reviewed = list.as_array().unwrap().iter().find(|glass| glass["id"] == "glass:1").unwrap();
    assert_eq!(reviewed["review"]["says"], "ticket 12");
    // Once; not one that is none; and not by whoever broke it, who is bob here.
    for (id, why) in [("glass:1", "before"), ("glass:9", "no glass"), ("glass:2", "somebody else")] {
        let (code, out, err) = app.ambit(&["break-glass", "review", id, "--reason", "fine"]).await;
        assert!(code == 1 && format!("{out}{err}").contains(why), "{id}: {out}{err}");
    }
    app.stop().await.unwrap();
}
