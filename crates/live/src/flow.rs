//! What has passed through whose hands: the labels a caller touched in the last half hour. A caller is a user, an agent and a
//! client together, whatever token or session they come with, so that a new session washes nothing off.
//!
//! A label is noted before the call that brings it is dispatched. A node of its own keeps the notes in memory and begins from
//! its trail; nodes of a fleet keep them in the store as well, and ask it before something leaves.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use ambit_model::{Digest, ids::Millis, label::Label};
use ambit_store::{Store, StoreError, touched};

/// How long a label sticks, in milliseconds.
pub const STICKS_MS: Millis = 30 * 60_000;

/// How much older than wanted a note in the store may be before it is written again, in milliseconds: so often at most a
/// caller costs a statement.
const LATE_MS: Millis = 60_000;

/// From how many callers on those are dropped whose labels are gone.
const MANY: usize = 4_096;

/// The notes.
#[derive(Debug)]
pub struct Flow {
    notes: Mutex<HashMap<Digest, Note>>,
    is_shared: bool,
}

/// Until when each label sticks, and until when the store says so.
#[derive(Default, Debug, Clone, Copy)]
struct Note {
    until: [Millis; Label::ALL.len()],
    stored: [Millis; Label::ALL.len()],
}

impl Flow {
    /// No notes yet. `is_shared` if other nodes use the same store.
    pub(crate) fn new(is_shared: bool) -> Self {
        Self { notes: Mutex::default(), is_shared }
    }

    /// Notes that a caller is about to touch labels. When this returns every node knows.
    ///
    /// # Errors
    /// [`StoreError`]: other nodes would not know, so nothing must be dispatched.
    pub async fn touch(
        &self,
        store: &Store,
        caller: &Digest,
        labels: &BTreeSet<Label>,
        now: Millis,
    ) -> Result<(), StoreError> {
        let until = now.saturating_add(STICKS_MS);
        let unstored = self.note(caller, labels, until, now);
        if !self.is_shared || unstored.is_empty() {
            return Ok(());
        }
        // A statement less for the calls that follow, and still noted for as long as it has to be.
        let stored = until.saturating_add(LATE_MS);
        let mut tx = store.begin().await?;
        for label in &unstored {
            touched::note(&mut tx, caller, *label, stored).await?;
        }
        tx.commit().await?;
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let note = notes.entry(*caller).or_default();
        for label in unstored {
            if let Some(known) = note.stored.get_mut(place(label)) {
                *known = stored.max(*known);
            }
        }
        Ok(())
    }

    /// The labels a caller carries.
    ///
    /// # Errors
    /// [`StoreError`]: nobody knows what it touched elsewhere, so nothing must leave.
    pub async fn touched(&self, store: &Store, caller: &Digest, now: Millis) -> Result<BTreeSet<Label>, StoreError> {
        let mut labels = self.known(caller, now);
        if self.is_shared {
            labels.extend(touched::of(store, caller, now).await?);
        }
        Ok(labels)
    }

    /// Has the store forget what nobody carries any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sweep(&self, store: &Store, now: Millis) -> Result<(), StoreError> {
        if !self.is_shared {
            return Ok(());
        }
        let mut tx = store.begin().await?;
        touched::forget(&mut tx, now).await?;
        tx.commit().await.map(drop)
    }

    /// Notes what the trail says of a call that was dispatched at an instant.
    pub fn remember(&self, caller: &Digest, labels: &BTreeSet<Label>, at: Millis) {
        self.note(caller, labels, at.saturating_add(STICKS_MS), at);
    }

    /// Notes labels until an instant; those that the store does not know yet.
    fn note(&self, caller: &Digest, labels: &BTreeSet<Label>, until: Millis, now: Millis) -> Vec<Label> {
        let carried: Vec<_> = labels.iter().copied().filter(|label| label.is_carried()).collect();
        if carried.is_empty() {
            return carried;
        }
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() >= MANY && !notes.contains_key(caller) {
            notes.retain(|_, note| note.until.iter().chain(&note.stored).any(|until| *until > now));
        }
        let note = notes.entry(*caller).or_default();
        let mut unstored = Vec::new();
        for label in carried {
            let at = place(label);
            if let Some(known) = note.until.get_mut(at) {
                *known = until.max(*known);
            }
            if note.stored.get(at).is_none_or(|stored| *stored < until) {
                unstored.push(label);
            }
        }
        unstored
    }

    fn known(&self, caller: &Digest, now: Millis) -> BTreeSet<Label> {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(note) = notes.get(caller) else { return BTreeSet::new() };
        let sticks = |label: &Label| note.until.get(place(*label)).is_some_and(|until| *until > now);
        Label::ALL.into_iter().filter(sticks).collect()
    }
}

