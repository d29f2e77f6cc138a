//! Signed notes (C2SP `signed-note`): a text, an empty line, and signature lines.
//!
//! A note is opened only with a key: nothing here returns the text of a note that no known key signed.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::key::{KeyId, SigningKey, VerifyingKey, is_key_name};

/// A longer note is refused unread.
pub const MAX_NOTE_BYTES: usize = 64 * 1024;
/// A note with more signature lines is refused.
const MAX_SIGNATURES: usize = 64;

/// Why a note does not open.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoteError {
    /// Not the form of a signed note.
    #[error("not a signed note: {0}")]
    Form(&'static str),
    /// Nobody we know signed it.
    #[error("the note is not signed by `{0}`")]
    Unsigned(String),
    /// The signature of a known key is wrong.
    #[error("the signature of `{0}` does not fit the note: the note or the signature was altered")]
    Signature(String),
}

/// Signs a text. It must end with a line feed and hold no other control characters; callers build it from checked parts.
pub fn sign(text: &str, key: &SigningKey) -> String {
    let mut blob = key.verifying().id().to_vec();
    blob.extend_from_slice(&key.sign(text.as_bytes()));
    format!("{text}\n\u{2014} {} {}\n", key.verifying().name(), STANDARD.encode(blob))
}

/// Opens a note: its text, if the key signed it.
///
/// # Errors
/// [`NoteError`].
pub fn open<'a>(note: &'a str, key: &VerifyingKey) -> Result<&'a str, NoteError> {
    let (text, signatures) = parse(note)?;
    // Signatures of other keys are ignored, also those that share a name or an id with ours.
    let own = signatures.iter().find(|line| line.name == key.name() && line.id == key.id());
    match own {
        None => Err(NoteError::Unsigned(key.name().to_owned())),
        Some(line) if key.verifies(text.as_bytes(), &line.signature) => Ok(text),
        Some(_) => Err(NoteError::Signature(key.name().to_owned())),
    }
}

struct SignatureLine<'a> {
    name: &'a str,
    id: KeyId,
    signature: Vec<u8>,
}

fn parse(note: &str) -> Result<(&str, Vec<SignatureLine<'_>>), NoteError> {
    if note.len() > MAX_NOTE_BYTES {
        return Err(NoteError::Form("it is too long"));
    }
    if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
        return Err(NoteError::Form("it holds control characters"));
    }
    let cut = note.rfind("\n\n").ok_or(NoteError::Form("there is no empty line before the signatures"))?;
    let (text, rest) = note.split_at(cut + 1);
    let lines = rest.strip_prefix('\n').and_then(|lines| lines.strip_suffix('\n'));
    let lines = lines.ok_or(NoteError::Form("it does not end with a line feed"))?;
    let mut signatures = Vec::new();
    for line in lines.split('\n') {
        if signatures.len() == MAX_SIGNATURES {
            return Err(NoteError::Form("it has too many signatures"));
        }
        signatures.push(signature_line(line).ok_or(NoteError::Form("a signature line is malformed"))?);
    }
    Ok((text, signatures))
}

fn signature_line(line: &str) -> Option<SignatureLine<'_>> {
    let (name, blob) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let blob = STANDARD.decode(blob).ok()?;
    let (id, signature) = blob.split_first_chunk::<4>()?;
    let well_formed = is_key_name(name) && !signature.is_empty();
    well_formed.then(|| SignatureLine { name, id: *id, signature: signature.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published test vector of Go's `sumdb/note`, which C2SP signed notes are compatible with.
    const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const SEED: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const TEXT: &str =
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    const SIGNATURE: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    fn note() -> String {
        format!("{TEXT}\n{SIGNATURE}")
    }

    #[test]
    fn the_published_note_opens_and_is_signed_again_byte_for_byte() {
        assert_eq!(open(&note(), &KEY.parse().unwrap()).unwrap(), TEXT);
        let seed: [u8; 32] = STANDARD.decode(SEED).unwrap()[1..].try_into().unwrap();
        let key = SigningKey::from_seed("PeterNeumann", &seed).unwrap();
        assert_eq!(key.verifying().to_string(), KEY);
        assert_eq!(sign(TEXT, &key), note());
    }

    #[test]
    fn every_altered_byte_of_text_or_signature_is_found() {
        let key: VerifyingKey = KEY.parse().unwrap();
        let whole = note().into_bytes();
        for index in 0..whole.len() {
            let mut altered = whole.clone();
            altered[index] ^= 1;
            let Ok(altered) = String::from_utf8(altered) else { continue };
            assert!(open(&altered, &key).is_err(), "byte {index}");
        }
    }

    #[test]
    fn other_signatures_are_ignored_and_ours_is_required() {
        let ours: VerifyingKey = KEY.parse().unwrap();
        let other = SigningKey::from_seed("witness.example", &[3; 32]).unwrap();
        let cosigned = format!("{}{}", note(), sign(TEXT, &other).strip_prefix(&format!("{TEXT}\n")).unwrap());
        assert_eq!(open(&cosigned, &ours).unwrap(), TEXT);
        assert_eq!(open(&cosigned, other.verifying()).unwrap(), TEXT);
        assert_eq!(open(&sign(TEXT, &other), &ours), Err(NoteError::Unsigned("PeterNeumann".into())));
        // The same name under another key does not count.
        let impostor = SigningKey::from_seed("PeterNeumann", &[3; 32]).unwrap();
        assert_eq!(open(&sign(TEXT, &impostor), &ours), Err(NoteError::Unsigned("PeterNeumann".into())));
    }

    #[test]
    fn malformed_notes_are_refused() {
        let key: VerifyingKey = KEY.parse().unwrap();
        let many = format!("{TEXT}\n{}", SIGNATURE.repeat(MAX_SIGNATURES + 1));
        let long = format!("{}\n{TEXT}\n{SIGNATURE}", "x".repeat(MAX_NOTE_BYTES));
        for bad in [
            "",
            "\n",
            "\n\n",
            TEXT,
            &format!("{TEXT}\n"),
            &format!("{TEXT}\n{}", SIGNATURE.trim_end()),
            &note().replace('\u{2014}', "-"),
            &note().replace("problem,", "problem,\r"),
            &many,
            &long,
        ] {
            assert!(matches!(open(bad, &key), Err(NoteError::Form(_))), "{}", &bad[..bad.len().min(200)]);
        }
    }
}
