//! Counters of the corridor and the state it stands on, as Prometheus text. Every label is one of a closed set, or the name
//! of a server in the snapshot: nothing a client invents, a tool name included, makes a new series.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ambit_live::{Live, Mode};
use ambit_model::{event::Executed, ids::ServerSlug};

use crate::{
    answer::{LISTENING, Note},
    parse::Method,
};

/// Upper bounds of the latency buckets, in microseconds.
const BUCKETS: [u64; 10] = [500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 2_500_000, 30_000_000];

/// How requests end, for counting.
const ENDS: [&str; 4] = ["ok", "refused", "failed", "cancelled"];

pub(crate) struct Metrics {
    methods: [PerMethod; Method::ALL.len()],
    /// Questions to the decision point: those with a no, those with a yes.
    evaluations: [AtomicU64; 2],
    /// By reason. Reasons are static words of this program, so there are few.
    refused: Mutex<BTreeMap<&'static str, u64>>,
    /// By server and kind. Servers are declared, and kinds are static words of this program.
    upstream_failures: Mutex<BTreeMap<(ServerSlug, &'static str), u64>>,
    /// By rule. Rules are declared, and `none` stands for facts.
    broken_rules: Mutex<BTreeMap<String, u64>>,
}

/// What the counters stand on, at the moment of asking.
struct State {
    trail_writable: bool,
    store_reachable: bool,
    mode: &'static str,
    revision: u64,
    /// Servers that are left alone because they do not answer.
    resting: Vec<ServerSlug>,
    /// Streams to clients.
    streams: usize,
}

/// The words of [`Mode`].
const MODES: [&str; 3] = ["normal", "reads_only", "refuse"];

impl State {
    fn of(live: &Live, resting: Vec<ServerSlug>, streams: usize) -> Self {
        let [normal, reads_only, refuse] = MODES;
        Self {
            trail_writable: live.recorder().trail().is_writable(),
            store_reachable: live.store().is_reachable(),
            mode: match live.mode() {
                Mode::Normal => normal,
                Mode::ReadsOnly(_) => reads_only,
                Mode::Refuse(_) => refuse,
            },
            revision: live.current().revision,
            resting,
            streams,
        }
    }

