//! A trail: opened once per process and node, cloned freely.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use ambit_ledger::{SignedCheckpoint, SigningKey};
use ambit_model::{
    event::{Act, Event, Executed, OutcomeEvent, RequestId, VERSION},
    ids::Millis,
};

use crate::{
    Checkpoint,
    append::Reservation,
    bell::{Bell, Wish},
    commit::Shared,
    condition::{Condition, Health, Places, Unavailable},
    elsewhere::{self, Loss},
    export::KEY_NAME,
    feed::Feed,
    files::{Files, Held, replace},
    history,
    intake::Intake,
    keep::Keeper,
    progress::{Progress, lock},
    record::{Durability, Keys, Peek, Record},
    recover::{self, OpenError, Recovered, Recovery},
    salts::Salts,
    settings::{Now, Settings},
    writer::Writer,
};

/// What the outcome of a request is called that was dispatched and never answered.
pub const UNKNOWN_RESULT: &str = "unknown: may have happened";

/// A trail that is open for appending. Clones are the same trail; the last one dropped closes it.
#[derive(Clone)]
pub struct Trail {
    open: Arc<OpenTrail>,
}

struct OpenTrail {
    shared: Arc<Shared>,
    recovery: Recovery,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Trail {
    /// Opens the trail of a directory, making it if there is none; sets right what a crash left, and closes every intent without
    /// an outcome as [`UNKNOWN_RESULT`].
    ///
    /// Blocks for file operations, so call it before serving.
    ///
    /// # Errors
    /// [`OpenError`]; nothing is changed in a directory whose checkpoint does not fit its records.
    pub fn open(
        settings: Settings,
        key: SigningKey,
        files: impl Files,
        now: impl Fn() -> Millis + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        recover::check(&settings, key.verifying())?;
        let files: Arc<dyn Files> = Arc::new(files);
        let held = take_directory(files.as_ref(), &settings)?;
        let checkpoint = recover::stored_checkpoint(files.as_ref(), &settings.directory, key.verifying())?;
        let mut recovered = recover::recover(files.as_ref(), &settings, checkpoint.as_ref(), key.verifying())?;
        let (records, torn_bytes) = (recovered.tree.size(), recovered.torn_bytes);
        let dangling = recovered.dangling.iter().map(|peek| closing(peek, now())).collect::<Vec<_>>();
        let loss = recovered.loss.take();
        let recovery = Recovery { records, torn_bytes, closed: dangling.len() as u64 };
        let shared = Arc::new(share(settings, key, files, Arc::new(now), held, recovered, checkpoint));
        shared.begin(&recovery, dangling, loss.as_ref())?;
        let open = OpenTrail { shared: shared.clone(), recovery, threads: Mutex::default() };
        let trail = Self { open: Arc::new(open) };
        trail.start("ambit-trail-commit", &shared.committer, {
            let shared = shared.clone();
            move || shared.commit()
        })?;
        let keeper = Keeper::new(shared.clone());
        trail.start("ambit-trail-keep", &shared.keeper, move || keeper.keep())?;
        Ok(trail)
    }

    fn start(&self, name: &str, bell: &Bell, work: impl FnOnce() + Send + 'static) -> Result<(), OpenError> {
        let started = thread::Builder::new().name(name.into()).spawn(work).map_err(|error| OpenError::Start {
            directory: self.open.shared.settings.directory.clone(),
            why: error.to_string(),
        })?;
        bell.answered_by(started.thread());
        // It may have begun to wait before anybody knew whom to wake.
        started.thread().unpark();
        lock(&self.open.threads).push(started);
        Ok(())
    }

    /// Reserves places for so many records. Does not wait and touches no file.
    ///
    /// # Errors
    /// [`Unavailable`]; then the request must not go on.
    pub fn reserve(&self, places: u32) -> Result<Reservation, Unavailable> {
        let shared = &self.open.shared;
        shared.health.check()?;
        if shared.places.take(places) { Ok(Reservation::new(shared.clone(), places)) } else { Err(Unavailable::Full) }
    }

    /// Whether records are taken. False after a failed write, a failed sync, or when room runs out.
    pub fn is_writable(&self) -> bool {
        self.open.shared.health.is_sound()
    }

    /// Why no records are taken, if none are.
    pub fn trouble(&self) -> Option<Unavailable> {
        self.open.shared.health.check().err()
    }

    /// Tries at once to take records again after a failed write or a shortage; without it the trail tries every second.
    ///
    /// Blocks for file operations. After a failed sync it stays closed: open it again in a new process.
    ///
    /// # Errors
    /// [`Unavailable`] with the reason it still holds.
    pub fn recover(&self) -> Result<(), Unavailable> {
        self.open.shared.recover()
    }

    /// The latest checkpoint.
    pub fn checkpoint(&self) -> Checkpoint {
        lock(&self.open.shared.checkpoint).clone()
    }

    /// The key that verifies the checkpoints, in C2SP text form.
    pub fn verifier_key(&self) -> String {
        self.open.shared.key.verifying().to_string()
    }

    /// What opening found and set right.
    pub fn recovery(&self) -> &Recovery {
        &self.open.recovery
    }

    /// How it is kept.
    pub fn settings(&self) -> &Settings {
        &self.open.shared.settings
    }

    /// Closes: takes nothing more, writes and syncs what is in line, signs a last checkpoint, gives the directory up.
    pub async fn close(&self) {
        self.open.shared.close();
        let mut ended = self.open.shared.ended.subscribe();
        // INVARIANT: the sender lives in `shared`, so this waits until the keeper says so.
        drop(ended.wait_for(|ended| *ended).await);
    }

    /// [`Trail::close`] for callers without a runtime.
    pub fn close_blocking(&self) {
        self.open.shared.close();
        for thread in lock(&self.open.threads).drain(..) {
            // A thread that panicked has nothing to wait for.
            drop(thread.join());
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.open.shared
    }
}

impl fmt::Debug for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trail").field("directory", &self.open.shared.settings.directory).finish_non_exhaustive()
    }
}

