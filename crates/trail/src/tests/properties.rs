//! Whatever the disk keeps of what was not synced: the trail opens, and nothing acknowledged is missing or moved.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use ambit_ledger::Frontier;
use proptest::prelude::*;

use super::support::*;
use crate::{
    Durability,
    testing::{FaultFiles, Unsynced},
};

#[derive(Clone, Debug)]
struct Plan {
    records: Vec<(bool, u16)>,
    crash_after: usize,
    seed: u64,
}

fn plan() -> impl Strategy<Value = Plan> {
    (prop::collection::vec((any::<bool>(), 0_u16..6000), 1..120), any::<prop::sample::Index>(), any::<u64>())
        .prop_map(|(records, at, seed)| Plan { crash_after: at.index(records.len()) + 1, records, seed })
}

/// Appends as planned, crashes in the middle of things, and says what had been acknowledged by then.
async fn run(plan: &Plan) -> (FaultFiles, Vec<(u64, String)>) {
    let files = FaultFiles::new();
    let trail = open(&files);
    let (mut acknowledged, mut open_ends) = (Vec::new(), Vec::new());
    for (n, (synced, length)) in plan.records.iter().take(plan.crash_after).enumerate() {
        let text = format!("{n} {}", "x".repeat(usize::from(*length)));
        let mut reservation = trail.reserve(1).unwrap();
        if *synced {
            let leaf = reservation.append(note(&text, Durability::Synced)).await.unwrap();
            acknowledged.push((leaf, text));
        } else {
            open_ends.push(reservation.append(note(&text, Durability::Written)));
        }
    }
    // Something is always under way.
    for n in 0..5 {
        open_ends.push(trail.reserve(1).unwrap().append(note(&format!("late {n}"), Durability::Synced)));
    }
    let crashed = files.crash(Unsynced::Torn(plan.seed));
    drop(open_ends);
    trail.close().await;
    (crashed, acknowledged)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn any_crash_leaves_a_trail_that_opens_with_all_that_was_acknowledged(plan in plan()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let (crashed, acknowledged) = run(&plan).await;
            let again = open(&crashed);
            let next = append(&again, note("after", Durability::Synced)).await;
            again.close().await;
            let records = read_all(&crashed.crash(Unsynced::Dropped));
            prop_assert_eq!(records.len() as u64, next + 1);
            let mut tree = Frontier::new();
            for (n, stored) in (0..).zip(&records) {
                prop_assert_eq!(stored.leaf, n);
                tree.push(stored.hash);
            }
            prop_assert_eq!(again.checkpoint().root(), tree.root());
            for (leaf, text) in acknowledged {
                prop_assert_eq!(gist(&records[usize::try_from(leaf).unwrap()]), text);
            }
            Ok(())
        })?;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crash_under_load_takes_back_nothing_that_was_acknowledged() {
    for round in 0..6 {
        let files = FaultFiles::new();
        let trail = open(&files);
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = (0..8)
            .map(|appender| {
                let (trail, acknowledged) = (trail.clone(), acknowledged.clone());
                tokio::spawn(async move {
                    for n in 0..400 {
                        let text = format!("{appender}-{n} {}", "x".repeat(n % 700));
                        let Ok(mut reservation) = trail.reserve(2) else { break };
                        drop(reservation.append(note("unawaited", Durability::Written)));
                        let Ok(leaf) = reservation.append(note(&text, Durability::Synced)).await else { break };
                        acknowledged.lock().unwrap().push((leaf, text));
                    }
                })
            })
            .collect();
        eventually("some were acknowledged", || acknowledged.lock().unwrap().len() > 30).await;
        tokio::time::sleep(Duration::from_millis(round * 3)).await;
        // Read before the power goes: each of these was acknowledged by then.
        let by_then = acknowledged.lock().unwrap().clone();
        let crashed = files.crash(if round % 2 == 0 { Unsynced::Dropped } else { Unsynced::Torn(round) });
        let again = open(&crashed);
        again.close().await;
        let records = read_all(&crashed);
        for (leaf, text) in by_then {
            assert_eq!(gist(&records[usize::try_from(leaf).unwrap()]), text);
        }
        trail.close().await;
        for task in tasks {
            task.await.unwrap();
        }
    }
}
