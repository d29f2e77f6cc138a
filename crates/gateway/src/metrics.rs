//! Counters of the corridor, as Prometheus text. Every label is one of a closed set: nothing a client invents, a tool name
//! included, makes a new series.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ambit_model::event::Executed;

use crate::{answer::Note, parse::Method};

/// Upper bounds of the latency buckets, in microseconds.
const BUCKETS: [u64; 10] = [500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 2_500_000, 30_000_000];

/// How requests end, for counting.
const ENDS: [&str; 4] = ["ok", "refused", "failed", "cancelled"];

pub(crate) struct Metrics {
    methods: [PerMethod; Method::ALL.len()],
    /// By reason. Reasons are static words of this program, so there are few.
    refused: Mutex<BTreeMap<&'static str, u64>>,
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
        Self { methods: Default::default(), refused: Mutex::default() }
    }

    /// Counts a refusal of nobody in particular.
    pub(crate) fn refused(&self, reason: &'static str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let count = refused.entry(reason).or_default();
        *count = count.saturating_add(1);
    }

    /// Counts a request whose record was closed.
    pub(crate) fn closed(&self, method: Method, note: &Note, took: Duration) {
        let at = Method::ALL.iter().position(|known| *known == method).unwrap_or_default();
        let Some(counts) = self.methods.get(at) else { return };
        let end = match (note.result, note.executed) {
            ("cancelled", _) => 3,
            (_, Executed::Yes) => usize::from(!note.is_ok()) * 2,
            ("ok" | "accepted" | "session_ended", Executed::No) => 0,
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

    pub(crate) fn to_text(&self) -> String {
        let mut out = String::with_capacity(4096);
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        // Writing to a string cannot fail.
        let mut line = |text: std::fmt::Arguments<'_>| {
            let _ = out.write_fmt(text);
            out.push('\n');
        };
        line(format_args!("# TYPE ambit_requests_total counter"));
        for (method, counts) in Method::ALL.iter().zip(&self.methods) {
            for (end, count) in ENDS.iter().zip(&counts.ends) {
                let (method, count) = (method.metric(), count.load(Ordering::Relaxed));
                line(format_args!("ambit_requests_total{{method=\"{method}\",end=\"{end}\"}} {count}"));
            }
        }
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
        line(format_args!("# TYPE ambit_refused_total counter"));
        for (reason, count) in self.refused.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            line(format_args!("ambit_refused_total{{reason=\"{reason}\"}} {count}"));
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
        metrics.refused("token_absent");
        let text = metrics.to_text();
        for line in [
            r#"ambit_requests_total{method="tools/call",end="ok"} 1"#,
            r#"ambit_requests_total{method="tools/call",end="failed"} 2"#,
            r#"ambit_requests_total{method="tools/call",end="refused"} 1"#,
            r#"ambit_requests_total{method="tools/call",end="cancelled"} 1"#,
            r#"ambit_requests_total{method="tools/list",end="ok"} 1"#,
            r#"ambit_request_seconds_bucket{method="tools/call",le="0.001"} 5"#,
            r#"ambit_request_seconds_count{method="tools/call"} 5"#,
            r#"ambit_refused_total{reason="token_absent"} 1"#,
        ] {
            assert!(text.lines().any(|written| written == line), "{line}\n{text}");
        }
    }
}
