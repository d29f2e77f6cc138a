//! `ambit audit tail` and `ambit audit search`: records for people, one a line; for scripts, the events as they are stored.

use std::{sync::Arc, time::Duration};

use ambit_model::ids::{Millis, UserKey};
use ambit_store::trail_index::Query;
use ambit_trail::{Disk, Reader, Stored, search, tail};
use clap::Args;
use serde_json::{Value, json};

use crate::{
    commands::{Context, DONE, Ended, Failure, grant::instant, view},
    config::quantity::instant_text,
};

/// How often new records are looked for.
const FOLLOW_EVERY: Duration = Duration::from_millis(300);

/// Show the latest records.
#[derive(Args, Debug)]
#[command(after_help = "Example: ambit audit tail -n 20 --follow")]
pub(super) struct Tail {
    /// How many records.
    #[arg(short = 'n', long = "last", value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u64).range(0..=100_000))]
    last: u64,
    /// Go on with those that follow, until interrupted. With `--json`, one event a line.
    #[arg(short, long)]
    follow: bool,
}

/// Find records by person, agent, client, tool, endpoint, decision and time. Records of the last second may be missing.
#[derive(Args, Debug)]
#[command(after_help = "Example: ambit audit search --user alice --decision hidden --from 2026-11-01")]
pub(super) struct Search {
    /// The person: a local account, or `issuer:subject`.
    #[arg(long, value_parser = UserKey::parse)]
    user: Option<UserKey>,
    /// The agent.
    #[arg(long)]
    agent: Option<String>,
    /// The client.
    #[arg(long)]
    client: Option<String>,
    /// The tool, as `SERVER/TOOL`.
    #[arg(long)]
    tool: Option<String>,
    /// The endpoint's slug.
    #[arg(long)]
    endpoint: Option<String>,
    /// The outcome: `allow`, `hidden`, `needs-scope`, `needs-approval` or `refused`.
    #[arg(long, value_parser = ["allow", "hidden", "needs-scope", "needs-approval", "refused"])]
    decision: Option<String>,
    /// Not before, such as `2026-11-01` or `2026-11-01T12:00:00Z`.
    #[arg(long, value_name = "DATE", value_parser = instant)]
    from: Option<Millis>,
    /// Not after.
    #[arg(long, value_name = "DATE", value_parser = instant)]
    until: Option<Millis>,
    /// The latest so many.
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

impl Tail {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Ended {
        let directory = context.resolved()?.trail_dir();
        let last = self.last;
        let read = tokio::task::spawn_blocking(move || tail(Arc::new(Disk), &directory, last)).await;
        let (records, reader) = read.map_err(Failure::because)?.map_err(Failure::because)?;
        if !self.follow {
            print(&records, context)?;
            return Ok(DONE);
        }
        for record in &records {
            line(record, context)?;
        }
        follow(reader, context).await
    }
}

/// Prints what comes until the process is interrupted or the reader of the output is gone.
async fn follow(mut reader: Reader, context: &mut Context<'_>) -> Ended {
    let interrupted = tokio::signal::ctrl_c();
    let mut interrupted = std::pin::pin!(interrupted);
    loop {
        while let Some(record) = reader.next().map_err(Failure::because)? {
            line(&record, context)?;
        }
        context.out.flush()?;
        tokio::select! {
            _ = &mut interrupted => return Ok(DONE),
            () = tokio::time::sleep(FOLLOW_EVERY) => {}
        }
    }
}

impl Search {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Ended {
        let resolved = context.resolved()?;
        let Some(store) = view::store_if_any(&resolved).await? else {
            return Err(Failure::Refused(format!(
                "there is no store at `{}` yet, so nothing to search",
                resolved.store
            )));
        };
        let query = Query {
            subject: self.user.as_ref().map(UserKey::to_string),
            agent: self.agent,
            client: self.client,
            tool: self.tool,
            endpoint: self.endpoint,
            decision: self.decision,
            from_ms: self.from,
            to_ms: self.until,
            ..Query::default()
        };
        let most = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let found = search(Arc::new(Disk), &resolved.trail_dir(), &store, &query, most).await;
        store.close().await;
        let found = found.map_err(Failure::because)?;
        if found.records.is_empty() && !context.common.json {
            context.note("no record fits; those of the last seconds are in `ambit audit tail` alone")?;
        } else {
            print(&found.records, context)?;
        }
        if found.is_cut {
            context.note(&format!("there may be older ones: raise `--limit` above {most}, or narrow the search"))?;
        }
        for (node, bundles) in &found.elsewhere {
            context.note(&format!("node `{node}` may hold more ({bundles} bundles): search there too"))?;
        }
        Ok(DONE)
    }
}

fn print(records: &[Stored], context: &mut Context<'_>) -> Result<(), Failure> {
    let values: Vec<_> = records.iter().map(event).collect();
    let lines: Vec<_> = values.iter().map(in_words).collect();
    context.print(&values, &lines.join("\n"))
}

fn line(record: &Stored, context: &mut Context<'_>) -> Result<(), Failure> {
    let event = event(record);
    if context.common.json {
        writeln!(context.out, "{event}")?;
    } else {
        writeln!(context.out, "{}", in_words(&event))?;
    }
    Ok(())
}

/// The event with the number of its record.
fn event(record: &Stored) -> Value {
    let event: Value = serde_json::from_slice(&record.bytes).unwrap_or_else(|_| json!({ "event": "unreadable" }));
    json!({ "leaf": record.leaf, "event": event })
}

/// `time #leaf kind  who  what  how it ended`.
fn in_words(record: &Value) -> String {
    let event = &record["event"];
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let at = event.get("at").and_then(Value::as_i64).map(instant_text).unwrap_or_default();
    let leaf = &record["leaf"];
    let kind = text("/event");
    let who = || {
        let parts = [text("/who/user"), text("/who/agent"), text("/who/client")];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" + ")
    };
    let target = || match (text("/target/server"), text("/target/tool")) {
        ("", "") if text("/asked").is_empty() => String::new(),
        ("", "") => "(no such tool)".to_owned(),
        (server, tool) => format!("{server}/{tool}"),
    };
    let rest: Vec<String> = match kind {
        "act" => vec![text("/by").into(), text("/act").into(), text("/subject").into(), text("/reason").into()],
        "rollup" => {
            let count = event.get("count").and_then(Value::as_u64).unwrap_or_default();
            let caller = [text("/subject"), text("/agent"), text("/client")];
            let [subject, agent, client] = caller;
            let of = [text("/source"), text("/endpoint"), subject, agent, client, text("/reason")];
            [format!("{count} refused")].into_iter().chain(of.map(ToOwned::to_owned)).collect()
        }
        "evaluation" => {
            let about = [text("/about/user"), text("/about/agent"), text("/about/client")];
            let about = about.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" + ");
            let about = if about.is_empty() { about } else { format!("about {about}") };
            let decision = [text("/decision/outcome"), text("/result")].map(ToOwned::to_owned);
            let what = [text("/request").to_owned(), who(), about, text("/action").to_owned(), target()];
            what.into_iter().chain(decision).collect()
        }
        _ => vec![
            text("/request").into(),
            who(),
            text("/method").into(),
            target(),
            text("/decision/outcome").into(),
            text("/result").into(),
            text("/executed").into(),
        ],
    };
    let rest: Vec<_> = rest.into_iter().filter(|part| !part.is_empty()).map(|part| shown(&part)).collect();
    format!("{at}  #{leaf}  {kind}  {}", rest.join("  ")).trim_end().to_owned()
}

