//! The power goes in the middle of many calls: what was acknowledged is on the disk, what reached the API was intended
//! there, a published checkpoint names nothing that is gone, and a restart repeats nothing.

use std::{collections::BTreeSet, time::Duration};

use ambit_ledger::verify::{Trusted, Verdict};
use ambit_store::{Store, StoreUrl, trail_index};
use ambit_trail::{
    testing::{FaultFiles, Unsynced},
    verify_directory,
};

use crate::{
    api::Api,
    load::{Acknowledged, Load},
    person::{Person, is_done, trace_id},
    records::Records,
    world::{Ground, checkpoint, eventually_so},
};

/// How often the power goes: each time after a checkpoint was published, in the middle of what followed it.
const CUTS: usize = 5;

/// Acknowledged calls between a checkpoint and a cut.
const CALLS: usize = 40;

/// How long the sync takes that a cut falls into.
const DISK: Duration = Duration::from_millis(30);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    Batched,
    Durable,
}

/// What was known from outside at the moment of a cut.
struct Cut {
    disk: FaultFiles,
    acknowledged: Acknowledged,
    reached: Vec<u64>,
    checkpoint: String,
    /// How many records the store's index knew. It goes down with the machine, and is put back to this before a restart.
    indexed: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_and_none_is_sent_twice() {
    Box::pin(power_cuts(Reads::Batched)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_durable_reads_no_acknowledged_call_at_all_is_lost() {
    Box::pin(power_cuts(Reads::Durable)).await;
}

async fn power_cuts(reads: Reads) {
    let api = Api::start().await;
    let more = if reads == Reads::Durable { "[trail]\nreads = \"durable\"\n" } else { "" };
    let ground = Ground::new(&api, "", more).await;
    let disk = FaultFiles::new();
    let app = ground.on(&disk).await;
    let key: ambit_ledger::VerifyingKey = app.live().recorder().trail().verifier_key().parse().unwrap();

    let load = Load::start(&Person::alice(&app), 0);
    let mut last: Option<Cut> = None;
    let mut dropped = 0;
    for number in 1..=CUTS {
        let covered = last.as_ref().map_or(0, |cut| size(&cut.checkpoint));
        eventually_so("a larger checkpoint", async || size(&checkpoint(app.address()).await) > covered).await;
        load.until(load.acknowledged().len() + CALLS).await;
        let unsynced = if number == CUTS { Unsynced::Torn(0x5eed) } else { Unsynced::Dropped };
        // A disk takes its time: what comes meanwhile is written and not synced.
        disk.hold_syncs(true);
        tokio::time::sleep(DISK).await;
        // In this order: what was known before the cut has to be on the disk after it.
        let written = Records::read(disk.clone(), &ground.trail()).events.len();
        let cut = Cut {
            checkpoint: checkpoint(app.address()).await,
            acknowledged: load.acknowledged(),
            reached: numbers(&api),
            indexed: indexed(app.live().store()).await,
            disk: disk.crash(unsynced),
        };
        disk.hold_syncs(false);
        if unsynced == Unsynced::Dropped {
            let records = Records::read(cut.disk.clone(), &ground.trail());
            hold(&cut, &records, reads);
            verify(&cut, &ground, &key);
            assert!(cut.indexed <= records.events.len() as u64, "the index knows records that are not on the disk");
            dropped += written.saturating_sub(records.events.len());
        }
        last = Some(cut);
    }
    let next = load.next();
    let (acknowledged, failed) = load.stop().await;
    assert!(failed.is_empty(), "{failed:?}");
    assert!(dropped > 0, "a disk that loses nothing tests nothing");
    assert!(!acknowledged.writes.is_empty() && !acknowledged.reads.is_empty());
    app.stop().await.unwrap();

    let cut = last.unwrap();
    put_index_back(&ground, cut.indexed).await;
    let before = api.seen().len();
    let restarted = ground.on(&cut.disk).await;
    let records = Records::read(cut.disk.clone(), &ground.trail());
    hold(&cut, &records, reads);
    let unknown = records.unknown();
    assert_eq!(restarted.live().recorder().trail().recovery().closed, unknown.len() as u64);
    for number in &cut.acknowledged.writes {
        let trace = trace_id(*number);
        assert!(unknown.iter().all(|intent| intent["trace"] != *trace), "an answered call is not unknown: {number}");
    }
    assert!(is_done(&Person::alice(&restarted).write(next).await.unwrap()));
    assert_eq!(api.seen().len(), before + 1, "a start sends nothing by itself");
    assert!(api.writes().values().all(|count| *count == 1), "{:?}", api.writes());
    let indexed_again = indexed(restarted.live().store()).await;
    let again = cut.disk.crash(Unsynced::Dropped);
    restarted.stop().await.unwrap();
    verify(&cut, &ground, &key);
    put_index_back(&ground, indexed_again).await;
    // The power goes once more, right after the start: what was closed then stays closed, and is closed once.
    let restarted = ground.on(&again).await;
    assert_eq!(Records::read(again.clone(), &ground.trail()).unknown().len(), unknown.len());
    restarted.stop().await.unwrap();
    assert!(Records::read(cut.disk.clone(), &ground.trail()).outcome(next).is_some());
}

/// How many records the store's index knows.
async fn indexed(store: &Store) -> u64 {
    trail_index::last_indexed(store, "node").await.unwrap().map_or(0, |last| last + 1)
}

/// Has the store know no more of the trail than at the cut: the machine that went down was that of the store, too.
async fn put_index_back(ground: &Ground, indexed: u64) {
    let file = ground.directory.path().join("data/ambit.db");
    let store = Store::open(&StoreUrl::File(file)).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    trail_index::forget_from(&mut tx, "node", indexed).await.unwrap();
    tx.commit().await.unwrap();
    store.close().await;
}

/// The numbers of the writes that reached the API.
fn numbers(api: &Api) -> Vec<u64> {
    api.writes().keys().filter_map(|name| name.strip_prefix("w-")?.parse().ok()).collect()
}

/// How many records a checkpoint covers.
fn size(note: &str) -> u64 {
    note.lines().nth(1).unwrap().parse().unwrap()
}

/// What must be on the disk.
fn hold(cut: &Cut, records: &Records, reads: Reads) {
    let (intended, ended) = records.traces();
    assert_eq!(missing(&cut.reached, &intended), [0; 0], "sent without an intent");
    assert_eq!(missing(&cut.acknowledged.writes, &ended), [0; 0], "answered, not on the disk");
    if reads == Reads::Durable {
        assert_eq!(missing(&cut.acknowledged.reads, &ended), [0; 0], "answered, not on the disk");
    }
}

fn missing<'a>(numbers: impl IntoIterator<Item = &'a u64>, there: &BTreeSet<&str>) -> Vec<u64> {
    numbers.into_iter().copied().filter(|number| !there.contains(trace_id(*number).as_str())).collect()
}

fn verify(cut: &Cut, ground: &Ground, key: &ambit_ledger::VerifyingKey) {
    let trusted = Trusted { key: Some(key.clone()), checkpoint: Some(cut.checkpoint.clone()) };
    let report = verify_directory(&cut.disk, &ground.trail(), trusted).unwrap();
    assert_eq!(report.verdict, Verdict::Verified, "{report}");
}
