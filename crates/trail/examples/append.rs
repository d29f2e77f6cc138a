//! Prints what an append costs: CPU microseconds per record of the whole process, and the disk's own time for a sync.
//!
//! `cargo run --profile dist -p ambit-trail --example append [DIRECTORY] [RECORDS]`. Groups are appenders at one time.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ambit_ledger::SigningKey;
use ambit_trail::{Disk, Durability, Files, Keys, Record, Settings, Trail, Unavailable, files::Open};

const ORIGIN: &str = "bench.example/trail/bench";
const RECORD_BYTES: usize = 700;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().map_or_else(|| PathBuf::from("target/trail-append"), PathBuf::from);
    let records: usize = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    say(&format!("fdatasync p50 {:?} of {RECORD_BYTES} bytes in a zero-filled file", sync_p50(&directory)?));
    for durability in [Durability::Written, Durability::Synced] {
        for group in [1, 16, 64] {
            let count = match durability {
                Durability::Written => records,
                Durability::Synced => (records / 50 * group.min(16)).clamp(500, records),
            };
            runtime.block_on(measure(&directory, durability, group, count))?;
        }
    }
    Ok(())
}

async fn measure(
    directory: &Path,
    durability: Durability,
    group: usize,
    records: usize,
) -> Result<(), Box<dyn std::error::Error>> {
    let directory = directory.join(format!("{durability:?}-{group}"));
    drop(std::fs::remove_dir_all(&directory));
    let key = SigningKey::from_seed(ORIGIN, &[1; 32])?;
    let trail = Trail::open(Settings::new(&directory, "bench", ORIGIN), key, Disk, || 0)?;
    // The segments are prepared in the background; that is not what is measured.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let each = records / group;
    let (before, since) = (cpu_time()?, Instant::now());
    let tasks: Vec<_> = (0..group).map(|_| tokio::spawn(append(trail.clone(), durability, each))).collect();
    let mut waits = Vec::with_capacity(records);
    for task in tasks {
        waits.extend(task.await??);
    }
    let (cpu, wall) = (cpu_time()?.saturating_sub(before), since.elapsed());
    waits.sort_unstable();
    let done = each * group;
    let at = |part: usize| waits.get(done * part / 1000).copied().unwrap_or_default();
    say(&format!(
        "{durability:?} in groups of {group:2}: {:5.2} us CPU per record, {:8.0} records/s, wait p50 {:?} p99 {:?} p99.9 {:?}",
        micros(cpu, done),
        rate(done, wall),
        at(500),
        at(990),
        at(999),
    ));
    trail.close().await;
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}

async fn append(trail: Trail, durability: Durability, records: usize) -> Result<Vec<Duration>, String> {
    let bytes = vec![b'x'; RECORD_BYTES];
    let keys = Keys { subject: Some("local:alice".into()), client: Some("c1".into()), ..Keys::default() };
    let mut waits = Vec::with_capacity(records);
    for _ in 0..records {
        let record = Record { bytes: bytes.clone(), at: 0, keys: keys.clone(), durability };
        let since = Instant::now();
        let mut reservation = loop {
            match trail.reserve(1) {
                Ok(reservation) => break reservation,
                // Faster than the disk: the bound does its work.
                Err(Unavailable::Full) => tokio::time::sleep(Duration::from_millis(1)).await,
                Err(error) => return Err(error.to_string()),
            }
        };
        reservation.append(record).await.map_err(|error| error.to_string())?;
        waits.push(since.elapsed());
        // As after a request: others get their turn.
        tokio::task::yield_now().await;
    }
    Ok(waits)
}

fn sync_p50(directory: &Path) -> Result<Duration, Box<dyn std::error::Error>> {
    Disk.make_directory(directory)?;
    let path = directory.join("sync-probe");
    let file = Disk.open(&path, Open::Create)?;
    file.write_all_at(&vec![0; 1 << 20], 0)?;
    file.sync_data()?;
    let mut times = Vec::new();
    for n in 0..200 {
        file.write_all_at(&[1; RECORD_BYTES], n * RECORD_BYTES as u64)?;
        let since = Instant::now();
        file.sync_data()?;
        times.push(since.elapsed());
    }
    Disk.remove(&path)?;
    times.sort_unstable();
    Ok(times.get(100).copied().unwrap_or_default())
}

/// User and system time of this process so far.
fn cpu_time() -> Result<Duration, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    // A tick of /proc is ten milliseconds on every Linux.
    Ok(Duration::from_millis(ticks * 10))
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn micros(cpu: Duration, records: usize) -> f64 {
    cpu.as_secs_f64() * 1e6 / records.max(1) as f64
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn rate(records: usize, wall: Duration) -> f64 {
    records as f64 / wall.as_secs_f64().max(f64::EPSILON)
}

#[expect(clippy::print_stdout, reason = "an example that prints its figures")]
fn say(line: &str) {
    println!("{line}");
}
