//! `cargo xtask e2e`: real peers against the built programs, each part a file of Node's test runner in `e2e/`.

use anyhow::{Result, bail};

use crate::{
    demo, setup,
    shell::{cargo, command, root, run as run_command, tee},
    test::{Tally, number_before},
};

/// One part of the end-to-end runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The MCP SDKs through the whole OAuth flow.
    Clients,
    /// A destructive tool from hidden to expired, with the same.
    Guarding,
    /// The official conformance suite.
    Conformance,
    /// An OpenID provider as external issuer.
    Idp,
    /// The demo, up to a call.
    Demo,
}

impl Part {
    /// Every part, in the order they run.
    pub const ALL: [Self; 5] = [Self::Demo, Self::Clients, Self::Guarding, Self::Conformance, Self::Idp];

    fn parse(word: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|part| part.name() == word) {
            Some(part) => Ok(part),
            None => bail!("`{word}` is no part of e2e: `clients`, `guarding`, `conformance`, `idp` or `demo`"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Guarding => "guarding",
            Self::Conformance => "conformance",
            Self::Idp => "idp",
            Self::Demo => "demo",
        }
    }
}

/// Builds the programs and runs the parts, all of them if none is named. Whether everything passed.
pub fn run(words: &[&str]) -> Result<bool> {
    let parts = words.iter().map(|word| Part::parse(word)).collect::<Result<Vec<_>>>()?;
    setup::ensure(&setup::Need::E2E)?;
    let build = ["build", "--profile", "ci", "--package", "ambit", "--package", "ambit-testkit", "--bins"];
    run_command(&mut cargo(&build))?;
    let mut tally = Tally::default();
    run_into(&mut tally, if parts.is_empty() { &Part::ALL } else { &parts })?;
    Ok(tally.close())
}

/// Runs the parts with the programs that are built.
pub fn run_into(tally: &mut Tally, parts: &[Part]) -> Result<()> {
    let programs = root().join("target/ci");
    for part in parts {
        match part {
            Part::Demo => {
                tally.check("e2e demo", || demo::check_with(&programs));
            }
            Part::Clients | Part::Guarding | Part::Conformance | Part::Idp => {
                let file = format!("e2e/{}.test.mjs", part.name());
                let mut node = command(setup::node()?);
                node.args(["--test", "--test-concurrency=1", "--test-reporter=spec", &file]);
                node.env("AMBIT_PROGRAMS", &programs).env("AMBIT_PYTHON", setup::python());
                tally.count(&format!("e2e {}", part.name()), || {
                    let (succeeded, printed) = tee(&mut node)?;
                    let (passed, failed) = (count_of(&printed, "pass"), count_of(&printed, "fail"));
                    let not_run =
                        count_of(&printed, "skipped") + count_of(&printed, "todo") + count_of(&printed, "cancelled");
                    // A runner that failed without a failed test still failed.
                    Ok((passed, (failed + not_run).max(u64::from(!succeeded))))
                });
            }
        }
    }
    Ok(())
}

/// A count of the runner's closing lines, such as `ℹ pass 12`.
fn count_of(printed: &str, word: &str) -> u64 {
    let line = printed.lines().rev().find_map(|line| line.strip_prefix("ℹ ")?.strip_prefix(word)?.strip_prefix(' '));
    line.map_or(0, |count| number_before(&format!("{count} ."), "."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runners_closing_lines_are_read() {
        let printed = "✔ x\nℹ tests 14\nℹ suites 0\nℹ pass 13\nℹ fail 1\nℹ cancelled 0\nℹ skipped 2\n";
        assert_eq!((count_of(printed, "pass"), count_of(printed, "fail"), count_of(printed, "skipped")), (13, 1, 2));
        assert_eq!(count_of("", "pass"), 0);
    }

    #[test]
    fn only_the_parts_there_are_can_be_named() {
        assert_eq!(Part::parse("idp").unwrap(), Part::Idp);
        assert!(Part::parse("browser").is_err());
    }
}