/// Names that callers chose are part of a record: they must not steer a terminal.
fn shown(text: &str) -> String {
    super::super::tools::clean(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_whatever_it_holds() {
        let intent = json!({"leaf": 3, "event": {
            "event": "intent", "at": 0, "request": "r", "method": "tools/call",
            "who": {"user": "local:alice", "client": "app\u{1b}[2J"},
            "target": {"server": "mux", "tool": "get-asset"}, "decision": {"outcome": "allow"},
        }});
        assert_eq!(
            in_words(&intent),
            "1970-01-01T00:00:00Z  #3  intent  r  local:alice + app·[2J  tools/call  mux/get-asset  allow"
        );
        let act = json!({"leaf": 4, "event": {"event": "act", "at": 0, "by": "operator:root", "act": "block", "subject": "user local:bob"}});
        assert_eq!(in_words(&act), "1970-01-01T00:00:00Z  #4  act  operator:root  block  user local:bob");
        let rollup = json!({"leaf": 6, "event": {
            "event": "rollup", "at": 0, "endpoint": "login", "source": "192.0.2.0/24", "subject": "user local:bob",
            "reason": "login_failed", "count": 7,
        }});
        assert_eq!(
            in_words(&rollup),
            "1970-01-01T00:00:00Z  #6  rollup  7 refused  192.0.2.0/24  login  user local:bob  login_failed"
        );
        let evaluation = json!({"leaf": 7, "event": {
            "event": "evaluation", "at": 0, "request": "r", "who": {"user": "local:svc", "client": "pep"},
            "about": {"user": "local:alice", "client": "app"}, "action": "tools/call",
            "target": {"server": "mux", "tool": "get-asset"}, "decision": {"outcome": "refused"}, "allowed": false,
            "result": "bad_arguments",
        }});
        assert_eq!(
            in_words(&evaluation),
            "1970-01-01T00:00:00Z  #7  evaluation  r  local:svc + pep  about local:alice + app  tools/call  \
             mux/get-asset  refused  bad_arguments"
        );
        assert_eq!(in_words(&json!({"leaf": 5, "event": {"event": "unreadable"}})), "  #5  unreadable");
    }
}
