//! `ambit serve`: from the command line to the wiring in [`crate::serve`].

use std::{io::IsTerminal as _, net::SocketAddr, sync::Arc};

use ambit_model::{operator::Actor, shown::says_something};
use ambit_store::accounts;
use ambit_trail::Acceptance;
use clap::Args;

use super::{Context, DEFAULT_FILE, DONE, Ended, Failure};
use crate::{
    config::{self, Overrides, Resolved},
    operator::{Act, OperatorContext, context::Reload, os_user::own_operator, perform},
    serve,
};

/// How many accounts get a link at the first start; the others with `ambit account link`.
const FIRST_LINKS: usize = 3;

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
    /// Start although records of the trail are missing that are known elsewhere. The reason is recorded.
    #[arg(long, value_name = "REASON")]
    accept_trail_loss: Option<String>,
    /// What is logged: `error`, `warn`, `info`, `debug`, or a filter such as `ambit=debug`.
    #[arg(long, value_name = "FILTER", default_value = "info,sqlx=warn")]
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
        has_a_name(&resolved)?;
        for warning in resolved.warnings.clone() {
            context.note(&warning.to_string())?;
        }
        config::secrets::spendables(&resolved)?;
        let next = next_steps(&resolved);
        let shutdown = serve::signals::shutdown().map_err(Failure::with_causes)?;
        let start = serve::Start {
            apply_config: self.apply_config,
            accept_trail_loss: accepted(self.accept_trail_loss.as_deref())?,
            clock: context.clock.clone(),
            ..serve::Start::default()
        };
        let ready = serve::prepare(resolved, start).await.map_err(Failure::with_causes)?;
        let links = first_links(&ready).await?;
        let greeting = writeln!(context.out, "listening on http://{}\n{next}{links}", ready.address());
        if let Err(error) = greeting.and_then(|()| context.out.flush()) {
            // Who started it may not want to read any further; that is no reason not to serve.
            tracing::debug!(%error, "nobody reads the greeting");
        }
        ready.run(shutdown).await.map_err(Failure::with_causes)?;
        Ok(DONE)
    }

    /// Logs go to standard error; as JSON lines with `--json`.
    fn start_log(&self, json: bool) -> Result<(), Failure> {
        let filter = tracing_subscriber::EnvFilter::try_new(&self.log)
            .map_err(|error| Failure::Usage(format!("`--log {}` is no filter: {error}", self.log)))?;
        let colours = std::io::stderr().is_terminal();
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
        let started = if json { log.json().try_init() } else { log.try_init() };
        // Somebody who embeds this has a log of their own.
        drop(started);
        Ok(())
    }
}

/// Who accepts the loss, in which words.
fn accepted(reason: Option<&str>) -> Result<Option<Acceptance>, Failure> {
    let Some(reason) = reason else { return Ok(None) };
    if !says_something(reason) {
        return Err(Failure::Usage("`--accept-trail-loss` needs a reason: it is what the trail will say".to_owned()));
    }
    Ok(Some(Acceptance { by: own_operator().to_string(), reason: reason.to_owned() }))
}

/// Two nodes of one name would hide each other's records in the shared index.
fn has_a_name(resolved: &Resolved) -> Result<(), Failure> {
    if !resolved.shares_its_store() || resolved.trail.node.is_some() {
        return Ok(());
    }
    Err(Failure::Usage(
        "the store can be shared, so this node needs a name of its own: set `--node NAME`, or `node` under `[trail]`"
            .to_owned(),
    ))
}

fn empty(context: &mut Context<'_>) -> Result<Resolved, Failure> {
    let here = std::env::current_dir().map_err(Failure::because)?;
    Ok(config::empty(&here, context.clock.now())?)
}

/// As long as nobody has a password, nobody can log in: the first accounts get a one-time link each.
async fn first_links(ready: &serve::Ready) -> Result<String, Failure> {
    let live = ready.live();
    let accounts = accounts::list(live.store()).await.map_err(Failure::because)?;
    if accounts.iter().any(|account| account.password_hash.is_some()) {
        return Ok(String::new());
    }
    let no_reload: Reload = Arc::new(|| Box::pin(async { Err("the server has not started yet".to_owned()) }));
    let operator = OperatorContext::serving(live.clone(), Arc::clone(ready.signing()), no_reload);
    let mut lines = String::new();
    for account in live.current().deployment.accounts.keys().take(FIRST_LINKS) {
        let link = perform(Act::AccountLink { account: account.clone() }, &Actor::Ambit, &operator).await;
        lines.push('\n');
        lines.push_str(&link.map_err(Failure::because)?.sentence);
    }
    Ok(lines)
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

#[cfg(test)]
mod tests {
    use ambit_store::StoreUrl;

    use super::*;

    #[test]
    fn a_node_on_a_shared_store_needs_a_name() {
        let mut resolved = config::empty(std::path::Path::new("/nowhere"), 0).unwrap();
        assert!(has_a_name(&resolved).is_ok());
        resolved.store = StoreUrl::parse("postgres://ambit@db/ambit").unwrap();
        assert!(matches!(has_a_name(&resolved), Err(Failure::Usage(_))));
        let named = resolved.overridden(Overrides { node: Some("one".into()), ..Overrides::default() });
        assert!(has_a_name(&named).is_ok());
    }

    #[test]
    fn a_loss_is_accepted_with_a_reason_and_a_name() {
        assert!(accepted(None).unwrap().is_none());
        assert!(matches!(accepted(Some(" ")), Err(Failure::Usage(_))));
        let acceptance = accepted(Some("the disk is gone")).unwrap().unwrap();
        assert!(acceptance.by.starts_with("operator:") && acceptance.reason == "the disk is gone");
    }

    #[test]
    fn whoever_starts_it_empty_is_told_what_to_do_next() {
        let resolved = config::empty(std::path::Path::new("/nowhere"), 0).unwrap();
        let next = next_steps(&resolved);
        for word in ["ambit.toml", "[[endpoints]]", "ambit tools accept", "ambit check", "[clients.default]"] {
            assert!(next.contains(word), "{word}: {next}");
        }
    }
}
