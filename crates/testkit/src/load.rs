//! A closed-loop load: each connection sends the same request again as soon as its answer is there.
//!
//! It checks every answer for a text the caller names, so that a fast refusal never counts as a call, and talks to loopback only.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use bytes::BytesMut;
use serde::Serialize;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::JoinSet};

use crate::wire;

/// What to send, how often, for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where; loopback only.
    pub address: SocketAddr,
    /// The whole request as it goes on the wire.
    pub request: Vec<u8>,
    /// What a good answer's body contains.
    pub expect: String,
    /// How many connections at once.
    pub connections: usize,
    /// How long answers count.
    pub measured: Duration,
    /// How long the load runs before that.
    pub warm_up: Duration,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Good answers in the measured time.
    pub calls: u64,
    /// Answers without the expected text; their first is in `first_bad`.
    pub bad: u64,
    /// The first bad answer, cut to 600 characters.
    pub first_bad: Option<String>,
    /// Good answers per second.
    pub rps: f64,
    /// Median time from first byte sent to last byte read, in milliseconds.
    pub p50_ms: f64,
    /// The same, for all but one in a hundred.
    pub p99_ms: f64,
    /// The measured time in seconds, as it really was.
    pub seconds: f64,
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    latencies_us: Vec<u32>,
    bad: u64,
    first_bad: Option<String>,
}

/// Runs the load to its end. `on_measure` is told when the measured time begins and when it ends.
///
/// # Errors
/// The address is not loopback, a connection broke, or nothing was answered.
pub async fn run(plan: &Plan, mut on_measure: impl FnMut(Phase)) -> Result<Figures> {
    if !plan.address.ip().is_loopback() {
        bail!("`{}` is not loopback: a load goes nowhere else", plan.address);
    }
    let begin = Instant::now() + plan.warm_up;
    let end = begin + plan.measured;
    let mut connections = JoinSet::new();
    for _ in 0..plan.connections {
        connections.spawn(connection(plan.clone(), begin, end));
    }
    tokio::time::sleep_until(begin.into()).await;
    on_measure(Phase::Begin);
    tokio::time::sleep_until(end.into()).await;
    on_measure(Phase::End);
    let mut all = Seen::default();
    while let Some(seen) = connections.join_next().await {
        let seen = seen.context("a connection's task")??;
        all.latencies_us.extend(seen.latencies_us);
        all.bad += seen.bad;
        all.first_bad = all.first_bad.or(seen.first_bad);
    }
    Ok(all.figures(plan.measured))
}

/// The two instants a measurement lies between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Answers count from now on.
    Begin,
    /// They no longer do.
    End,
}

async fn connection(plan: Plan, begin: Instant, end: Instant) -> Result<Seen> {
    let mut stream = connect(plan.address).await?;
    let mut buffer = BytesMut::with_capacity(64 * 1024);
    let mut seen = Seen::default();
    loop {
        let sent = Instant::now();
        if sent >= end {
            return Ok(seen);
        }
        stream.write_all(&plan.request).await.context("send")?;
        let answer = wire::read_message(&mut stream, &mut buffer).await?.context("the connection closed unasked")?;
        let answered = Instant::now();
        let good = answer.start_line().starts_with("HTTP/1.1 200") && contains(&answer.body, plan.expect.as_bytes());
        if !good {
            seen.bad += 1;
            let text =
                || format!("{}{}", answer.head, String::from_utf8_lossy(&answer.body)).chars().take(600).collect();
            seen.first_bad.get_or_insert_with(text);
        } else if sent >= begin && answered <= end {
            seen.latencies_us.push(u32::try_from((answered - sent).as_micros()).unwrap_or(u32::MAX));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a development program that loads loopback is not the gateway's egress")]
async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn contains(body: &[u8], expect: &[u8]) -> bool {
    expect.is_empty() || body.windows(expect.len()).any(|window| window == expect)
}

impl Seen {
    fn figures(mut self, measured: Duration) -> Figures {
        self.latencies_us.sort_unstable();
        let calls = self.latencies_us.len();
        let quantile = |numerator: usize| {
            let position = (calls * numerator / 100).min(calls.saturating_sub(1));
            self.latencies_us.get(position).map_or(0.0, |us| f64::from(*us) / 1000.0)
        };
        let calls_counted = u32::try_from(calls).unwrap_or(u32::MAX);
        Figures {
            calls: u64::from(calls_counted),
            bad: self.bad,
            rps: f64::from(calls_counted) / measured.as_secs_f64(),
            p50_ms: quantile(50),
            p99_ms: quantile(99),
            seconds: measured.as_secs_f64(),
            first_bad: self.first_bad,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{Script, serve};

    fn plan(address: SocketAddr, expect: &str) -> Plan {
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}"#;
        let length = body.len();
        Plan {
            address,
            request: format!("POST /mcp HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes(),
            expect: expect.to_owned(),
            connections: 3,
            measured: Duration::from_millis(150),
            warm_up: Duration::from_millis(20),
        }
    }

    #[tokio::test]
    async fn answers_are_counted_and_refusals_are_not_calls() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve(listener, Script::new(1)));
        let mut phases = Vec::new();
        let figures = run(&plan(address, "structuredContent"), |phase| phases.push(phase)).await.unwrap();
        assert_eq!(phases, [Phase::Begin, Phase::End]);
        assert!(figures.calls > 0 && figures.bad == 0, "{figures:?}");
        assert!(figures.p50_ms > 0.0 && figures.p50_ms <= figures.p99_ms, "{figures:?}");
        let refused = run(&plan(address, "not in there"), |_| ()).await.unwrap();
        assert!(refused.calls == 0 && refused.bad > 0, "{refused:?}");
        server.abort();
    }

    #[tokio::test]
    async fn no_load_leaves_this_machine() {
        let error = run(&plan(([192, 0, 2, 1], 80).into(), ""), |_| ()).await.unwrap_err();
        assert!(error.to_string().contains("not loopback"));
    }
}