fn place(label: Label) -> usize {
    match label {
        Label::UntrustedContent => 0,
        Label::PrivateData => 1,
        Label::PublicSink => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ambit_store::StoreUrl;

    const T0: Millis = 1_800_000_000_000;

    fn all() -> BTreeSet<Label> {
        Label::ALL.into()
    }

    async fn store() -> Store {
        Store::open(&StoreUrl::Memory).await.unwrap()
    }

    #[tokio::test]
    async fn a_label_sticks_for_half_an_hour_and_a_sink_gives_none() {
        let (flow, store, alice) = (Flow::new(false), store().await, Digest::of(b"alice"));
        flow.touch(&store, &alice, &all(), T0).await.unwrap();
        let carried: BTreeSet<_> = [Label::UntrustedContent, Label::PrivateData].into();
        assert_eq!(flow.touched(&store, &alice, T0 + STICKS_MS - 1).await.unwrap(), carried);
        assert!(flow.touched(&store, &alice, T0 + STICKS_MS).await.unwrap().is_empty());
        assert!(flow.touched(&store, &Digest::of(b"bob"), T0).await.unwrap().is_empty());
        // An older word, as from the trail, takes nothing away.
        flow.touch(&store, &alice, &[Label::PrivateData].into(), T0 + 60_000).await.unwrap();
        flow.remember(&alice, &all(), T0 - STICKS_MS);
        let later = flow.touched(&store, &alice, T0 + STICKS_MS).await.unwrap();
        assert_eq!(later, [Label::PrivateData].into());
    }

    #[tokio::test]
    async fn a_node_of_a_fleet_knows_what_was_touched_at_another() {
        let (store, alice) = (store().await, Digest::of(b"alice"));
        let (one, other, alone) = (Flow::new(true), Flow::new(true), Flow::new(false));
        one.touch(&store, &alice, &[Label::PrivateData].into(), T0).await.unwrap();
        other.touch(&store, &alice, &[Label::UntrustedContent].into(), T0 + 1).await.unwrap();
        for node in [&one, &other] {
            assert_eq!(node.touched(&store, &alice, T0 + 2).await.unwrap().len(), 2);
        }
        assert!(alone.touched(&store, &alice, T0 + 2).await.unwrap().is_empty());
        store.close().await;
        assert!(one.touched(&store, &alice, T0 + 2).await.is_err());
        // The store knows it for a while yet.
        assert!(one.touch(&store, &alice, &[Label::PrivateData].into(), T0 + LATE_MS).await.is_ok());
        assert!(one.touch(&store, &alice, &[Label::PrivateData].into(), T0 + LATE_MS + 1).await.is_err());
        assert!(one.touch(&store, &alice, &[Label::UntrustedContent].into(), T0).await.is_err());
    }

    #[test]
    fn callers_whose_labels_are_gone_are_dropped_when_there_are_many() {
        let flow = Flow::new(false);
        for n in 0..50_000_u32 {
            flow.remember(&Digest::of(&n.to_be_bytes()), &all(), T0 + i64::from(n) * 10_000);
        }
        assert!(flow.notes.lock().unwrap().len() <= MANY + 1);
    }
}
