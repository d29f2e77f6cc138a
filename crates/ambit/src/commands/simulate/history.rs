//! The trail, read once and its decisions made again by as many threads as there are cores. The reader is the only one that
//! waits for the disk; what it reads is handed out in batches, and what the threads find is put together at the end, so that
//! the result does not depend on who was quicker.

use std::{
    num::NonZero,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use ambit_model::ids::Millis;
use ambit_trail::{Disk, Reader, Stored, tail};

use super::{
    again::{Again, Judges, Replay},
    findings::Findings,
    record,
};
use crate::{
    commands::{Context, Failure},
    config::Resolved,
};

/// Records in one batch.
const BATCH: usize = 512;

/// Most threads that decide.
const THREADS: usize = 16;

/// How long nothing is said while the trail is read.
const SILENCE: Duration = Duration::from_secs(2);

/// Makes every decision of the trail since an instant again.
pub(super) fn read(
    resolved: &Resolved,
    since: Millis,
    judges: Judges<'_>,
    context: &mut Context<'_>,
) -> Result<Findings, Failure> {
    let mut reader = Reader::open_oldest(Arc::new(Disk), &resolved.trail_dir()).map_err(Failure::because)?;
    // What is written meanwhile is read as well; it is how far the end was when it began.
    let end = tail(Arc::new(Disk), &resolved.trail_dir(), 1).map_err(Failure::because)?.1.leaf();
    let total = end.saturating_sub(reader.leaf());
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(THREADS);
    let decided = AtomicU64::new(0);
    thread::scope(|scope| {
        let (batches, waiting) = sync_channel(2 * threads);
        let waiting = Arc::new(Mutex::new(waiting));
        let working: Vec<_> = (0..threads)
            .map(|_| {
                let (waiting, decided) = (Arc::clone(&waiting), &decided);
                scope.spawn(move || work(&waiting, since, judges, decided))
            })
            .collect();
        // If every thread is gone, nobody takes a batch any more.
        drop(waiting);
        let fed = feed(&mut reader, total, &batches, (&decided, context));
        // With the last batch taken, the threads end.
        drop(batches);
        let mut findings = Findings::default();
        for worker in working {
            let found = worker.join().map_err(|_| Failure::because("a thread that decides ended before its time"))?;
            findings.merge(found);
        }
        fed.map(|()| findings)
    })
}

/// Reads to the end and says now and then how far it is.
fn feed(
    reader: &mut Reader,
    total: u64,
    batches: &SyncSender<Vec<Stored>>,
    (decided, context): (&AtomicU64, &mut Context<'_>),
) -> Result<(), Failure> {
    let (started, mut said, mut records) = (Instant::now(), Instant::now(), 0_u64);
    let mut batch = Vec::with_capacity(BATCH);
    while let Some(stored) = reader.next().map_err(Failure::because)? {
        records += 1;
        batch.push(stored);
        if batch.len() < BATCH {
            continue;
        }
        if batches.send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH))).is_err() {
            return Err(Failure::because("the threads that decide have ended before their time"));
        }
        if said.elapsed() >= SILENCE {
            said = Instant::now();
            let (decided, seconds) = (decided.load(Ordering::Relaxed), started.elapsed().as_secs());
            context.note(&how_far(records, total, (decided, seconds)))?;
        }
    }
    batches.send(batch).map_err(|_| Failure::because("the threads that decide have ended before their time"))
}

/// How far it is.
fn how_far(records: u64, total: u64, (decided, seconds): (u64, u64)) -> String {
    let part = records.saturating_mul(100).checked_div(total).unwrap_or(100).min(100);
    format!("{records} of {total} records read ({part} %), {decided} decisions made again, {seconds} s")
}

fn work(waiting: &Mutex<Receiver<Vec<Stored>>>, since: Millis, judges: Judges<'_>, decided: &AtomicU64) -> Findings {
    let mut replay = Replay::new(judges);
    let mut findings = Findings::default();
    loop {
        // Held while waiting: whoever waits next takes the next batch.
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = next else { return findings };
        let mut of_batch = 0;
        for stored in &batch {
            if let Some(decision) = record::read(&stored.bytes, since) {
                let again: Again = replay.decide(&decision);
                findings.add(stored.leaf, &decision, again);
                of_batch += 1;
            }
        }
        decided.fetch_add(of_batch, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_it_is_has_a_whole_and_never_more_than_that() {
        assert_eq!(how_far(512, 2048, (100, 2)), "512 of 2048 records read (25 %), 100 decisions made again, 2 s");
        assert!(how_far(3000, 2048, (0, 0)).contains("(100 %)") && how_far(1, 0, (0, 0)).contains("(100 %)"));
    }
}
