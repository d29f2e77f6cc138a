//! What the largest description of the examples costs to compile: once, at start and reload.

use std::{process::Stdio, time::Instant};

use anyhow::{Context as _, Result, bail};

use crate::shell::{cargo, command, root, run};

/// The description with the most operations.
const LARGEST: &str = "examples/github/openapi.json";

/// What compiling took.
#[derive(Debug, Clone, Copy)]
pub struct Document {
    /// From the start of the process to its end.
    pub seconds: f64,
    /// The most memory it had.
    pub peak_mb: f64,
}

/// Compiles the largest description in a process of its own.
pub fn compile() -> Result<Document> {
    run(&mut cargo(&["build", "--profile", "dist", "--package", "ambit-openapi", "--example", "compile"]))?;
    let program = root().join("target/dist/examples/compile");
    let started = Instant::now();
    let output = command(&program).arg(root().join(LARGEST)).stderr(Stdio::inherit()).output()?;
    let seconds = started.elapsed().as_secs_f64();
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || !text.contains(" tools, 0 left out") {
        bail!("`{LARGEST}` did not compile whole: {text}");
    }
    let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no line `VmHWM:`")?;
    let kilobytes: f64 = peak.trim().trim_end_matches(" kB").parse().context("the peak of memory")?;
    Ok(Document { seconds, peak_mb: kilobytes / 1024.0 })
}
