//! Two nodes on one store: what an operator does at one counts at the other, tokens and sessions of one are good at the
//! other, each keeps a trail of its own, and a node that would decide differently does not start.

use std::time::Duration;

use ambit::serve::Start;
use ambit_store::testing;
use ambit_testkit::app::{Login, TestApp};

use crate::{
    api::Api,
    person::{BOTH, Person, is_done},
    process::{Process, hold_calm},
    world::{Ground, eventually_so},
};

/// A node: its own directory, its own trail, the keys and the store of the fleet.
async fn node(api: &Api, store: &str, name: &str, keys_of: Option<&Ground>) -> Ground {
    // As a directory that every node has mounted.
    let keys = keys_of.map(|first| first.directory.path().join("data/keys"));
    let keys = keys.map_or_else(String::new, |keys| format!("\nkey_dir = \"{}\"", keys.display()));
    Ground::new(api, &format!("store = \"{store}\"{keys}"), &format!("[trail]\nnode = \"{name}\"\n")).await
}

async fn start(ground: &Ground) -> TestApp {
    ground.with(Start { segment_bytes: Some(crate::world::SEGMENT), ..Start::default() }).await.unwrap()
}

async fn perform(app: &TestApp, args: &[&str]) -> String {
    let (code, out, err) = app.ambit(args).await;
    assert_eq!(code, 0, "{args:?}: {out}{err}");
    out
}

/// Does something at one node and waits until the other shows it. How long that took from the first word of the operator.
async fn spreads(what: &str, at: &TestApp, args: &[&str], shows: impl AsyncFnMut() -> bool) -> Duration {
    let (_, took) = tokio::join!(perform(at, args), eventually_so(what, shows));
    println!("{what}: shown at the other node {took:?} after the command began");
    took
}

