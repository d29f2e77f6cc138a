//! `cargo xtask bench`: what a call costs in Ambit, beside nginx as a plain reverse proxy and the bare upstream, in one run.
//!
//! Rounds are interleaved, so that whatever else the machine does falls on every variant alike; what is judged is the median
//! of the ratios within each round, never two absolute figures of different moments.

mod deployments;
mod disk;
mod document;
mod governed;
mod process;
mod report;
mod requests;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use self::{
    deployments::Bench,
    process::Usage,
    report::{Row, Sample},
};
use crate::{
    setup,
    shell::{cargo, command, root, run as run_command},
};

/// One thing that is loaded.
#[derive(Debug)]
pub struct Variant {
    /// Its name in the report.
    name: String,
    /// Where the load goes.
    address: String,
    /// The request, in a file.
    request: PathBuf,
    /// What a good answer holds.
    expect: String,
    /// The root of the process tree whose CPU and memory count.
    pid: u32,
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Extent {
    connections: &'static [u32],
    rounds: usize,
    millis: u32,
    warm_up_millis: u32,
}

const FULL: Extent = Extent { connections: &[4, 16, 64], rounds: 7, millis: 2000, warm_up_millis: 400 };
/// Under three minutes, once everything is built.
const QUICK: Extent = Extent { connections: &[16, 64], rounds: 5, millis: 700, warm_up_millis: 150 };

/// Measures, prints and, if asked to, writes the rows. Whether the targets are met.
pub fn run(options: &[&str]) -> Result<bool> {
    let (mut extent, mut file, mut options) = (FULL, None, options.iter());
    while let Some(option) = options.next() {
        match *option {
            "--quick" => extent = QUICK,
            "--json" => file = Some(PathBuf::from(options.next().context("`--json` needs a file")?)),
            other => bail!("`{other}` is no option of bench: `--quick` and `--json FILE` are"),
        }
    }
    setup::ensure(&setup::Need::BENCH)?;
    let build = ["build", "--profile", "dist", "--package", "ambit", "--package", "ambit-testkit", "--bins"];
    run_command(&mut cargo(&build))?;
    governed::build()?;
    let document = document::compile()?;
    let programs = root().join("target/dist");
    let folder = root().join("target/bench");
    fs::create_dir_all(&folder)?;
    let fsync_p50_ms = disk::fsync_p50_ms(&folder)?;
    println!("fsync p50 of this disk: {fsync_p50_ms:.2} ms");
    let bench = Bench::start(&programs, &folder)?;
    let (lists, decisions) = (bench.lists()?, governed::decisions()?);
    let mut rows = Vec::new();
    for connections in extent.connections {
        rows.extend(measure(&bench, &programs.join("load"), *connections, extent)?);
    }
    let governed = governed::measure(lists, decisions, bench.ruled()?)?;
    drop(bench);
    let report = report::Report { rows, fsync_p50_ms, document, governed };
    print!("{}", report.table());
    let (verdict, met) = report.verdict();
    print!("{verdict}");
    if let Some(file) = file {
        fs::write(&file, report.json()).with_context(|| format!("write `{}`", file.display()))?;
    }
    Ok(met)
}

/// All variants at one number of connections, round by round.
fn measure(bench: &Bench, load: &Path, connections: u32, extent: Extent) -> Result<Vec<Row>> {
    let mut samples: Vec<Vec<Sample>> = Vec::new();
    for round in 0..extent.rounds {
        // Tokens live for minutes: fresh ones for each round, outside the measured time.
        let variants = bench.variants()?;
        samples.resize_with(variants.len(), Vec::new);
        print!("{connections} connections, round {} of {}:", round + 1, extent.rounds);
        // Every second round backwards, so that no variant always follows the same one.
        let order: Vec<usize> =
            if round % 2 == 0 { (0..variants.len()).collect() } else { (0..variants.len()).rev().collect() };
        for position in order {
            let (Some(variant), Some(into)) = (variants.get(position), samples.get_mut(position)) else { continue };
            let sample = sample(variant, load, connections, extent)?;
            print!(" {} {:.0}µs", variant.name, sample.cpu_us_per_call);
            into.push(sample);
        }
        println!();
    }
    let names: Vec<String> = bench.variants()?.into_iter().map(|variant| variant.name).collect();
    Ok(report::rows(&names, &samples, connections))
}

/// Loads one variant for its time and reads the process's counters at the instants the load names.
fn sample(variant: &Variant, load: &Path, connections: u32, extent: Extent) -> Result<Sample> {
    let mut child = command(load)
        .args(["--address", &variant.address, "--expect", &variant.expect, "--connections", &connections.to_string()])
        .args(["--millis", &extent.millis.to_string(), "--warm-up-millis", &extent.warm_up_millis.to_string()])
        .arg("--request")
        .arg(&variant.request)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the load")?;
    let lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
    let (mut begin, mut end, mut figures) = (None, None, Value::Null);
    for line in lines {
        match line?.as_str() {
            "measuring" => begin = Some(Usage::of_tree(variant.pid)?),
            "measured" => end = Some(Usage::of_tree(variant.pid)?),
            other => figures = serde_json::from_str(other).context("the load's figures")?,
        }
    }
    child.wait()?;
    let (Some(begin), Some(end)) = (begin, end) else { bail!("the load against `{}` did not run", variant.name) };
    let calls = figures["calls"].as_f64().unwrap_or_default();
    if figures["bad"].as_u64() != Some(0) || calls < 1.0 {
        bail!("`{}` did not answer as it should: {figures}", variant.name);
    }
    let number = |name: &str| figures[name].as_f64().unwrap_or_default();
    Ok(Sample {
        rps: number("rps"),
        p50_ms: number("p50_ms"),
        p99_ms: number("p99_ms"),
        cpu_us_per_call: (end.cpu_us - begin.cpu_us) / calls,
        rss_mb: end.rss_mb,
    })
}
