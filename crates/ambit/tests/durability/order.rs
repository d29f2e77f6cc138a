//! The order of things, seen with a disk whose syncs wait: first the intent is on the disk, then the write is sent; first the
//! outcome is on the disk, then it is answered. A read waits only where configuration says so.

use std::{cell::Cell, time::Duration};

use ambit_testkit::app::Answer;
use ambit_trail::testing::FaultFiles;
use tokio::task::JoinHandle;

use crate::{
    api::Api,
    person::{Person, is_done},
    records::Records,
    world::{Ground, eventually},
};

/// Long enough for anything that does not wait.
const A_WHILE: Duration = Duration::from_millis(400);

fn write(person: &Person, number: u64) -> JoinHandle<anyhow::Result<Answer>> {
    let person = person.clone();
    tokio::spawn(async move { person.write(number).await })
}

fn read(person: &Person, number: u64) -> JoinHandle<anyhow::Result<Answer>> {
    let person = person.clone();
    tokio::spawn(async move { person.read(number).await })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_is_sent_after_its_intent_and_answered_after_its_outcome_is_on_the_disk() {
    let api = Api::start().await;
    let ground = Ground::new(&api, "", "").await;
    let disk = FaultFiles::new();
    let app = ground.on(&disk).await;
    let alice = Person::alice(&app);

    disk.hold_syncs(true);
    let waiting = write(&alice, 1);
    assert!(is_done(&alice.read(2).await.unwrap()), "a read does not wait for the disk");
    tokio::time::sleep(A_WHILE).await;
    assert!(!waiting.is_finished());
    assert_eq!(api.seen(), ["GET /things/r-2"], "the write is not sent before its intent is on the disk");

    api.hold(true);
    disk.hold_syncs(false);
    api.arrived("POST /things").await;
    let crashed = disk.crash(ambit_trail::testing::Unsynced::Dropped);
    assert!(Records::read(crashed, &ground.trail()).intent(1).is_some());

    disk.hold_syncs(true);
    api.hold(false);
    eventually("its outcome is written", || Records::read(disk.clone(), &ground.trail()).outcome(1).is_some()).await;
    tokio::time::sleep(A_WHILE).await;
    assert!(!waiting.is_finished(), "the write is not answered before its outcome is on the disk");
    disk.hold_syncs(false);
    assert!(is_done(&waiting.await.unwrap().unwrap()));
    app.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_of_an_operator_counts_after_its_record_is_on_the_disk() {
    let api = Api::start().await;
    let ground = Ground::new(&api, "", "").await;
    let disk = FaultFiles::new();
    let app = ground.on(&disk).await;
    let alice = Person::alice(&app);
    disk.hold_syncs(true);
    let is_done_with = Cell::new(false);
    let block = async {
        let (code, out, err) = app.ambit(&["block", "tool", "things/get-thing", "--reason", "incident"]).await;
        is_done_with.set(true);
        assert_eq!(code, 0, "{out}{err}");
    };
    let watch = async {
        let is_written = || Records::read(disk.clone(), &ground.trail()).of("act").any(|act| act["act"] == "block");
        eventually("the act is written", is_written).await;
        tokio::time::sleep(A_WHILE).await;
        assert!(!is_done_with.get());
        assert!(is_done(&alice.read(1).await.unwrap()), "it does not count yet");
        disk.hold_syncs(false);
    };
    tokio::join!(block, watch);
    assert_eq!(alice.read(2).await.unwrap().json()["error"]["code"], -32602);
    app.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_durable_read_is_answered_after_its_outcome_is_on_the_disk() {
    let api = Api::start().await;
    let ground = Ground::new(&api, "", "[trail]\nreads = \"durable\"\n").await;
    let disk = FaultFiles::new();
    let app = ground.on(&disk).await;
    let alice = Person::alice(&app);

    disk.hold_syncs(true);
    let waiting = read(&alice, 1);
    // It changes nothing, so it may be sent.
    api.arrived("GET /things/r-1").await;
    tokio::time::sleep(A_WHILE).await;
    assert!(!waiting.is_finished());
    let listed = {
        let alice = alice.clone();
        tokio::spawn(async move { alice.list().await })
    };
    tokio::time::sleep(A_WHILE).await;
    assert!(!listed.is_finished(), "a list is a read as well");
    disk.hold_syncs(false);
    assert!(is_done(&waiting.await.unwrap().unwrap()));
    assert_eq!(listed.await.unwrap().unwrap().status, 200);
    let crashed = disk.crash(ambit_trail::testing::Unsynced::Dropped);
    assert!(Records::read(crashed, &ground.trail()).outcome(1).is_some());
    app.stop().await.unwrap();
}