impl Drop for OpenTrail {
    fn drop(&mut self) {
        self.shared.close();
    }
}

fn take_directory(files: &dyn Files, settings: &Settings) -> Result<Box<dyn Held>, OpenError> {
    let directory = &settings.directory;
    let io = |source| OpenError::Io { path: directory.clone(), source };
    files.make_directory(directory).map_err(io)?;
    files.lock(&directory.join("lock")).map_err(io)?.ok_or_else(|| OpenError::InUse(directory.clone()))
}

fn share(
    settings: Settings,
    key: SigningKey,
    files: Arc<dyn Files>,
    now: Now,
    held: Box<dyn Held>,
    recovered: Recovered,
    checkpoint: Option<SignedCheckpoint>,
) -> Shared {
    let tree = recovered.tree;
    let leaves = tree.size();
    let checkpoint = checkpoint.unwrap_or_else(|| {
        let nothing = ambit_ledger::Frontier::new();
        SignedCheckpoint::sign(nothing.size(), nothing.root(), &key)
    });
    Shared {
        places: Places::new(settings.queue),
        health: Health::new(),
        intake: Mutex::new(Intake::new(leaves)),
        writer: Mutex::new(Writer::new(&settings, files.clone(), leaves, tree.clone(), recovered.active)),
        progress: Progress::new(leaves),
        feed: Feed::default(),
        committer: Bell::default(),
        keeper: Bell::default(),
        durable: Mutex::new(tree),
        checkpoint: Mutex::new(checkpoint),
        closing: AtomicBool::new(false),
        committed: AtomicBool::new(false),
        ended: tokio::sync::watch::Sender::new(false),
        preparing: Mutex::new(()),
        held: Mutex::new(Some(held)),
        settings,
        files,
        key,
        now,
    }
}

