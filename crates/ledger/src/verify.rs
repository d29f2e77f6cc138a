//! Verification: records in order, checkpoints beside them, and what does not fit.
//!
//! The caller reads (a directory, an export) and says what it sees; this judges. A key or a checkpoint from outside makes the
//! verdict worth something: what lies beside the records may have been rewritten together with them.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    checkpoint::SignedCheckpoint,
    hash::{Hash, Salt},
    key::VerifyingKey,
    tree::Frontier,
};

/// The act by which a trail says that it lets go of its beginning.
pub const LETS_GO: &str = "trail.retain";

/// At most so many findings are listed; the rest is counted.
const MOST_FINDINGS: usize = 50;

/// What the verifier knows from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Trusted {
    /// The key of the trail.
    pub key: Option<VerifyingKey>,
    /// A checkpoint that was kept elsewhere, as a note.
    pub checkpoint: Option<String>,
}

/// Something that does not fit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// Where: a line, a file and byte, a checkpoint.
    pub place: String,
    /// The record, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaf: Option<u64>,
    /// What does not fit.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.leaf {
            Some(leaf) => write!(f, "record {leaf} ({}): {}", self.place, self.what),
            None => write!(f, "{}: {}", self.place, self.what),
        }
    }
}

/// The verdict.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything fits what is known from elsewhere.
    Verified,
    /// Everything fits together, and there is nothing from elsewhere to compare it with: none was given, or the trail is so
    /// young that no checkpoint covers a record.
    SelfConsistentOnly,
    /// Something does not fit.
    Failed,
}

/// What verification came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// The verdict.
    pub verdict: Verdict,
    /// Which trail.
    pub origin: String,
    /// The number of the first record that was read.
    pub first: u64,
    /// One more than the number of the last.
    pub size: u64,
    /// So many records from the beginning are covered by a checkpoint that fits.
    pub covered: u64,
    /// The time the last of them says, in milliseconds since 1970: a checkpoint itself has none.
    pub covered_until: Option<i64>,
    /// How many records the checkpoint given covers, if it fits.
    pub given: Option<u64>,
    /// The time the last of those says.
    pub given_until: Option<i64>,
    /// What does not fit.
    pub findings: Vec<Finding>,
    /// How many more do not fit.
    pub more_findings: usize,
    /// What the reader should know.
    pub notes: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        if self.more_findings > 0 {
            writeln!(f, "and {} more", self.more_findings)?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        let records = self.size.saturating_sub(self.first);
        match self.verdict {
            Verdict::Verified => {
                write!(f, "verified: {records} records of `{}`, {} covered", self.origin, self.covered)
            }
            Verdict::SelfConsistentOnly => {
                let missing =
                    if self.covered > 0 { "give --key or --checkpoint" } else { "no checkpoint covers any yet" };
                write!(f, "self-consistent only: {records} records of `{}`; {missing}", self.origin)
            }
            Verdict::Failed => write!(f, "failed: {records} records of `{}` were read", self.origin),
        }
    }
}

/// What an act of letting go says.
#[derive(Deserialize)]
struct LetGo {
    event: String,
    act: String,
    by: String,
    after: Stays,
}

#[derive(Deserialize)]
struct Stays {
    first: u64,
}

/// The first record that stays, if a record is the act of letting go of those before it.
fn stays_of(record: &[u8]) -> Option<u64> {
    if !std::str::from_utf8(record).ok()?.contains(LETS_GO) {
        return None;
    }
    let said: LetGo = serde_json::from_slice(record).ok()?;
    (said.event == "act" && said.act == LETS_GO && said.by == "ambit").then_some(said.after.first)
}

/// What every record says of its time.
#[derive(Deserialize)]
struct Timed {
    at: i64,
}

/// A checkpoint that is to fit once the tree has its size.
struct Claim {
    place: String,
    checkpoint: SignedCheckpoint,
    /// Known from elsewhere.
    is_given: bool,
}

/// A verification under way.
pub struct Audit {
    trusted: Trusted,
    /// The key the material names itself: good for self-consistency, worth nothing as proof.
    named: Option<VerifyingKey>,
    origin: String,
    first: u64,
    /// The first record that was to stay, as the records themselves say.
    stays: Option<u64>,
    /// The number of the next record.
    next: u64,
    tree: Frontier,
    /// Whether the tree still stands for what was read.
    sound: bool,
    claims: BTreeMap<u64, Vec<Claim>>,
    covered: u64,
    /// Whether a checkpoint fits that the key given signed.
    is_signed: bool,
    given: u64,
    /// Whether a checkpoint given fits.
    is_given: bool,
    given_until: Option<i64>,
    covered_until: Option<i64>,
    /// The time the latest record says.
    at: Option<i64>,
    findings: Vec<Finding>,
    more_findings: usize,
    notes: Vec<String>,
}

