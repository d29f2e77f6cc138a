//! The real program, killed with SIGKILL in the middle of many calls, started again on the same directory. What it wrote lies
//! with the system, so that nothing at all that was answered may be missing; no call is sent twice; `ambit audit verify`
//! confirms it against the key and a checkpoint of before the kill.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use ambit_trail::Disk;

use crate::{
    api::Api,
    load::Load,
    person::{Person, is_done, trace_id},
    process::{Process, hold_calm},
    records::Records,
    world::{Ground, checkpoint, command, eventually, text},
};

/// How often it is killed.
const KILLS: usize = 3;

/// Acknowledged calls before each kill.
const CALLS: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_answered_is_missing_and_nothing_is_sent_twice_after_a_kill() {
    let api = Api::start().await;
    let ground = Ground::new(&api, "", "").await;
    let inside = |name: &str| ground.directory.path().join(name);
    let mut answered = BTreeSet::new();
    let mut checkpoints: Vec<PathBuf> = Vec::new();
    let mut next = 0;
    for number in 0..KILLS {
        let process = Process::start(&ground).await;
        let load = Load::start(&process.alice().await, next);
        load.until(CALLS).await;
        let note = inside(&format!("checkpoint-{number}"));
        fs::write(&note, checkpoint(process.address).await).unwrap();
        checkpoints.push(note);
        if number + 1 == KILLS {
            // Now with a write that the API has and has not answered.
            api.hold(true);
            let before = api.writes().len();
            eventually("a write is under way", || api.writes().len() > before).await;
        }
        process.kill();
        api.hold(false);
        next = load.next();
        let (acknowledged, failed) = load.stop().await;
        assert!(!failed.is_empty(), "some call was under way");
        answered.extend(acknowledged.writes);
        answered.extend(acknowledged.reads);
    }
    // A call that found nobody has a number as well; it was never sent.
    let sent_before = api.seen().len();
    let process = Process::start(&ground).await;
    let records = Records::read(Disk, &ground.trail());
    let (intended, ended) = records.traces();
    for number in &answered {
        assert!(ended.contains(trace_id(*number).as_str()), "answered and not there: {number}");
    }
    for name in api.writes().keys() {
        let number = name.strip_prefix("w-").unwrap().parse().unwrap();
        assert!(intended.contains(trace_id(number).as_str()), "sent without an intent: {number}");
    }
    let unknown = records.unknown();
    assert!(unknown.iter().any(|intent| intent["target"]["tool"] == "create-thing"), "{unknown:?}");
    for intent in unknown {
        assert!(answered.iter().all(|number| intent["trace"] != *trace_id(*number)), "{intent}");
    }
    assert_eq!(api.seen().len(), sent_before, "a start sends nothing by itself");
    assert!(api.writes().values().all(|count| *count == 1), "{:?}", api.writes());
    process.kill();

    let trail = ground.trail();
    let key = trail.join("verifier.key");
    for note in &checkpoints {
        let args = ["audit", "verify", text(&trail), "--key", text(&key), "--checkpoint", text(note)];
        let (code, out, err) = command(&args).await;
        assert_eq!((code, out.contains("verified")), (0, true), "{out}{err}");
    }
    hold_calm(&ground);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_to_stop_it_finishes_what_runs_and_leaves_nothing_open() {
    let api = Api::start().await;
    let ground = Ground::new(&api, "", "").await;
    let inside = |name: &str| ground.directory.path().join(name);
    let process = Process::start(&ground).await;

    let second = Command::new(env!("CARGO_BIN_EXE_ambit"))
        .args(["serve", "--config"])
        .arg(inside("ambit.toml"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && said.contains("another"), "one directory, one process: {said}");

    let load = Load::start(&process.alice().await, 0);
    load.until(CALLS).await;
    assert!(tokio::task::spawn_blocking(move || process.terminate()).await.unwrap());
    let (acknowledged, _) = load.stop().await;
    let records = Records::read(Disk, &ground.trail());
    let (_, ended) = records.traces();
    for number in acknowledged.writes.iter().chain(&acknowledged.reads) {
        assert!(ended.contains(trace_id(*number).as_str()), "answered and not there: {number}");
    }
    assert!(records.unknown().is_empty());
    let sent: usize = api.writes().values().sum();
    let carried_out = records.of("outcome").filter(|outcome| outcome["executed"] == "yes").count();
    assert!(carried_out >= acknowledged.len() && sent >= acknowledged.writes.len());
    // Nobody was told that a write failed which was carried out.
    assert_eq!(sent, acknowledged.writes.len(), "every write that was sent was answered");
    hold_calm(&ground);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_was_told_is_done_survives_a_kill() {
    let api = Api::start().await;
    let ground = Ground::new(&api, "", "").await;
    let process = Process::start(&ground).await;
    let person = process.alice().await;
    assert!(is_done(&person.read(1).await.unwrap()));
    let (code, out, err) = process.ambit(&["block", "user", "alice", "--reason", "incident"]).await;
    process.kill();
    assert_eq!(code, 0, "{out}{err}");

    let process = Process::start(&ground).await;
    let there = Person::new(process.address, person.token().to_owned());
    assert_eq!(there.read(2).await.unwrap().status, 401);
    let records = Records::read(Disk, &ground.trail());
    let acts: Vec<_> = records.of("act").filter(|act| act["act"] == "block").collect();
    assert_eq!(acts.len(), 1, "{acts:?}");
    assert_eq!((&acts[0]["subject"], &acts[0]["reason"]), (&"user local:alice".into(), &"incident".into()));
    process.kill();
}
