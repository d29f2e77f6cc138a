//! A client hangs up in the middle of a write and the process is asked to stop: the write runs to its end and its outcome is
//! on the disk before the process is gone. (What hanging up means stage by stage is held by the corridor's own tests.)

use std::time::Duration;

use ambit_trail::testing::{FaultFiles, Unsynced};

use crate::{
    api::Api,
    person::Person,
    records::Records,
    world::{Ground, eventually},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_before_the_dispatch_leaves_a_record_that_is_true() {
    let api = Api::start().await;
    let ground = Ground::new(&api, "", "").await;
    let disk = FaultFiles::new();
    let app = ground.on(&disk).await;
    let alice = Person::alice(&app);
    disk.hold_syncs(true);
    let leaving = tokio::spawn(async move { alice.write(1).await });
    eventually("the intent is written", || Records::read(disk.clone(), &ground.trail()).intent(1).is_some()).await;
    leaving.abort();
    tokio::time::sleep(Duration::from_millis(200)).await;
    disk.hold_syncs(false);
    app.stop().await.unwrap();
    let records = Records::read(disk.crash(Unsynced::Dropped), &ground.trail());
    let outcome = records.outcome(1).unwrap();
    let was_sent = !api.seen().is_empty();
    assert_eq!(outcome["executed"], if was_sent { "yes" } else { "no" }, "{outcome}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_a_write_whose_client_has_left() {
    let api = Api::start().await;
    let ground = Ground::new(&api, "", "").await;
    let disk = FaultFiles::new();
    let app = ground.on(&disk).await;
    let alice = Person::alice(&app);
    api.hold(true);
    let leaving = ["write", "read"].map(|kind| {
        let alice = Person::alice(&app);
        tokio::spawn(async move { if kind == "write" { alice.write(1).await } else { alice.read(2).await } })
    });
    api.arrived("POST /things").await;
    api.arrived("GET /things/r-2").await;
    let session = alice.open_session().await;
    let legacy = tokio::spawn(async move { alice.in_session(&session, 4).await });
    api.arrived("GET /things/r-4").await;
    for client in leaving {
        client.abort();
    }
    legacy.abort();

    let stopping = tokio::spawn(app.stop());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!stopping.is_finished(), "the API has not answered the write");
    api.hold(false);
    stopping.await.unwrap().unwrap();
    let records = Records::read(disk.crash(Unsynced::Dropped), &ground.trail());
    assert!(records.unknown().is_empty());
    let end = |number| {
        let outcome = records.outcome(number).unwrap();
        (outcome["executed"].as_str().unwrap(), outcome["result"].as_str().unwrap())
    };
    assert_eq!(end(1), ("yes", "ok"));
    assert_eq!(end(2), ("unknown", "cancelled"));
    let legacy = records.of("intent").find(|intent| intent["protocol"] == "2025-11-25").unwrap();
    let outcome = records.of("outcome").find(|outcome| outcome["request"] == legacy["request"]).unwrap();
    assert_eq!((&outcome["executed"], &outcome["result"]), (&"yes".into(), &"ok".into()));
    assert!(api.writes().values().all(|count| *count == 1));
}
