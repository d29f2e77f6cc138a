//! Automation for the workspace: `cargo xtask COMMAND`. Every check and every run that a person or CI needs starts here.
//!
//! It builds with almost nothing, so that a bare machine with a Rust toolchain can start it, and it never changes what ships.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is what it is for")]
#![expect(clippy::indexing_slicing, reason = "only JSON values are indexed, which answer null for what is not there")]
#![expect(clippy::disallowed_methods, reason = "it starts programs and asks them on loopback; it is not the gateway")]

mod bench;
mod demo;
mod e2e;
mod gateway;
mod http;
mod service;
mod setup;
mod shell;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
cargo xtask COMMAND

  demo [--check]                 Ambit in front of a sample API and an MCP server, until Ctrl-C; --check calls a tool and ends
  test                           everything CI runs: formatting, lints, architecture, tests, real peers
  e2e [clients|guarding|conformance|idp|demo]
                                 the real peers alone, or one part of them
  bench [--quick] [--json FILE]  figures per call, beside nginx and the bare upstream
  tidy                           the architecture rules
  setup                          installs what test, demo and bench need, or says what is missing";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether everything passed.
fn run(words: &[&str]) -> Result<bool> {
    match words {
        [] | ["--help" | "-h" | "help"] => println!("{USAGE}"),
        ["setup"] => setup::ensure(&setup::Need::ALL)?,
        ["tidy"] => return tidy::run(),
        ["test"] => return test::run(),
        ["demo"] => demo::run_until_ended()?,
        ["demo", "--check"] => return demo::check(),
        ["e2e", parts @ ..] => return e2e::run(parts),
        ["bench", options @ ..] => return bench::run(options),
        other => bail!("no command `{}`\n\n{USAGE}", other.join(" ")),
    }
    Ok(true)
}
