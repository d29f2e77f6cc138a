//! `cargo xtask test`: everything that must hold, in one run that skips nothing and ends with one line of counts.
//!
//! Everything is built once, in the `ci` profile; the end-to-end parts use the programs that build left.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    e2e, setup,
    shell::{cargo, root, run as run_command, tee},
    tidy,
};

/// How many checks passed and failed, and how long each step took.
#[derive(Debug, Default)]
pub struct Tally {
    passed: u64,
    failed: u64,
    steps: Vec<(String, bool, Duration)>,
}

impl Tally {
    /// Runs a step that is one check.
    pub fn check(&mut self, name: &str, step: impl FnOnce() -> Result<bool>) -> bool {
        self.count(name, || step().map(|passed| (u64::from(passed), u64::from(!passed))))
    }

    /// Runs a step that counts its own checks. One that breaks, or counts none, is a failure.
    pub fn count(&mut self, name: &str, step: impl FnOnce() -> Result<(u64, u64)>) -> bool {
        println!("\n=== {name}");
        let begin = Instant::now();
        let (passed, failed) = match step() {
            Ok((0, 0)) => {
                println!("`{name}` checked nothing, which is a failure");
                (0, 1)
            }
            Ok(counts) => counts,
            Err(error) => {
                println!("error: {error:#}");
                (0, 1)
            }
        };
        self.passed += passed;
        self.failed += failed;
        self.steps.push((name.to_owned(), failed == 0, begin.elapsed()));
        failed == 0
    }

    /// Prints the steps and the closing line. Whether everything passed.
    pub fn close(self) -> bool {
        println!();
        for (name, passed, took) in &self.steps {
            println!("{:>4} {:>7.1} s  {name}", if *passed { "ok" } else { "FAIL" }, took.as_secs_f64());
        }
        println!("{} passed, {} failed", self.passed, self.failed);
        self.failed == 0
    }
}

/// Whether everything passed.
pub fn run() -> Result<bool> {
    setup::ensure(&setup::Need::TEST)?;
    let mut tally = Tally::default();
    tally.check("formatting", || run_command(&mut cargo(&["fmt", "--all", "--check"])).map(|()| true));
    tally.check("architecture", tidy::run);
    tally.check("lints", || {
        let clippy = ["clippy", "--quiet", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"];
        run_command(&mut cargo(&clippy)).map(|()| true)
    });
    let built = tally.check("build", || {
        let build = ["build", "--locked", "--profile", "ci", "--workspace", "--all-targets"];
        run_command(&mut cargo(&build)).map(|()| true)
    });
    if built {
        tally.count("tests", nextest);
        if has_doc_tests(&root().join("crates"))? {
            tally.check("doc tests", || {
                run_command(&mut cargo(&["test", "--locked", "--profile", "ci", "--workspace", "--doc"])).map(|()| true)
            });
        }
        e2e::run_into(&mut tally, &e2e::Part::ALL)?;
    }
    Ok(tally.close())
}

fn nextest() -> Result<(u64, u64)> {
    let nextest =
        ["nextest", "run", "--locked", "--cargo-profile", "ci", "--workspace", "--all-targets", "--no-fail-fast"];
    let (_, printed) = tee(cargo(&nextest).env("NEXTEST_STATUS_LEVEL", "slow"))?;
    let summary = printed.lines().rev().find(|line| line.contains("tests run:")).unwrap_or_default();
    // What neither passed nor was skipped by a filter failed, timed out or could not start.
    let passed = number_before(summary, "passed");
    let run = number_before(summary, "tests run:").max(number_before(summary, "test run:"));
    Ok((passed, run.saturating_sub(passed)))
}

/// The number in front of a word. With "12/20 tests run" it is what should have run.
pub fn number_before(text: &str, word: &str) -> u64 {
    let Some((before, _)) = text.split_once(word) else { return 0 };
    let number = before.split_whitespace().next_back().unwrap_or_default();
    number.rsplit('/').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// Whether any documentation holds Rust code that rustdoc would run.
fn has_doc_tests(folder: &Path) -> Result<bool> {
    for path in tidy::rust_files(folder)? {
        let text = std::fs::read_to_string(&path)?;
        let mut inside = false;
        for line in text.lines().map(str::trim_start) {
            let Some(doc) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) else { continue };
            let Some(language) = doc.trim().strip_prefix("```") else { continue };
            if !inside && matches!(language, "" | "rust" | "no_run" | "should_panic" | "compile_fail") {
                return Ok(true);
            }
            inside = !inside;
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_read_as_it_is_printed() {
        let summary = "     Summary [   0.349s] 14 tests run: 13 passed (1 slow), 1 failed, 0 skipped";
        assert_eq!((number_before(summary, "tests run:"), number_before(summary, "passed")), (14, 13));
        assert_eq!(number_before("  Summary [ 1s] 4/13 tests run: 3 passed, 1 failed", "tests run:"), 13);
        assert_eq!(number_before("", "passed"), 0);
    }

    #[test]
    fn a_step_that_checks_nothing_or_breaks_fails() {
        let mut tally = Tally::default();
        assert!(!tally.count("nothing", || Ok((0, 0))));
        assert!(!tally.check("broken", || anyhow::bail!("no")));
        assert!(tally.count("good", || Ok((3, 0))));
        assert_eq!((tally.passed, tally.failed), (3, 2));
        assert!(!tally.close());
    }
}
