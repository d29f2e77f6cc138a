//! What the tests share: settings with small segments, events as the gateway writes them, a clock that stands still.

use std::{path::Path, sync::Arc, time::Duration};

use ambit_ledger::SigningKey;
use ambit_model::{
    Digest, Effect, Outcome,
    event::{Act, Decided, Event, Executed, Intent, OutcomeEvent, RequestId, Target, VERSION, Who},
    ids::Millis,
};

use crate::{
    Disk, Durability, Files, Keys, OpenError, Peek, Reader, Record, Settings, Stored, Trail, testing::FaultFiles,
};

pub(super) const NOW: Millis = 1_790_000_000_000;
pub(super) const DIRECTORY: &str = "/trail";
pub(super) const ORIGIN: &str = "ambit.example/trail/n1";

pub(super) fn key() -> SigningKey {
    SigningKey::from_seed(ORIGIN, &[11; 32]).unwrap()
}

pub(super) fn settings(directory: impl Into<std::path::PathBuf>) -> Settings {
    Settings { segment_bytes: 256 * 1024, ..Settings::new(directory, "n1", ORIGIN) }
}

/// Opens the trail on a disk that can fail.
pub(super) fn open(files: &FaultFiles) -> Trail {
    open_with(files, settings(DIRECTORY)).unwrap()
}

pub(super) fn open_with(files: &FaultFiles, settings: Settings) -> Result<Trail, OpenError> {
    Trail::open(settings, key(), files.clone(), || NOW)
}

/// Opens the trail on the real disk.
pub(super) fn open_disk(directory: &Path) -> Trail {
    Trail::open(settings(directory), key(), Disk, || NOW).unwrap()
}

/// A record with a text of its own.
pub(super) fn note(text: &str, durability: Durability) -> Record {
    let event = Event::Act(Act {
        v: VERSION,
        request: RequestId(1),
        at: NOW,
        by: "test",
        act: "note",
        subject: text,
        before: None,
        after: None,
        reason: None,
    });
    Record { bytes: event.to_bytes(), at: NOW, keys: Keys::of(&event), durability }
}

/// One call, as the gateway records it.
pub(super) struct Call {
    pub(super) request: u128,
    pub(super) user: &'static str,
    pub(super) client: &'static str,
    pub(super) tool: &'static str,
    pub(super) outcome: Outcome,
    pub(super) at: Millis,
}

impl Call {
    pub(super) fn by(request: u128, user: &'static str) -> Self {
        Self { request, user, client: "c1", tool: "get-asset", outcome: Outcome::Allow, at: NOW }
    }

    pub(super) fn intent(&self, durability: Durability) -> Record {
        let event = Event::Intent(Intent {
            v: VERSION,
            request: RequestId(self.request),
            at: self.at,
            endpoint: "default",
            protocol: "2026-07-28",
            method: "tools/call",
            who: Who {
                user: Some(self.user.into()),
                agent: None,
                client: self.client.into(),
                assurance: "confidential",
                actors: [].as_slice().into(),
                token: Digest::of(b"token"),
            },
            target: Target { server: "mux", tool: self.tool, definition: Digest::of(b"d"), effect: Effect::Read },
            arguments: Digest::of(b"arguments"),
            decision: Decided {
                outcome: self.outcome,
                policies: [].as_slice().into(),
                rules: Digest::of(b"rules"),
                revision: 3,
                failed: false,
                reported: [].as_slice().into(),
                caller: None,
                call: None,
            },
            credential: None,
            trace: None,
            approval: None,
            break_glass: None,
        });
        Record { bytes: event.to_bytes(), at: self.at, keys: Keys::of(&event), durability }
    }

    pub(super) fn outcome(&self, durability: Durability) -> Record {
        let event = Event::Outcome(OutcomeEvent {
            v: VERSION,
            request: RequestId(self.request),
            at: self.at + 5,
            endpoint: "default",
            protocol: None,
            method: None,
            who: None,
            target: None,
            asked: None,
            filler: None,
            decision: None,
            executed: Executed::Yes,
            result: "ok",
            code: None,
            upstream_status: Some(200),
            bytes_in: 100,
            bytes_out: 200,
            micros: 300,
            upstream_micros: Some(200),
            approval: None,
        });
        let keys = self.intent(durability).keys;
        Record { bytes: event.to_bytes(), at: self.at + 5, keys, durability }
    }
}

/// Appends one record and waits until it is done.
pub(super) async fn append(trail: &Trail, record: Record) -> u64 {
    trail.reserve(1).unwrap().append(record).await.unwrap()
}

/// Everything that can be read back.
pub(super) fn read_all(files: &FaultFiles) -> Vec<Stored> {
    read_from(Arc::new(files.clone()), Path::new(DIRECTORY))
}

pub(super) fn read_from(files: Arc<dyn Files>, directory: &Path) -> Vec<Stored> {
    let mut reader = Reader::open(files, directory, 0).unwrap();
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

/// What stands in a record, for comparing: an act's subject, else the kind of event.
pub(super) fn gist(stored: &Stored) -> String {
    let peek = Peek::read(&stored.bytes).unwrap();
    if peek.event == "act" { peek.keys().subject.unwrap().to_string() } else { peek.event }
}

pub(super) fn gists(files: &FaultFiles) -> Vec<String> {
    read_all(files).iter().map(gist).collect()
}

/// Waits until something holds, at most ten seconds.
pub(super) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never came true: {what}");
}
