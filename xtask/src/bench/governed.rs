//! What governing costs beside a call: one decision with constraints and rules, a list of a thousand narrowed tools, and the
//! decisions of a trail made again under other rules.

use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::requests::modern_list;
use crate::{
    gateway::Gateway,
    http,
    shell::{cargo, command, root, run},
};

/// How often a list is read again once it is there.
const AGAIN: usize = 20;

/// What is proposed in place of the rules that decided: other values of what they read, so that every decision is made.
const PROPOSED: &str = r#"@id("hours") forbid (principal, action in Action::"call", resource)
when { context.arguments has id && context.arguments.id == "item-0" && context.time.hour == 3 };
"#;

/// The figures.
#[derive(Debug, Clone, Copy)]
pub struct Governed {
    /// A decision made anew, with constraints: all but one in a hundred take less.
    pub decision_p99_us: f64,
    /// What a call asks once that is remembered: its arguments held to the constraints and the rules that read them.
    pub call_p99_us: f64,
    /// The first list of a caller: the median of several callers.
    pub list_cold_ms: f64,
    /// Any further one.
    pub list_warm_ms: f64,
    /// Decisions of a trail made again, in a second.
    pub replayed_per_second: f64,
    /// How many they were.
    pub replayed: f64,
}

/// Times of `tools/list`.
#[derive(Debug, Clone, Copy)]
pub struct Lists {
    cold_ms: f64,
    warm_ms: f64,
}

/// Times of decisions, as in [`Governed`].
#[derive(Debug, Clone, Copy)]
pub struct Decisions {
    decision_p99_us: f64,
    call_p99_us: f64,
}

/// Reads a list for the first time and again, for each of these users.
pub fn lists(gateway: &Gateway, users: impl Iterator<Item = String>, expect: &str) -> Result<Lists> {
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for user in users {
        let request = modern_list(gateway.address(), &gateway.token(&user, "/mcp")?);
        for round in 0..=AGAIN {
            let started = Instant::now();
            let answer = http::send(gateway.address(), &request)?;
            let took = started.elapsed();
            if !answer.body.contains(expect) {
                bail!(
                    "the list of `{user}` does not hold `{expect}`: {}",
                    answer.body.get(..400).unwrap_or(&answer.body)
                );
            }
            if round == 0 { cold.push(millis(took)) } else { warm.push(millis(took)) }
        }
    }
    Ok(Lists { cold_ms: super::report::median(cold), warm_ms: super::report::median(warm) })
}

/// Makes the decisions of a trail again, and puts everything together.
pub fn measure(lists: Lists, decisions: Decisions, ruled: &Gateway) -> Result<Governed> {
    let Decisions { decision_p99_us, call_p99_us } = decisions;
    let (replayed, seconds) = replay(ruled)?;
    Ok(Governed {
        decision_p99_us,
        call_p99_us,
        list_cold_ms: lists.cold_ms,
        list_warm_ms: lists.warm_ms,
        replayed_per_second: replayed / seconds,
        replayed,
    })
}

/// Builds what measures decisions. Before anything is measured: it keeps the machine busy for minutes.
pub fn build() -> Result<()> {
    run(&mut cargo(&["build", "--profile", "dist", "--package", "ambit-policy", "--example", "decide"])).map(drop)
}

/// Decides, in a process of its own. Before the load: what the gateways index after it would take part.
pub fn decisions() -> Result<Decisions> {
    let program = root().join("target/dist/examples/decide");
    let output = command(&program).arg("--judged").stderr(Stdio::inherit()).output()?;
    let figures: Value = serde_json::from_slice(&output.stdout).context("the figures of `decide`")?;
    let figure = |name: &str| figures[name].as_f64().with_context(|| format!("no `{name}` in {figures}"));
    Ok(Decisions { decision_p99_us: figure("decision_p99_us")?, call_p99_us: figure("call_p99_us")? })
}

/// How many decisions, and how long they took, the start of the program included.
fn replay(ruled: &Gateway) -> Result<(f64, f64)> {
    let proposed = ruled.folder().join("proposed");
    fs::create_dir_all(&proposed)?;
    fs::write(proposed.join("bench.cedar"), PROPOSED)?;
    let started = Instant::now();
    let found = ruled.run_json(&["simulate", "--since", "1d", "--policies", &proposed.display().to_string()])?;
    let seconds = started.elapsed().as_secs_f64();
    let decisions = found["decisions"].as_f64().context("no count of decisions")?;
    if decisions < 1.0 || found["undecided"].as_object().is_none_or(|undecided| !undecided.is_empty()) {
        bail!("the decisions of the trail were not all made again: {found}");
    }
    Ok((decisions, seconds))
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}