impl Audit {
    /// Begins. The tree up to the first record is given by the material, empty if that is record zero.
    pub fn new(origin: &str, trusted: Trusted, named: Option<VerifyingKey>, before: Frontier) -> Self {
        let mut audit = Self {
            trusted,
            named,
            origin: origin.to_owned(),
            first: before.size(),
            stays: None,
            next: before.size(),
            tree: before,
            sound: true,
            claims: BTreeMap::new(),
            covered: 0,
            is_signed: false,
            given: 0,
            is_given: false,
            given_until: None,
            covered_until: None,
            at: None,
            findings: Vec::new(),
            more_findings: 0,
            notes: Vec::new(),
        };
        audit.check_trusted();
        audit.check_claims();
        audit
    }

    fn check_trusted(&mut self) {
        if let (Some(key), Some(named)) = (&self.trusted.key, &self.named)
            && key != named
        {
            let what = format!("it names the key `{named}`, not the one given");
            self.find("the trail", None, what);
        }
        if let Some(key) = &self.trusted.key
            && key.name() != self.origin
        {
            let what = format!("the key given is of `{}`, the records are of `{}`", key.name(), self.origin);
            self.find("the key given", None, what);
        }
        let Some(note) = self.trusted.checkpoint.take() else { return };
        let opened = match self.key() {
            Some(key) => SignedCheckpoint::open(&note, key),
            None => SignedCheckpoint::read_unverified(&note),
        };
        match opened {
            Err(error) => self.find("the checkpoint given", None, error.to_string()),
            Ok(checkpoint) if checkpoint.checkpoint().origin != self.origin => {
                let what =
                    format!("it is of `{}`, the records are of `{}`", checkpoint.checkpoint().origin, self.origin);
                self.find("the checkpoint given", None, what);
            }
            Ok(checkpoint) if checkpoint.size() < self.first => {
                let what = format!("it covers {} records, and the first one here is {}", checkpoint.size(), self.first);
                self.find("the checkpoint given", None, what);
            }
            Ok(checkpoint) => self.claim_checked("the checkpoint given".into(), checkpoint, true),
        }
        self.trusted.checkpoint = Some(note);
    }

    fn key(&self) -> Option<&VerifyingKey> {
        self.trusted.key.as_ref().or(self.named.as_ref())
    }

    /// The number the next record must have.
    pub fn next_leaf(&self) -> u64 {
        self.next
    }

    /// Whether a checkpoint covers a record.
    pub fn is_claimed(&self, leaf: u64) -> bool {
        leaf < self.covered || self.claims.last_key_value().is_some_and(|(size, _)| leaf < *size)
    }

    /// Whether a stored tree is the one read so far. True when that can no longer be told.
    pub fn follows(&self, tree: &Frontier) -> bool {
        !self.sound || *tree == self.tree
    }

    /// A record with its salt, whole as far as can be seen.
    pub fn record(&mut self, salt: &Salt, record: &[u8]) {
        self.read(record);
        self.leaf(Hash::of_leaf(salt, record));
    }

    /// The record whose leaf comes next, for the time it says.
    pub fn read(&mut self, record: &[u8]) {
        self.at = serde_json::from_slice(record).ok().map(|Timed { at }| at);
        if self.first > 0 {
            self.stays = self.stays.max(stays_of(record));
        }
    }

    /// The leaf hash of a record.
    pub fn leaf(&mut self, hash: Hash) {
        self.tree.push(hash);
        self.next += 1;
        self.check_claims();
    }

    /// A record whose bytes are not what was hashed. With the hash it should have, the rest can still be compared.
    pub fn altered(&mut self, place: &str, hash: Option<Hash>, what: &str) {
        let leaf = self.next_leaf();
        self.find(place, Some(leaf), what.to_owned());
        if let Some(hash) = hash {
            self.leaf(hash);
        } else {
            self.sound = false;
            self.next += 1;
        }
    }

    /// What was read is not in order from here on, so the tree says nothing any more. Reading goes on with another record.
    pub fn disorder(&mut self, place: &str, what: String, goes_on_with: u64) {
        let leaf = self.next_leaf();
        self.find(place, Some(leaf), what);
        self.sound = false;
        self.next = goes_on_with;
    }

