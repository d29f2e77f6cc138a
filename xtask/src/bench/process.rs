//! CPU time and memory of a process and everything below it, read from `/proc`.

use std::{collections::BTreeMap, fs};

use anyhow::{Result, bail};

/// What a process tree has used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// CPU time since it started, in microseconds: user and kernel, all threads.
    pub cpu_us: f64,
    /// Resident memory now, in MiB.
    pub rss_mb: f64,
}

impl Usage {
    /// Reads it.
    ///
    /// # Errors
    /// The process is gone.
    pub fn of_tree(root: u32) -> Result<Self> {
        let mut usage = Self::default();
        let parents = parents();
        let mut found = false;
        for pid in parents.keys().filter(|pid| is_below(**pid, root, &parents)) {
            found = true;
            usage.cpu_us += cpu_us(*pid);
            usage.rss_mb += rss_mb(*pid);
        }
        if !found {
            bail!("process {root} is gone");
        }
        Ok(usage)
    }
}

fn is_below(pid: u32, root: u32, parents: &BTreeMap<u32, u32>) -> bool {
    std::iter::successors(Some(pid), |pid| parents.get(pid).copied()).take(64).any(|pid| pid == root)
}

fn parents() -> BTreeMap<u32, u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Some((pid, stat_field(pid, 1)?))).collect()
}

/// A numeric field of `stat` after the program's name, counted from its state (0).
fn stat_field(pid: u32, position: usize) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(position)?.parse().ok()
}

/// The scheduler's own sum per thread, in nanoseconds; the clock ticks of `stat` where the kernel does not keep it.
fn cpu_us(pid: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let nanos: f64 = threads
        .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(|line| line.split(' ').next()?.parse::<f64>().ok())
        .sum();
    if nanos > 0.0 {
        return nanos / 1000.0;
    }
    // utime and stime; every Linux we run on counts 100 ticks a second.
    let ticks = stat_field(pid, 11).unwrap_or_default() + stat_field(pid, 12).unwrap_or_default();
    f64::from(ticks) * 10_000.0
}

fn rss_mb(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or_default() / 1024.0
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn work_of_this_process_is_seen() {
        let own = std::process::id();
        let begin = Usage::of_tree(own).unwrap();
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(120) {}
        let spent = Usage::of_tree(own).unwrap().cpu_us - begin.cpu_us;
        assert!(spent > 20_000.0, "{spent} µs");
        assert!(begin.rss_mb > 0.5);
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        assert!(Usage::of_tree(u32::MAX).is_err());
    }
}
