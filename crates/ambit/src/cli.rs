//! The command line: arguments in, one command run, an exit code out.
//!
//! 0 is done, 1 a finding or refusal, 2 a usage or configuration error. With `--json`, standard output holds one JSON value
//! whatever happens; without it, results go to standard output and everything else to standard error.

use std::{ffi::OsString, io::Write, path::PathBuf};

use ambit_live::clock::Clock;
use clap::{Args, Parser, Subcommand};
use serde_json::json;

use crate::commands::{self, Context, Failure};

/// Where a command writes.
pub struct Streams<'a> {
    /// Results.
    pub out: &'a mut (dyn Write + Send),
    /// Everything else.
    pub err: &'a mut (dyn Write + Send),
}

impl std::fmt::Debug for Streams<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streams").finish_non_exhaustive()
    }
}

/// An access gateway for MCP servers and REST APIs.
#[derive(Parser, Debug)]
#[command(name = "ambit", version, propagate_version = true, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(Args, Debug, Clone)]
pub struct Common {
    /// The configuration file. `ambit.toml` in this directory if absent.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The directory of keys, trail and embedded store, in place of the configured one.
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Print one JSON value.
    #[arg(long, global = true)]
    pub json: bool,
    /// Act through the admin API at this URL, in place of a server on this machine; `AMBIT_ADMIN` if absent.
    #[arg(long, global = true, value_name = "URL")]
    pub admin: Option<String>,
    /// The directory that `ambit login` keeps tokens in. `ambit` in `XDG_STATE_HOME`, or in `~/.local/state`, if absent.
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Serve the published endpoints.
    Serve(commands::serve::Serve),
    /// Check the configuration without serving.
    Check(commands::check::Check),
    /// List tools with effect and state; accept definitions.
    Tools(commands::tools::Tools),
    /// Say what one caller may do with one tool, and why.
    Explain(commands::explain::Explain),
    /// Check and test the organisation's rules.
    Policy(commands::policy::Policy),
    /// Say what other rules or grants would have changed about real calls.
    Simulate(commands::simulate::Simulate),
    /// Grant a toolset, or reveal its destructive tools for a few hours.
    Grant(commands::grant::Grant),
    /// List grants and reveals: who, what, until when, and where it was said.
    Grants(commands::grants::Grants),
    /// Decide calls that wait for approval.
    Approve(commands::approve::Approve),
    /// Decide requests for access.
    Access(commands::access::Access),
    /// Look at who broke the glass.
    BreakGlass(commands::break_glass::BreakGlass),
    /// End everything of a scope issued until now; a new login is possible.
    Revoke(commands::revoke::Revoke),
    /// Refuse everything of a scope until it is lifted.
    Block(commands::revoke::Block),
    /// Lift a block.
    Unblock(commands::revoke::Unblock),
    /// Mint a short-lived access token for trying things out.
    Token(commands::token::Token),
    /// Read, search, export and verify the trail.
    Audit(commands::audit::Audit),
    /// Get a token for the admin API, through your browser.
    Login(commands::login::Login),
    /// Look after local accounts.
    Account(commands::account::Account),
    /// Print the JSON Schema of `ambit.toml`, or the description of the admin API.
    Schema(commands::schema::Schema),
}

/// Runs one command line, program name first, and gives the exit code.
pub async fn cli(args: impl IntoIterator<Item = impl Into<OsString> + Clone>, streams: Streams<'_>) -> u8 {
    cli_at(args, streams, Clock::System).await
}

/// The same at the time of another clock.
pub(crate) async fn cli_at(
    args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    streams: Streams<'_>,
    clock: Clock,
) -> u8 {
    let Streams { out, err } = streams;
    let parsed = match Cli::try_parse_from(args) {
        Ok(parsed) => parsed,
        Err(error) => {
            let shown = error.render().to_string();
            // Help and version are results; everything else is a usage error.
            let (stream, code): (&mut (dyn Write + Send), u8) = if error.use_stderr() { (err, 2) } else { (out, 0) };
            return if stream.write_all(shown.as_bytes()).is_ok() { code } else { 1 };
        }
    };
    let Cli { common, command } = parsed;
    let json = common.json;
    let mut context = Context { common, clock, out, err };
    let ended = match command {
        // Boxed: whoever runs a small command would carry the largest about.
        Command::Serve(command) => Box::pin(command.run(&mut context)).await,
        Command::Check(command) => Box::pin(command.run(&mut context)).await,
        Command::Tools(command) => Box::pin(command.run(&mut context)).await,
        Command::Explain(command) => Box::pin(command.run(&mut context)).await,
        Command::Policy(command) => Box::pin(command.run(&mut context)).await,
        Command::Simulate(command) => Box::pin(command.run(&mut context)).await,
        Command::Grant(command) => Box::pin(command.run(&mut context)).await,
        Command::Grants(command) => Box::pin(command.run(&mut context)).await,
        Command::Approve(command) => Box::pin(command.run(&mut context)).await,
        Command::Access(command) => Box::pin(command.run(&mut context)).await,
        Command::BreakGlass(command) => Box::pin(command.run(&mut context)).await,
        Command::Revoke(command) => Box::pin(command.run(&mut context)).await,
        Command::Block(command) => Box::pin(command.run(&mut context)).await,
        Command::Unblock(command) => Box::pin(command.run(&mut context)).await,
        Command::Token(command) => Box::pin(command.run(&mut context)).await,
        Command::Audit(command) => Box::pin(command.run(&mut context)).await,
        Command::Login(command) => Box::pin(command.run(&mut context)).await,
        Command::Account(command) => Box::pin(command.run(&mut context)).await,
        Command::Schema(command) => command.run(&mut context),
    };
    match ended {
        Ok(code) => code,
        Err(failure) => report(&failure, json, &mut context),
    }
}

fn report(failure: &Failure, json: bool, context: &mut Context<'_>) -> u8 {
    let code = failure.code();
    if failure.is_reader_gone() {
        // `ambit tools | head` has seen enough.
        return code;
    }
    let written = if json {
        let problems = failure.problems();
        let value = if problems.is_empty() {
            json!({ "error": failure.to_string() })
        } else {
            json!({ "error": "the configuration is not usable", "problems": problems })
        };
        writeln!(context.out, "{value}")
    } else {
        writeln!(context.err, "{failure}")
    };
    // Nobody is left to tell when the stream is gone.
    if written.is_ok() { code } else { code.max(1) }
}
