//! The export: one file of JSON lines from which everything can be verified without Ambit.
//!
//! 1. a head: format, origin, node, verifier key, number of the first record, the tree before it (empty for record zero),
//!    number of records;
//! 2. per record a line with its number, salt (base64), leaf hash (base64) and the exact stored bytes as a JSON string
//!    (`record`; `record_base64` if they are not UTF-8). The leaf hash is `SHA-256(0x00 || salt || bytes)`;
//! 3. between them, after as many records as it covers, a line per checkpoint (C2SP signed note); the last record is
//!    followed by the latest;
//! 4. an end: the number of lines before it and their SHA-256 (base64), line feeds included.
//!
//! Each line is exactly what this module writes: no other spacing, order or escapes. So every altered byte is found.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    hash::{Hash, Salt},
    key::VerifyingKey,
    tree::Frontier,
    verify::{Audit, Report, Trusted},
};

/// The format's name, in the head.
pub const FORMAT: &str = "ambit-trail-export-1";

/// The head of an export.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// [`FORMAT`].
    pub format: String,
    /// The trail's origin.
    pub origin: String,
    /// The node that wrote it.
    pub node: String,
    /// Its verifier key. Who verifies compares it with one known from elsewhere.
    pub key: String,
    /// The number of the first record.
    pub first: u64,
    /// The tree before the first record: roots of its complete subtrees in base64, largest first.
    pub frontier: Vec<String>,
    /// How many records follow.
    pub records: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordLine {
    leaf: u64,
    salt: String,
    hash: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record_base64: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckpointLine {
    checkpoint: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndLine {
    end: End,
}

#[derive(Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct End {
    lines: u64,
    sha256: String,
}

/// Writes the lines. The caller puts each where it goes.
pub struct Writer {
    lines: u64,
    sum: digest::Context,
}

impl Default for Writer {
    fn default() -> Self {
        Self { lines: 0, sum: digest::Context::new(&digest::SHA256) }
    }
}

impl Writer {
    /// The head.
    pub fn head(&mut self, head: &Head) -> Vec<u8> {
        self.line(head)
    }

    /// A record.
    pub fn record(&mut self, leaf: u64, salt: &Salt, hash: Hash, record: &[u8]) -> Vec<u8> {
        self.line(&RecordLine::of(leaf, salt, hash, record))
    }

    /// A checkpoint, after the records it covers.
    pub fn checkpoint(&mut self, note: &str) -> Vec<u8> {
        self.line(&CheckpointLine { checkpoint: note.to_owned() })
    }

    /// The end.
    pub fn end(mut self) -> Vec<u8> {
        let end = End { lines: self.lines, sha256: STANDARD.encode(self.sum.clone().finish()) };
        self.line(&EndLine { end })
    }

    fn line(&mut self, line: &impl Serialize) -> Vec<u8> {
        let bytes = to_line(line);
        self.sum.update(&bytes);
        self.lines += 1;
        bytes
    }
}

impl RecordLine {
    fn of(leaf: u64, salt: &Salt, hash: Hash, record: &[u8]) -> Self {
        let text = std::str::from_utf8(record).ok().map(str::to_owned);
        let record_base64 = text.is_none().then(|| STANDARD.encode(record));
        Self { leaf, salt: STANDARD.encode(salt), hash: hash.to_string(), record: text, record_base64 }
    }

    /// Salt, claimed hash and bytes.
    fn read(self) -> Option<(Salt, Hash, Vec<u8>)> {
        let salt = STANDARD.decode(&self.salt).ok()?.try_into().ok()?;
        let hash = Hash::from_base64(&self.hash)?;
        let bytes = match (self.record, self.record_base64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(text)) => STANDARD.decode(text).ok()?,
            (Some(_), Some(_)) | (None, None) => return None,
        };
        Some((salt, hash, bytes))
    }
}

