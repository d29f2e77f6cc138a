//! The trail as it lies on a disk, read the way a stranger would: intents and outcomes, by request and by trace.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use ambit_trail::{Files, Reader, UNKNOWN_RESULT};
use serde_json::Value;

use crate::person::trace_id;

/// Every event of a trail.
pub struct Records {
    pub events: Vec<Value>,
}

impl Records {
    /// Reads the trail of a directory.
    pub fn read(files: impl Files, directory: &Path) -> Self {
        let files: Arc<dyn Files> = Arc::new(files);
        let mut reader = Reader::open(files, directory, 0).unwrap();
        let mut events = Vec::new();
        while let Some(stored) = reader.next().unwrap() {
            events.push(serde_json::from_slice(&stored.bytes).unwrap());
        }
        Self { events }
    }

    pub fn of(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.events.iter().filter(move |event| event["event"] == kind)
    }

    /// The intent of a numbered call.
    pub fn intent(&self, number: u64) -> Option<&Value> {
        let trace = trace_id(number);
        self.of("intent").find(|intent| intent["trace"] == *trace)
    }

    /// The outcome of a numbered call.
    pub fn outcome(&self, number: u64) -> Option<&Value> {
        let request = &self.intent(number)?["request"];
        self.of("outcome").find(|outcome| outcome["request"] == *request)
    }

    /// The traces of all intents, and those of them that have an outcome.
    pub fn traces(&self) -> (BTreeSet<&str>, BTreeSet<&str>) {
        let closed: BTreeSet<_> = self.of("outcome").filter_map(|outcome| outcome["request"].as_str()).collect();
        let mut intended = BTreeSet::new();
        let mut ended = BTreeSet::new();
        for intent in self.of("intent") {
            let trace = intent["trace"].as_str().unwrap();
            assert!(intended.insert(trace), "one call has one intent: {trace}");
            if closed.contains(intent["request"].as_str().unwrap()) {
                ended.insert(trace);
            }
        }
        (intended, ended)
    }

    /// Holds every intent to exactly one outcome, and returns those that nobody knows the end of.
    pub fn unknown(&self) -> Vec<&Value> {
        let mut outcomes: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for outcome in self.of("outcome") {
            outcomes.entry(outcome["request"].as_str().unwrap()).or_default().push(outcome);
        }
        let mut unknown = Vec::new();
        for intent in self.of("intent") {
            let ends = outcomes.get(intent["request"].as_str().unwrap()).map(Vec::as_slice).unwrap_or_default();
            assert_eq!(ends.len(), 1, "exactly one outcome: {intent} {ends:?}");
            if ends[0]["result"] == UNKNOWN_RESULT {
                assert_eq!(ends[0]["executed"], "unknown");
                unknown.push(intent);
            }
        }
        unknown
    }
}
