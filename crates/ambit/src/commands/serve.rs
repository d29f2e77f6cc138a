//! `ambit serve`: from the command line to the wiring in [`crate::serve`].

use std::net::SocketAddr;

use clap::Args;

use super::{Context, DEFAULT_FILE, DONE, Ended, Failure};
use crate::{
    config::{self, Overrides, Resolved},
    serve,
};

/// Serve the published endpoints.
#[derive(Args, Debug)]
#[command(after_help = "Example: ambit serve --config ambit.toml")]
pub struct Serve {
    /// The address to listen on, in place of the configured one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// This node's name in a fleet, in place of the configured one.
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Apply this configuration to a store that another one is applied to.
    #[arg(long)]
    apply_config: bool,
    /// What is logged: `error`, `warn`, `info`, `debug`, or a filter such as `ambit=debug`.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log: String,
}

impl Serve {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Ended {
        self.start_log(context.common.json)?;
        let resolved = match context.resolved_if_any()? {
            Some(resolved) => resolved,
            None => empty(context)?,
        };
        let resolved =
            resolved.overridden(Overrides { listen: self.listen, node: self.node.clone(), ..context.overrides() });
        for warning in resolved.warnings.clone() {
            context.note(&warning.to_string())?;
        }
        config::secrets::spendables(&resolved)?;
        let next = next_steps(&resolved);
        let failed = |error: anyhow::Error| Failure::Refused(format!("{error:#}"));
        let shutdown = serve::signals::shutdown().map_err(failed)?;
        let start =
            serve::Start { apply_config: self.apply_config, clock: context.clock.clone(), ..serve::Start::default() };
        let ready = serve::prepare(resolved, start).await.map_err(failed)?;
        writeln!(context.out, "listening on http://{}\n{next}", ready.address())?;
        context.out.flush()?;
        ready.run(shutdown).await.map_err(failed)?;
        Ok(DONE)
    }

    /// Logs go to standard error; as JSON lines with `--json`.
    fn start_log(&self, json: bool) -> Result<(), Failure> {
        let filter = tracing_subscriber::EnvFilter::try_new(&self.log)
            .map_err(|error| Failure::Usage(format!("`--log {}` is no filter: {error}", self.log)))?;
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        let started = if json { log.json().try_init() } else { log.try_init() };
        // Somebody who embeds this has a log of their own.
        drop(started);
        Ok(())
    }
}

fn empty(context: &mut Context<'_>) -> Result<Resolved, Failure> {
    let here = std::env::current_dir().map_err(Failure::because)?;
    Ok(config::empty(&here, context.clock.now())?)
}

/// What somebody who just started it wants to know.
fn next_steps(resolved: &Resolved) -> String {
    let deployment = &resolved.deployment;
    if deployment.endpoints.is_empty() {
        return format!(
            "nothing is published yet. What to do next:\n\
             1. write `{DEFAULT_FILE}`: `[servers.NAME]` with an OpenAPI document or an MCP URL, `[[endpoints]]` with its path \
             (`ambit schema` prints what may stand there)\n\
             2. look at the tools and accept them: `ambit tools --server NAME`, `ambit tools accept NAME`\n\
             3. declare `[accounts.YOU]`, `[toolsets.NAME]`, `[[grants]]` and `[clients.default]`\n\
             4. check it with `ambit check` and start again with `ambit serve --config {DEFAULT_FILE}`"
        );
    }
    let mut lines: Vec<String> = deployment
        .endpoints
        .iter()
        .map(|endpoint| format!("{}: {}  (paste this URL into an AI client)", endpoint.title, endpoint.resource))
        .collect();
    if resolved.lock.iter().next().is_none() {
        let servers: Vec<_> = deployment.servers.keys().map(ToString::to_string).collect();
        lines.push(format!("no tool is accepted yet, so none is shown: `ambit tools accept {}`", servers.join(" ")));
    }
    if !deployment.accounts.is_empty() {
        lines.push("passwords are set through one-time links: `ambit account link NAME`".to_owned());
    }
    lines.join("\n")
}