fn to_line(line: &impl Serialize) -> Vec<u8> {
    // INVARIANT: the lines hold strings and integers only, so they always serialise.
    let mut bytes = serde_json::to_vec(line).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Reads a line that must be exactly what would be written.
fn from_line<T: Serialize + for<'de> Deserialize<'de>>(line: &[u8]) -> Option<T> {
    let read: T = serde_json::from_slice(line).ok()?;
    (to_line(&read) == line).then_some(read)
}

/// The file does not begin as an export does.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("this is no export of a trail: its first line should be a head of the format `{FORMAT}`, {0}")]
pub struct NotAnExport(String);

/// Verifies an export, line by line.
pub struct Verifier {
    audit: Audit,
    promised: u64,
    records: u64,
    line: u64,
    sum: digest::Context,
    ended: bool,
    latest_claim: u64,
}

impl Verifier {
    /// Begins with the first line, line feed included.
    ///
    /// # Errors
    /// [`NotAnExport`].
    pub fn begin(line: &[u8], trusted: Trusted) -> Result<Self, NotAnExport> {
        let refuse = |why: &str| NotAnExport(why.to_owned());
        let head: Head = from_line(line).ok_or_else(|| refuse("written exactly as ambit writes it"))?;
        if head.format != FORMAT {
            return Err(refuse("and its format is another"));
        }
        let key: VerifyingKey = head.key.parse().map_err(|error| NotAnExport(format!("but {error}")))?;
        let roots: Option<Vec<Hash>> = head.frontier.iter().map(|root| Hash::from_base64(root)).collect();
        let roots = roots.ok_or_else(|| refuse("and its frontier holds no hashes"))?;
        let before = Frontier::from_parts(head.first, roots).map_err(|error| NotAnExport(format!("but {error}")))?;
        let mut audit = Audit::new(&head.origin, trusted, Some(key.clone()), before);
        if key.name() != head.origin {
            audit.find("line 1", None, format!("the key is of `{}`, not of `{}`", key.name(), head.origin));
        }
        let mut sum = digest::Context::new(&digest::SHA256);
        sum.update(line);
        Ok(Self { audit, promised: head.records, records: 0, line: 1, sum, ended: false, latest_claim: 0 })
    }

    /// The next line, line feed included.
    pub fn line(&mut self, line: &[u8]) {
        self.line += 1;
        let place = format!("line {}", self.line);
        if self.ended {
            return self.audit.find(&place, None, "it follows the end".into());
        }
        if let Some(EndLine { end }) = from_line(line) {
            self.ended = true;
            let found = End { lines: self.line - 1, sha256: STANDARD.encode(self.sum.clone().finish()) };
            if end != found {
                self.audit.find(&place, None, "the lines before it are not the ones it sums up".into());
            }
            return;
        }
        self.sum.update(line);
        if let Some(record) = from_line::<RecordLine>(line) {
            self.record(&place, record);
        } else if let Some(CheckpointLine { checkpoint }) = from_line(line) {
            self.latest_claim = self.audit.next_leaf();
            self.audit.claim(&place, &checkpoint);
        } else if line.starts_with(br#"{"checkpoint""#) || line.starts_with(br#"{"end""#) {
            self.audit.find(&place, None, "the line was altered".into());
        } else {
            self.records += 1;
            self.audit.altered(&place, None, "the line was altered: it is not what ambit writes");
        }
    }

    fn record(&mut self, place: &str, record: RecordLine) {
        self.records += 1;
        let leaf = record.leaf;
        if leaf != self.audit.next_leaf() {
            let what = format!("record {leaf} stands here: records were moved, repeated or removed");
            self.audit.disorder(place, what, leaf);
        }
        match record.read() {
            None => self.audit.altered(place, None, "salt, hash or record cannot be read"),
            Some((salt, hash, bytes)) if Hash::of_leaf(&salt, &bytes) == hash => {
                self.audit.read(&bytes);
                self.audit.leaf(hash);
            }
            Some((_, hash, _)) => {
                self.audit.altered(place, Some(hash), "its bytes, its salt or its hash was altered");
            }
        }
    }

    /// Nothing more is to be read.
    pub fn finish(mut self) -> Report {
        let place = format!("line {}", self.line);
        if !self.ended {
            self.audit.find(&place, None, "the file was cut off: its end is missing".into());
        }
        if self.records != self.promised {
            let what = format!("the head says {} records, and {} are here", self.promised, self.records);
            self.audit.find("line 1", None, what);
        } else if self.latest_claim != self.audit.next_leaf() {
            self.audit.find(&place, None, "the checkpoint after the last record is missing".into());
        }
        self.audit.finish()
    }
}

#[cfg(test)]
mod tests;