    /// Something that is no record does not fit.
    pub fn find(&mut self, place: &str, leaf: Option<u64>, what: String) {
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(Finding { place: place.to_owned(), leaf, what });
        } else {
            self.more_findings += 1;
        }
    }

    /// Something the reader should know.
    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// A checkpoint that lies with the records.
    pub fn claim(&mut self, place: &str, note: &str) {
        let opened = match self.key() {
            Some(key) => SignedCheckpoint::open(note, key),
            None => SignedCheckpoint::read_unverified(note),
        };
        match opened {
            Err(error) => self.find(place, None, error.to_string()),
            Ok(checkpoint) if checkpoint.checkpoint().origin != self.origin => {
                self.find(place, None, format!("it is of the trail `{}`", checkpoint.checkpoint().origin));
            }
            // Of records that are no longer here: their tree is only known as a whole.
            Ok(checkpoint) if checkpoint.size() < self.first => {}
            Ok(checkpoint) => self.claim_checked(place.to_owned(), checkpoint, false),
        }
    }

    fn claim_checked(&mut self, place: String, checkpoint: SignedCheckpoint, is_given: bool) {
        let size = checkpoint.size();
        if size < self.next {
            return self.find(&place, None, format!("it stands behind record {}, and covers {size}", self.next - 1));
        }
        self.claims.entry(size).or_default().push(Claim { place, checkpoint, is_given });
        self.check_claims();
    }

    /// Compares the claims of the present size.
    fn check_claims(&mut self) {
        if !self.sound {
            return;
        }
        let size = self.tree.size();
        if self.claims.first_key_value().is_none_or(|(first, _)| *first > size) {
            return;
        }
        let root = self.tree.root();
        for claim in self.claims.remove(&size).unwrap_or_default() {
            if claim.checkpoint.root() == root {
                self.covered = size;
                self.covered_until = self.at;
                self.is_signed |= self.trusted.key.is_some();
                if claim.is_given {
                    self.given = size;
                    self.is_given = true;
                    self.given_until = self.at;
                }
                continue;
            }
            let what = if size == self.covered.max(self.first) {
                format!("it signs another root for {size} records than a checkpoint that fits")
            } else {
                let from = self.covered.max(self.first);
                format!(
                    "the records {from} to {} are not the ones it signs: at least one was replaced, moved, added or removed",
                    size - 1
                )
            };
            self.find(&claim.place, None, what);
            // Every later one fails for the same reason.
            self.sound = false;
        }
    }

    /// Nothing more is to be read.
    pub fn finish(mut self) -> Report {
        let size = self.next;
        let claims = std::mem::take(&mut self.claims);
        let furthest = claims.into_iter().next_back().filter(|(signed, _)| *signed > size);
        if let Some((signed, claim)) = furthest.and_then(|(signed, mut claims)| Some((signed, claims.pop()?))) {
            let what = format!(
                "it signs {signed} records, and only {size} are here: the records {size} to {} are missing",
                signed - 1
            );
            self.find(&claim.place, None, what);
        }
        self.explain_beginning();
        // A checkpoint of nothing vouches for nothing.
        let vouched = self.covered > self.first || size == self.first;
        let has_trust = vouched && (self.trusted.key.is_some() || self.trusted.checkpoint.is_some());
        let failed = !self.findings.is_empty();
        if !failed && self.trusted.key.is_some() && !self.is_signed {
            self.find("the trail", None, "no checkpoint here is signed by the key given".into());
        }
        if self.findings.is_empty() {
            self.explain_reach(size);
        }
        let verdict = match (self.findings.is_empty(), has_trust) {
            (false, _) => Verdict::Failed,
            (true, true) => Verdict::Verified,
            (true, false) => Verdict::SelfConsistentOnly,
        };
        Report {
            verdict,
            origin: self.origin,
            first: self.first,
            size,
            covered: self.covered,
            covered_until: self.covered_until,
            given: Some(self.given).filter(|_| self.is_given),
            given_until: self.given_until,
            findings: self.findings,
            more_findings: self.more_findings,
            notes: self.notes,
        }
    }

    /// Records that are missing at the beginning were let go of, or cut off: only the trail itself can say which, in a record
    /// that is signed for like any other.
    fn explain_beginning(&mut self) {
        let first = self.first;
        if first == 0 {
            return;
        }
        match self.stays {
            Some(stays) if stays >= first => {
                self.notes.push(format!(
                    "it is complete from record {first} on; the records before it were let go of, which a record here says"
                ));
            }
            Some(_) | None => {
                let what = format!(
                    "the records 0 to {} are missing, and no record here says that they were let go of",
                    first - 1
                );
                self.find("the beginning", None, what);
            }
        }
    }

    fn explain_reach(&mut self, size: u64) {
        if self.covered < size {
            let note = format!("the records {} to {} are not covered by a checkpoint yet", self.covered, size - 1);
            self.notes.push(note);
        }
        match (&self.trusted.key, &self.trusted.checkpoint) {
            (Some(_), None) => self.notes.push(
                "an earlier state of the same trail would pass too: give --checkpoint with a checkpoint kept elsewhere to \
                 rule out that its end was cut off"
                    .into(),
            ),
            (None, Some(_)) if self.given < size => self.notes.push(format!(
                "the records {} to {} came after the checkpoint given: without --key nothing vouches for them",
                self.given,
                size - 1
            )),
            (None | Some(_), Some(_)) | (None, None) => {}
        }
    }
}
