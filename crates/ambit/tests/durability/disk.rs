//! A disk that is full, and one that fails: nothing runs that cannot be written down, the probes turn red, what was
//! acknowledged stays, and what comes back by itself is only what can be trusted again.

use std::{sync::Arc, time::Duration};

use ambit::serve::Start;
use ambit_testkit::app::{Answer, TestApp};
use ambit_trail::testing::{FaultFiles, Unsynced};
use http::{Request, header};
use http_body_util::Full;

use crate::{
    api::Api,
    person::{Person, is_done, write_name},
    records::Records,
    world::{Ground, HOST, SEGMENT, eventually, eventually_so, get},
};

async fn probes(app: &TestApp) -> (u16, u16) {
    (get(app.address(), "/healthz").await.status.as_u16(), get(app.address(), "/readyz").await.status.as_u16())
}

fn is_refused(answer: &Answer) -> bool {
    answer.status == 503
        && answer.header("retry-after").parse::<u64>().is_ok()
        && answer.json()["error"]["code"].is_i64()
}

async fn post(app: &TestApp, path: &str, json: &'static str) -> Answer {
    let request = Request::post(format!("{}{path}", app.url()))
        .header(header::HOST, HOST)
        .header(header::CONTENT_TYPE, "application/json");
    app.web().send(request.body(Full::from(json)).unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_everything_until_there_is_room() {
    let api = Api::start().await;
    let ground = Ground::new(&api, "", "").await;
    let disk = FaultFiles::new();
    let app = ground.on(&disk).await;
    let alice = Person::alice(&app);
    assert_eq!(probes(&app).await, (200, 200));

    disk.limit_space(Some(disk.used()));
    let mut number = 0;
    let refused = loop {
        let answer = alice.write(number).await.unwrap();
        if !is_done(&answer) {
            break answer;
        }
        number += 1;
        assert!(number < 3000, "never full");
    };
    assert!(is_refused(&refused), "{refused:?}");
    assert!(refused.text().contains("nothing was done") || refused.text().contains("not executed"), "{refused:?}");
    let read = alice.read(9_000).await.unwrap();
    assert!(is_refused(&read), "{read:?}");
    assert!(is_refused(&alice.list().await.unwrap()), "not even a list");
    assert_eq!(probes(&app).await, (503, 503));
    let block = ["block", "user", "alice", "--reason", "incident"];
    let (code, out, err) = app.ambit(&block).await;
    assert!(
        code == 1 && err.contains("could not be recorded"),
        "an act that is not recorded does not count: {out}{err}"
    );
    let registered = post(&app, "/as/default/register", r#"{"redirect_uris":["https://a.example/cb"]}"#).await;
    assert_eq!(registered.status, 503, "{registered:?}");
    assert_eq!(api.writes().len() as u64, number, "what was refused was not sent");
    assert!(!api.seen().iter().any(|line| line.contains("r-9000")));

    let survives = Records::read(disk.crash(Unsynced::Dropped), &ground.trail());
    for number in 0..number {
        assert!(survives.outcome(number).is_some(), "acknowledged and not there: {number}");
    }

    disk.limit_space(None);
    eventually_so("it serves again", async || probes(&app).await == (200, 200)).await;
    assert!(is_done(&alice.write(10_000).await.unwrap()));
    assert!(is_done(&alice.read(10_001).await.unwrap()));
    assert_eq!(api.writes().get(&write_name(10_000)), Some(&1));
    app.stop().await.unwrap();
    assert!(Records::read(disk.crash(Unsynced::Dropped), &ground.trail()).unknown().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_starts_on_a_disk_that_takes_nothing() {
    let api = Api::start().await;
    for (what, disk) in [("full", FaultFiles::new()), ("failing", FaultFiles::new())] {
        let ground = Ground::new(&api, "", "").await;
        if what == "full" {
            disk.limit_space(Some(0));
        } else {
            disk.fail_syncs(true);
        }
        let start = Start { files: Arc::new(disk.clone()), segment_bytes: Some(SEGMENT), ..Start::default() };
        let refused = ground.with(start).await.unwrap_err().to_string();
        assert!(refused.contains("data/trail"), "{what}: {refused}");
        disk.limit_space(None);
        disk.fail_syncs(false);
        let app = ground.on(&disk).await;
        assert_eq!(probes(&app).await, (200, 200), "{what}");
        app.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_without_its_outcome_is_withheld_and_the_outcome_follows() {
    let api = Api::start().await;
    let ground = Ground::new(&api, "", "").await;
    let disk = FaultFiles::new();
    let app = ground.on(&disk).await;
    let alice = Person::alice(&app);

    api.hold(true);
    let sent = tokio::spawn({
        let alice = alice.clone();
        async move { alice.write(1).await.unwrap() }
    });
    api.arrived("POST /things").await;
    disk.fail_writes(true);
    api.hold(false);
    let answer = sent.await.unwrap();
    assert!(is_refused(&answer), "{answer:?}");
    assert!(answer.text().contains("the call was carried out"), "{answer:?}");
    assert!(is_refused(&alice.write(2).await.unwrap()));
    assert_eq!(probes(&app).await, (503, 503));
    assert_eq!(api.writes().len(), 1);

    disk.fail_writes(false);
    eventually_so("it serves again", async || probes(&app).await == (200, 200)).await;
    eventually("what happened is written down", || {
        Records::read(disk.clone(), &ground.trail()).outcome(1).is_some_and(|outcome| outcome["executed"] == "yes")
    })
    .await;
    app.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failed_sync_nothing_is_served_from_that_process_again() {
    let api = Api::start().await;
    let ground = Ground::new(&api, "", "").await;
    let disk = FaultFiles::new();
    let app = ground.on(&disk).await;
    let alice = Person::alice(&app);
    assert!(is_done(&alice.write(1).await.unwrap()));

    disk.fail_syncs(true);
    let refused = alice.write(2).await.unwrap();
    assert!(is_refused(&refused), "{refused:?}");
    assert_eq!(api.writes().len(), 1, "not sent");
    for number in [3, 6] {
        assert!(is_refused(&alice.write(number).await.unwrap()));
        assert!(is_refused(&alice.read(number + 1).await.unwrap()));
    }
    assert_eq!(probes(&app).await, (503, 503));
    // The disk answers again, and what it lost in between nobody knows.
    disk.fail_syncs(false);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(is_refused(&alice.write(9).await.unwrap()));
    assert_eq!(probes(&app).await, (503, 503));
    assert_eq!(api.seen().len(), 1);
    let crashed = disk.crash(Unsynced::Dropped);
    app.stop().await.unwrap();

    let restarted = ground.on(&crashed).await;
    assert_eq!(probes(&restarted).await, (200, 200));
    assert!(is_done(&Person::alice(&restarted).write(12).await.unwrap()));
    restarted.stop().await.unwrap();
    let records = Records::read(crashed, &ground.trail());
    assert!(records.outcome(1).is_some() && records.outcome(12).is_some());
    records.unknown();
}
