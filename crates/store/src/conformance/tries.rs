//! Tries to spend an approval twice, or without one: at once and one after the other, from two stores as two processes have
//! them, with late, altered, foreign and repeated attempts and a clock that steps. Ten thousand on a SQLite file; on PostgreSQL,
//! where each waits for a server, four thousand.

use ambit_model::{approval::Stage, event::Executed};

use super::{
    NOW, Place,
    approvals::{approve, consume, executed, id, open},
};
use crate::{Store, StoreUrl, approvals, testing};

const AT_ONCE: u64 = 50;

/// How much is tried.
struct Tries {
    /// Rounds of fifty at once.
    rounds: u64,
    /// One after the other.
    steps: u64,
}

const ON_A_FILE: Tries = Tries { rounds: 100, steps: 5_000 };
const ON_A_SERVER: Tries = Tries { rounds: 40, steps: 2_000 };

/// Numbers without a pattern that are the same every time.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_at_once_one_spends_each_time() {
    let directory = tempfile::tempdir().unwrap();
    one_spends_each_time(StoreUrl::File(directory.path().join("store.db")), ON_A_FILE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_at_once_one_spends_each_time_on_postgresql() {
    one_spends_each_time(testing::postgres().unwrap_or_else(|error| panic!("{error}")), ON_A_SERVER).await;
}

async fn one_spends_each_time(url: StoreUrl, tries: Tries) {
    let place = Place { store: Store::open(&url).await.unwrap(), url };
    let stores = [place.store.clone(), place.another().await];
    for round in 0..tries.rounds {
        let (name, call) = (format!("r{round}"), format!("call {round}"));
        // Each round has its own instant: what was let out makes room for the next.
        let now = NOW + i64::try_from(round).unwrap() * 10_000;
        open(&place.store, &name, &call, now).await;
        assert!(approve(&place.store, &name, now).await);
        let attempts: Vec<_> = (0..AT_ONCE)
            .map(|number| {
                let store = stores[usize::from(number % 2 == 0)].clone();
                // Some bring another call's digest, some come late.
                let call = if number % 7 == 3 { "another".to_owned() } else { call.clone() };
                let (name, at) = (name.clone(), if number % 11 == 5 { now + 500 } else { now + 1 });
                tokio::spawn(async move { consume(&store, &name, &call, at).await.map(|_| (call, at)) })
            })
            .collect();
        let mut spent = Vec::new();
        for attempt in attempts {
            spent.extend(attempt.await.unwrap());
        }
        assert_eq!(spent, [(call.clone(), now + 1)], "round {round}");
    }
}

/// What one approval went through, as whoever acted saw it.
#[derive(Default)]
struct Seen {
    until: Option<i64>,
    spent: u32,
}

#[tokio::test]
async fn whatever_is_tried_in_whatever_order_spends_an_approval_once_and_never_without_a_yes() {
    let directory = tempfile::tempdir().unwrap();
    spent_once_and_never_without_a_yes(&StoreUrl::File(directory.path().join("store.db")), ON_A_FILE).await;
}

#[tokio::test]
async fn whatever_is_tried_on_postgresql_spends_an_approval_once_and_never_without_a_yes() {
    let url = testing::postgres().unwrap_or_else(|error| panic!("{error}"));
    spent_once_and_never_without_a_yes(&url, ON_A_SERVER).await;
}

async fn spent_once_and_never_without_a_yes(url: &StoreUrl, tries: Tries) {
    let store = Store::open(url).await.unwrap();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut now = NOW;
    let (mut number, mut spent_in_all) = (0_u32, 0_u32);
    let mut current = (String::new(), Seen::default());
    for attempt in 0..tries.steps {
        if current.0.is_empty() || current.1.spent > 0 && dice.throw(4) == 0 {
            number += 1;
            current = (format!("a{number}"), Seen::default());
            open(&store, &current.0, &format!("call of {}", current.0), now).await;
        }
        let (name, seen) = (current.0.clone(), &mut current.1);
        let call = format!("call of {name}");
        match dice.throw(10) {
            // The clock goes on, and sometimes back.
            0 => now += i64::try_from(dice.throw(400)).unwrap(),
            1 => now -= i64::try_from(dice.throw(200)).unwrap(),
            2 => {
                if approve(&store, &name, now).await {
                    assert!(seen.until.is_none() && seen.spent == 0, "{attempt}: approved twice");
                    seen.until = Some(now + 500);
                }
            }
            3 => assert_eq!(consume(&store, &name, "another call", now).await, None, "{attempt}: foreign"),
            4 if dice.throw(8) == 0 => {
                let mut tx = store.begin().await.unwrap();
                let ended = approvals::deny(&mut tx, &id(&name), now).await.unwrap();
                tx.commit().await.unwrap();
                if ended {
                    assert_eq!(seen.spent, 0, "{attempt}: a no after the call");
                    current.0.clear();
                }
            }
            5 => drop(executed(&store, &name, Executed::Yes).await),
            _ => {
                let may = seen.until.is_some_and(|until| now < until) && seen.spent == 0;
                let did = consume(&store, &name, &call, now).await.is_some();
                assert_eq!(did, may, "{attempt}: {name} at {now}, approved until {:?}", seen.until);
                seen.spent += u32::from(did);
                spent_in_all += u32::from(did);
                // What ran out unused makes room.
                if !may && seen.spent == 0 && dice.throw(3) == 0 {
                    let over = approvals::find(&store, &id(&name)).await.unwrap().unwrap().stage.at(now);
                    if matches!(over, Stage::Lapsed { .. }) {
                        current.0.clear();
                    }
                }
            }
        }
    }
    assert!(u64::from(spent_in_all) > tries.steps / 25, "the tries have to reach what they test: {spent_in_all}");
}