    /// Those of one number: name, help, value.
    fn gauges(&self) -> [(&'static str, &'static str, u64); 4] {
        [
            (
                "ambit_trail_writable",
                "Whether the trail takes records; without it nothing runs.",
                u64::from(self.trail_writable),
            ),
            (
                "ambit_store_reachable",
                "Whether the store answered when it was last asked.",
                u64::from(self.store_reachable),
            ),
            ("ambit_snapshot_revision", "The revision that requests see.", self.revision),
            (
                "ambit_streams",
                "Streams on which clients wait for changes.",
                u64::try_from(self.streams).unwrap_or(u64::MAX),
            ),
        ]
    }
}

#[derive(Default)]
struct PerMethod {
    ends: [AtomicU64; ENDS.len()],
    buckets: [AtomicU64; BUCKETS.len()],
    count: AtomicU64,
    micros: AtomicU64,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            methods: Default::default(),
            evaluations: Default::default(),
            refused: Mutex::default(),
            upstream_failures: Mutex::default(),
            broken_rules: Mutex::default(),
        }
    }

    /// Counts a refusal of nobody in particular.
    pub(crate) fn refused(&self, reason: &'static str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let count = refused.entry(reason).or_default();
        *count = count.saturating_add(1);
    }

    /// Counts a question to the decision point.
    pub(crate) fn evaluated(&self, allowed: bool) {
        if let Some(count) = self.evaluations.get(usize::from(allowed)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a call that got no answer from its server.
    pub(crate) fn upstream_failed(&self, server: &ServerSlug, kind: &'static str) {
        let mut failures = self.upstream_failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry((server.clone(), kind)).or_default();
        *count = count.saturating_add(1);
    }

    /// Counts decisions that deny because these rules could not be evaluated.
    pub(crate) fn rules_broke(&self, rules: &[String]) {
        let mut broken = self.broken_rules.lock().unwrap_or_else(PoisonError::into_inner);
        // Without a name it was no rule but a fact that the engine refused.
        let names = if rules.is_empty() { &["none".to_owned()] } else { rules };
        for rule in names {
            let count = broken.entry(rule.clone()).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// Counts a request whose record was closed.
    pub(crate) fn closed(&self, method: Method, note: &Note, took: Duration) {
        let at = Method::ALL.iter().position(|known| *known == method).unwrap_or_default();
        let Some(counts) = self.methods.get(at) else { return };
        let end = match (note.result, note.executed) {
            ("cancelled", _) => 3,
            (_, Executed::Yes) => usize::from(!note.is_ok()) * 2,
            ("ok" | "accepted" | "session_ended" | LISTENING, Executed::No) => 0,
            (_, Executed::No) => 1,
            (_, Executed::Unknown) => 2,
        };
        if let Some(count) = counts.ends.get(end) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = BUCKETS.iter().position(|bound| micros <= *bound).and_then(|at| counts.buckets.get(at)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        counts.count.fetch_add(1, Ordering::Relaxed);
        counts.micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(crate) fn to_text(&self, live: &Live, resting: Vec<ServerSlug>, streams: usize) -> String {
        let mut out = String::with_capacity(8192);
        let servers = &live.current().deployment.servers;
        self.write(&mut out, &State::of(live, resting, streams), &|server| servers.contains_key(server));
        out
    }

    fn write(&self, out: &mut String, state: &State, is_declared: &dyn Fn(&ServerSlug) -> bool) {
        // Writing to a string cannot fail.
        let mut line = |text: std::fmt::Arguments<'_>| {
            let _ = out.write_fmt(text);
            out.push('\n');
        };
        line(format_args!("# HELP ambit_requests_total Requests of verified callers, by how they ended."));
        line(format_args!("# TYPE ambit_requests_total counter"));
        for (method, counts) in Method::ALL.iter().zip(&self.methods) {
            for (end, count) in ENDS.iter().zip(&counts.ends) {
                let (method, count) = (method.metric(), count.load(Ordering::Relaxed));
                line(format_args!("ambit_requests_total{{method=\"{method}\",end=\"{end}\"}} {count}"));
            }
        }
        line(format_args!("# HELP ambit_request_seconds From the first byte in to the record of the outcome."));
        line(format_args!("# TYPE ambit_request_seconds histogram"));
        for (method, counts) in Method::ALL.iter().zip(&self.methods) {
            let method = method.metric();
            let mut below = 0_u64;
            for (bound, count) in BUCKETS.iter().zip(&counts.buckets) {
                below = below.saturating_add(count.load(Ordering::Relaxed));
                let seconds = Duration::from_micros(*bound).as_secs_f64();
                line(format_args!("ambit_request_seconds_bucket{{method=\"{method}\",le=\"{seconds}\"}} {below}"));
            }
            let count = counts.count.load(Ordering::Relaxed);
            let seconds = Duration::from_micros(counts.micros.load(Ordering::Relaxed)).as_secs_f64();
            line(format_args!("ambit_request_seconds_bucket{{method=\"{method}\",le=\"+Inf\"}} {count}"));
            line(format_args!("ambit_request_seconds_sum{{method=\"{method}\"}} {seconds}"));
            line(format_args!("ambit_request_seconds_count{{method=\"{method}\"}} {count}"));
        }
        line(format_args!("# HELP ambit_evaluations_total Questions that the decision point answered."));
        line(format_args!("# TYPE ambit_evaluations_total counter"));
        for (decision, count) in ["false", "true"].iter().zip(&self.evaluations) {
            let count = count.load(Ordering::Relaxed);
            line(format_args!("ambit_evaluations_total{{decision=\"{decision}\"}} {count}"));
        }
        line(format_args!(
            "# HELP ambit_refused_total Requests refused before there was anything to judge, by reason."
        ));
        line(format_args!("# TYPE ambit_refused_total counter"));
        for (reason, count) in self.refused.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            line(format_args!("ambit_refused_total{{reason=\"{reason}\"}} {count}"));
        }
        line(format_args!("# HELP ambit_upstream_failures_total Calls that got no answer, by server and kind."));
        line(format_args!("# TYPE ambit_upstream_failures_total counter"));
        let failures = self.upstream_failures.lock().unwrap_or_else(PoisonError::into_inner);
        for ((server, kind), count) in failures.iter().filter(|((server, _), _)| is_declared(server)) {
            line(format_args!("ambit_upstream_failures_total{{server=\"{server}\",kind=\"{kind}\"}} {count}"));
        }
        line(format_args!("# HELP ambit_rule_errors_total Decisions that deny because a rule could not be evaluated."));
        line(format_args!("# TYPE ambit_rule_errors_total counter"));
        for (rule, count) in self.broken_rules.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            line(format_args!("ambit_rule_errors_total{{rule=\"{rule}\"}} {count}"));
        }
        line(format_args!("# HELP ambit_breaker_open Servers whose calls are refused because it does not answer."));
        line(format_args!("# TYPE ambit_breaker_open gauge"));
        for server in state.resting.iter().filter(|server| is_declared(server)) {
            line(format_args!("ambit_breaker_open{{server=\"{server}\"}} 1"));
        }
        for (name, help, value) in state.gauges() {
            line(format_args!("# HELP {name} {help}"));
            line(format_args!("# TYPE {name} gauge"));
            line(format_args!("{name} {value}"));
        }
        line(format_args!("# HELP ambit_mode What the node does while store or trail are down."));
        line(format_args!("# TYPE ambit_mode gauge"));
        for mode in MODES {
            line(format_args!("ambit_mode{{mode=\"{mode}\"}} {}", u8::from(mode == state.mode)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_is_counted_once_and_under_its_method() {
        let metrics = Metrics::new();
        let took = Duration::from_micros(700);
        metrics.closed(Method::CallTool, &Note { executed: Executed::Yes, ..Note::of("ok") }, took);
        metrics.closed(Method::CallTool, &Note { executed: Executed::Yes, ..Note::of("tool_error") }, took);
        metrics.closed(Method::CallTool, &Note { executed: Executed::Unknown, ..Note::of("timeout") }, took);
        metrics.closed(Method::CallTool, &Note::of("unknown_tool"), took);
        metrics.closed(Method::CallTool, &Note::of("cancelled"), took);
        metrics.closed(Method::ListTools, &Note::of("ok"), took);
        metrics.closed(Method::Listen, &Note::of(LISTENING), took);
        metrics.evaluated(true);
        metrics.refused("token_absent");
        metrics.rules_broke(&["night".to_owned()]);
        metrics.rules_broke(&[]);
        let (api, gone) = (ServerSlug::parse("api").unwrap(), ServerSlug::parse("gone").unwrap());
        for server in [&api, &api, &gone] {
            metrics.upstream_failed(server, "timeout");
        }
        let (mode, resting) = ("reads_only", vec![api.clone(), gone.clone()]);
        let state = State { trail_writable: true, store_reachable: false, mode, revision: 7, resting, streams: 3 };
        let mut text = String::new();
        metrics.write(&mut text, &state, &|server| *server == api);
        for line in [
            r#"ambit_requests_total{method="tools/call",end="ok"} 1"#,
            r#"ambit_requests_total{method="tools/call",end="failed"} 2"#,
            r#"ambit_requests_total{method="tools/call",end="refused"} 1"#,
            r#"ambit_requests_total{method="tools/call",end="cancelled"} 1"#,
            r#"ambit_requests_total{method="tools/list",end="ok"} 1"#,
            r#"ambit_requests_total{method="subscriptions/listen",end="ok"} 1"#,
            r#"ambit_request_seconds_bucket{method="tools/call",le="0.001"} 5"#,
            r#"ambit_request_seconds_count{method="tools/call"} 5"#,
            r#"ambit_evaluations_total{decision="false"} 0"#,
            r#"ambit_evaluations_total{decision="true"} 1"#,
            r#"ambit_refused_total{reason="token_absent"} 1"#,
            r#"ambit_rule_errors_total{rule="night"} 1"#,
            r#"ambit_rule_errors_total{rule="none"} 1"#,
            r#"ambit_upstream_failures_total{server="api",kind="timeout"} 2"#,
            r#"ambit_breaker_open{server="api"} 1"#,
            "ambit_trail_writable 1",
            "ambit_store_reachable 0",
            "ambit_snapshot_revision 7",
            "ambit_streams 3",
            r#"ambit_mode{mode="normal"} 0"#,
            r#"ambit_mode{mode="reads_only"} 1"#,
        ] {
            assert!(text.lines().any(|written| written == line), "{line}\n{text}");
        }
        assert!(!text.contains("gone"), "a server that is not declared any more has no series");
    }
}
