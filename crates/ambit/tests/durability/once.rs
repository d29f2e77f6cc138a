//! One yes, many processes: however many repeat an approved call at once, at whichever node, it leaves once. The nodes are real
//! processes that share nothing but PostgreSQL and their keys.

use std::collections::BTreeMap;

use ambit::serve::Start;
use ambit_identity::approvals::{Ballot, vote};
use ambit_model::{
    approval::{Says, Via},
    ids::{ApprovalId, Subject, UserKey},
};
use ambit_store::{accounts, testing};
use ambit_testkit::app::{Answer, Login, TestApp};
use serde_json::{Value, json};

use crate::{
    api::Api,
    person::Person,
    process::{Process, hold_calm},
    world::{Ground, SEGMENT, config, directory, eventually_so},
};

const TOOL: &str = "delete-thing";
const CLIENT: &str = "c1";

/// Fifty at once, this often.
const ROUNDS: u64 = 4;
const AT_ONCE: u64 = 50;

/// A node where bob approves what deletes things.
async fn node(api: &Api, store: &str, name: &str, keys_of: Option<&Ground>) -> Ground {
    let keys = keys_of.map(|first| first.directory.path().join("data/keys"));
    let keys = keys.map_or_else(String::new, |keys| format!("\nkey_dir = \"{}\"", keys.display()));
    let text = config(api.address, &format!("store = \"{store}\"{keys}"))
        .replace("revoke_when = \"the tests are over\"\n", "revoke_when = \"the tests are over\"\napprovers = [\"user bob\"]\n")
        // Fifty at once are to meet each other, not their budget.
        .replace(
            "\nwrite = {",
            "\ndestructive = { rate = \"1000000/s\", burst = 1000000, at_once = 100000, per_day = 4000000000 }\nwrite = {",
        );
    let more = format!(
        "[accounts.bob]\n[toolsets.things-cleanup]\ntitle = \"Clean up\"\ntools = [\"things/{TOOL}\"]\n[trail]\nnode = \"{name}\"\n"
    );
    let text = text + &more;
    Ground { directory: directory(&text).await, text }
}

fn told(answer: &Answer) -> Value {
    answer.json()["result"]["structuredContent"].clone()
}

fn deleted(api: &Api, id: u64) -> usize {
    api.seen().iter().filter(|line| line.starts_with(&format!("DELETE /things/{id}"))).count()
}

/// Bob, who can log in, has looked at the page and says yes.
async fn say_yes(app: &TestApp, id: &ApprovalId) {
    let bob = UserKey::local("bob").unwrap();
    let since = app.live().clock().now();
    let ballot = Ballot { id, by: &bob, since, says: Says::Yes, via: Via::Page, reason: None };
    assert_eq!(vote(app.live(), ballot).await.unwrap().as_str(), "approved");
}

async fn shows(person: &Person) -> bool {
    person.list().await.unwrap().text().contains(TOOL)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_retries_in_two_processes_dispatch_once() {
    let store = testing::postgres_url().unwrap_or_else(|error| panic!("{error}"));
    let api = Api::start().await;
    let third = node(&api, &store, "c", None).await;
    let c = third.with(Start { segment_bytes: Some(SEGMENT), ..Start::default() }).await.unwrap();
    let (first, second) = (node(&api, &store, "a", Some(&third)).await, node(&api, &store, "b", Some(&third)).await);
    let (a, b) = (Process::start(&first).await, Process::start(&second).await);
    let mut tx = c.live().store().begin().await.unwrap();
    let bob = Subject::parse("bob").unwrap();
    assert!(accounts::set_password(&mut tx, &bob, "$argon2id$", c.live().clock().now()).await.unwrap());
    tx.commit().await.unwrap();
    let reveal = ["grant", "--reveal", "--user", "alice", "--client", CLIENT, "--toolset", "things-cleanup"];
    let (code, out, err) = c.ambit(&[&reveal[..], &["--for", "1h", "--reason", "to clean up"]].concat()).await;
    assert_eq!(code, 0, "{out}{err}");
    let login = Login { client: CLIENT, toolsets: &["things-read", "things-cleanup"], ..Login::default() };
    let token = Person::of(&c, &login).token().to_owned();
    let people = [a.address, b.address].map(|address| Person::new(address, token.clone()));
    for person in &people {
        eventually_so("the reveal is seen", async || shows(person).await).await;
    }

    for round in 0..ROUNDS {
        let call = async |person: &Person, number| {
            person.call(TOOL, &json!({"id": round.to_string()}), round * 1_000 + number).await.unwrap()
        };
        let waiting = [call(&people[0], 0).await, call(&people[1], 1).await].map(|answer| told(&answer));
        assert_eq!(waiting[0]["status"], "approval_pending", "{waiting:?}");
        assert_eq!(waiting[0]["approval"], waiting[1]["approval"], "one request, whichever process is asked");
        say_yes(&c, &ApprovalId::parse(waiting[0]["approval"].as_str().unwrap()).unwrap()).await;
        let retries = (0..AT_ONCE).map(|number| call(&people[usize::from(number % 2 == 0)], 2 + number));
        let answers = futures_util::future::join_all(retries).await;
        assert_eq!(deleted(&api, round), 1, "exactly one left");
        let mut counts = BTreeMap::new();
        for answer in &answers {
            let status = told(answer)["status"].as_str().unwrap_or("ran").to_owned();
            *counts.entry(status).or_insert(0_u64) += 1;
        }
        println!("round {round}: {counts:?}");
        assert_eq!(counts.get("ran"), Some(&1), "{counts:?}");
        let others = counts.get("already_executed").unwrap_or(&0) + counts.get("outcome_unknown").unwrap_or(&0);
        assert_eq!(others, AT_ONCE - 1, "{counts:?}");
    }
    c.stop().await.unwrap();
    assert!(tokio::task::spawn_blocking(move || a.terminate() && b.terminate()).await.unwrap());
    hold_calm(&first);
    hold_calm(&second);
}