impl Shared {
    /// Records what opening set right, and signs for what is there.
    fn begin(&self, recovery: &Recovery, dangling: Vec<Record>, loss: Option<&Loss>) -> Result<(), OpenError> {
        let directory = &self.settings.directory;
        let start = |why: String| OpenError::Start { directory: directory.clone(), why };
        if let Err(error) = history::mend(self.files.as_ref(), directory) {
            return Err(OpenError::Io { path: directory.join(history::NAME), source: error });
        }
        let key = format!("{}\n", self.key.verifying());
        replace(self.files.as_ref(), &directory.join(KEY_NAME), key.as_bytes())
            .map_err(|source| OpenError::Io { path: directory.join(KEY_NAME), source })?;
        let mut records = dangling;
        if recovery.torn_bytes > 0 {
            tracing::warn!(bytes = recovery.torn_bytes, "half-written records of the trail were set aside as `*.torn`");
            records.push(self.recovered_act(recovery).map_err(|error| start(error.to_string()))?);
        }
        if let Some(loss) = loss {
            tracing::warn!(what = %loss.what, "the loss of records of the trail was accepted");
            records.push(self.lost_act(recovery, loss).map_err(|error| start(error.to_string()))?);
        }
        if recovery.closed > 0 {
            tracing::warn!(requests = recovery.closed, "requests without an outcome were closed as unknown");
        }
        self.places.take_regardless(records.len() as u64);
        let mut intake = lock(&self.intake);
        for record in records {
            intake.push(record).map_err(|error| start(error.to_string()))?;
        }
        drop(intake);
        self.sync();
        match self.health.condition() {
            Condition::Sound => {}
            Condition::Hindered(why) | Condition::Lost(why) => return Err(start(why.to_string())),
            Condition::Closing => return Err(start("it is closing".into())),
        }
        if let (Some(Loss { checkpoint: Some(further), .. }), Some(path)) = (loss, &self.settings.checkpoint_file) {
            elsewhere::set_aside(self.files.as_ref(), path, further)
                .map_err(|source| OpenError::Io { path: path.clone(), source })?;
        }
        let tree = lock(&self.durable).clone();
        let signed = SignedCheckpoint::sign(tree.size(), tree.root(), &self.key);
        self.store_checkpoint(&signed, true).map_err(|source| OpenError::Io { path: directory.clone(), source })?;
        *lock(&self.checkpoint) = signed;
        Ok(())
    }

    fn recovered_act(&self, recovery: &Recovery) -> std::io::Result<Record> {
        let after = serde_json::json!({
            "records": recovery.records,
            "torn_bytes": recovery.torn_bytes,
            "closed": recovery.closed,
        });
        let reason = "bytes of half-written records were set aside";
        self.act("trail.recover", "ambit", (None, after), reason)
    }

    fn lost_act(&self, recovery: &Recovery, loss: &Loss) -> std::io::Result<Record> {
        let before = serde_json::json!({
            "checkpoint_file": loss.checkpoint.as_ref().map(|further| serde_json::json!({
                "records": further.size(),
                "root": further.root().to_string(),
            })),
            "indexed": loss.indexed,
        });
        let after = serde_json::json!({ "records": recovery.records });
        self.act("trail.accept_loss", &loss.accepted.by, (Some(before), after), &loss.accepted.reason)
    }

    fn act(
        &self,
        act: &str,
        by: &str,
        (before, after): (Option<serde_json::Value>, serde_json::Value),
        reason: &str,
    ) -> std::io::Result<Record> {
        let at = (self.now)();
        let event = Event::Act(Act {
            v: VERSION,
            request: RequestId(u128::from_be_bytes(Salts::new().draw()?)),
            at,
            by,
            act,
            subject: &self.settings.node,
            before,
            after: Some(after),
            reason: Some(reason),
        });
        Ok(Record { bytes: event.to_bytes(), at, keys: Keys::of(&event), durability: Durability::Synced })
    }

    fn close(&self) {
        self.health.become_(Condition::Closing);
        self.closing.store(true, Ordering::Release);
        self.committer.ring(Wish::Now);
    }
}

/// The outcome of a request that was dispatched, as far as anybody knows, and not answered.
fn closing(intent: &Peek, at: Millis) -> Record {
    let event = Event::Outcome(OutcomeEvent {
        v: VERSION,
        request: intent.request,
        at,
        endpoint: intent.endpoint().unwrap_or_default(),
        protocol: None,
        method: None,
        who: None,
        target: None,
        asked: None,
        filler: None,
        decision: None,
        executed: Executed::Unknown,
        result: UNKNOWN_RESULT,
        code: None,
        upstream_status: None,
        bytes_in: 0,
        bytes_out: 0,
        micros: 0,
        upstream_micros: None,
        approval: None,
    });
    Record { bytes: event.to_bytes(), at, keys: intent.keys(), durability: Durability::Synced }
}