async fn tools(person: &Person) -> Vec<String> {
    let answer = person.list().await.unwrap();
    let tools = answer.json()["result"]["tools"].as_array().cloned().unwrap_or_default();
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_at_one_node_counts_at_the_other() {
    let store = testing::postgres_url().unwrap_or_else(|error| panic!("{error}"));
    let api = Api::start().await;
    let first = node(&api, &store, "a", None).await;
    let a = start(&first).await;
    let second = node(&api, &store, "b", Some(&first)).await;
    let b = start(&second).await;

    // Tokens of one are good at the other.
    let carol = Person::of(&a, &Login { user: "carol", toolsets: BOTH, ..Login::default() });
    let alice = Person::alice(&b);
    assert!(tools(&carol.at(&b)).await.is_empty());
    assert!(is_done(&alice.at(&a).write(1).await.unwrap()));

    let mut took = Vec::new();
    let grant =
        ["grant", "--user", "carol", "--toolset", "things-read", "--for", "1h", "--reason", "to look", "--json"];
    let there = carol.at(&b);
    took.push(spreads("a grant", &a, &grant, async || tools(&there).await == ["get-thing", "list-things"]).await);
    let block = ["block", "tool", "things/get-thing", "--reason", "incident"];
    took.push(spreads("a block of a tool", &b, &block, async || tools(&carol).await == ["list-things"]).await);
    assert_eq!(carol.read(2).await.unwrap().json()["error"]["code"], -32602);
    let unblock = ["unblock", "tool", "things/get-thing", "--reason", "it is over"];
    took.push(spreads("its end", &a, &unblock, async || tools(&there).await.len() == 2).await);
    let block = ["block", "user", "carol", "--reason", "gone"];
    took.push(spreads("a block of a user", &a, &block, async || there.list().await.unwrap().status == 401).await);
    perform(&b, &["unblock", "user", "carol", "--reason", "back"]).await;
    let revoke = ["revoke", "user", "alice", "--reason", "laptop lost"];
    assert!(is_done(&alice.write(4).await.unwrap()));
    took.push(spreads("a revocation", &a, &revoke, async || alice.list().await.unwrap().status == 401).await);
    assert_eq!(alice.write(5).await.unwrap().status, 401);
    assert_eq!(alice.at(&a).write(6).await.unwrap().status, 401);
    // A new login is possible, at once.
    assert!(is_done(&Person::alice(&b).at(&a).read(7).await.unwrap()));
    println!("slowest: {:?}", took.iter().max().unwrap());
    assert_eq!(api.writes().len(), 2);

    each_keeps_its_own_trail(&a, &b).await;
    a.stop().await.unwrap();
    b.stop().await.unwrap();
}

async fn each_keeps_its_own_trail(a: &TestApp, b: &TestApp) {
    for app in [a, b] {
        let key = app.live().recorder().trail().verifier_key();
        // A checkpoint is signed every second.
        eventually_so("it is verified", async || app.ambit(&["audit", "verify", "--key", &key]).await.0 == 0).await;
    }
    assert_ne!(a.live().recorder().trail().verifier_key(), b.live().recorder().trail().verifier_key());
    // The index is shared, the records are not: a search says where more is.
    eventually_so("the other node is named", async || {
        let (code, out, err) = a.ambit(&["audit", "search", "--user", "alice", "--tool", "things/create-thing"]).await;
        assert_eq!(code, 0, "{out}{err}");
        out.contains("things/create-thing") && err.contains("node `b`")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_another_configuration_does_not_start() {
    let store = testing::postgres_url().unwrap_or_else(|error| panic!("{error}"));
    let api = Api::start().await;
    let first = node(&api, &store, "a", None).await;
    let a = start(&first).await;
    let mut second = node(&api, &store, "b", Some(&first)).await;
    second
        .text
        .push_str("\n[[grants]]\nuser = \"carol\"\ntoolset = \"things-read\"\nreason = \"x\"\nexpires = 2099-01-01\n");
    let refused = second.with(Start::default()).await.unwrap_err().to_string();
    assert!(refused.contains("is not the one applied to the shared store"), "{refused}");
    assert!(refused.contains("--apply-config"), "{refused}");

    // Said outright, it starts, and from then on the old one does not.
    let b = second.with(Start { apply_config: true, ..Start::default() }).await.unwrap();
    b.stop().await.unwrap();
    a.stop().await.unwrap();
    let refused = first.with(Start::default()).await.unwrap_err().to_string();
    assert!(refused.contains("is not the one applied to the shared store"), "{refused}");
}

/// Two trails under one origin would contradict each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_node_of_one_name_does_not_start_until_the_first_is_gone() {
    let store = testing::postgres_url().unwrap_or_else(|error| panic!("{error}"));
    let api = Api::start().await;
    let first = node(&api, &store, "a", None).await;
    let a = start(&first).await;
    let second = node(&api, &store, "a", Some(&first)).await;
    let refused = second.with(Start { segment_bytes: Some(crate::world::SEGMENT), ..Start::default() }).await;
    let why = format!("{:#}", refused.expect_err("a name that is taken"));
    assert!(why.contains("node `a`") && why.contains("--node"), "{why}");
    a.stop().await.unwrap();
    // A name that was given up is free at once, but only for the trail that has it: another one would hide its records.
    let refused = second.with(Start { segment_bytes: Some(crate::world::SEGMENT), ..Start::default() }).await;
    let why = format!("{:#}", refused.expect_err("a name with records"));
    assert!(why.contains("of node `a`") && why.contains("a name of its own"), "{why}");
    start(&first).await.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_opened_at_one_node_goes_on_at_the_other() {
    let store = testing::postgres_url().unwrap_or_else(|error| panic!("{error}"));
    let api = Api::start().await;
    let first = node(&api, &store, "a", None).await;
    let a = start(&first).await;
    let second = node(&api, &store, "b", Some(&first)).await;
    let b = start(&second).await;
    let alice = Person::alice(&a);
    let session = alice.open_session().await;
    let answer = alice.at(&b).in_session(&session, 1).await;
    assert!(is_done(&answer), "{answer:?}");
    a.stop().await.unwrap();
    let answer = alice.at(&b).in_session(&session, 2).await;
    assert!(is_done(&answer), "{answer:?}");
    b.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_see_each_others_acts() {
    let store = testing::postgres_url().unwrap_or_else(|error| panic!("{error}"));
    let api = Api::start().await;
    let first = node(&api, &store, "a", None).await;
    let a = Process::start(&first).await;
    let second = node(&api, &store, "b", Some(&first)).await;
    let b = Process::start(&second).await;
    let there = Person::new(b.address, a.alice().await.token().to_owned());
    assert!(is_done(&there.write(1).await.unwrap()));
    for (act, status) in [("block", 401), ("unblock", 200), ("revoke", 401)] {
        let args = [act, "user", "alice", "--reason", "incident"];
        let shown = async || there.list().await.unwrap().status == status;
        let ((code, out, err), took) = tokio::join!(a.ambit(&args), eventually_so(act, shown));
        assert_eq!(code, 0, "{out}{err}");
        println!("{act}: shown by the other process {took:?} after the command began");
    }
    assert!(tokio::task::spawn_blocking(move || a.terminate() && b.terminate()).await.unwrap());
    hold_calm(&first);
    hold_calm(&second);
}
