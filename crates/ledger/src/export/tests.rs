//! Exports that were tampered with, and what verification says of them.

use proptest::prelude::*;

use super::*;
use crate::{
    checkpoint::SignedCheckpoint,
    key::SigningKey,
    verify::{Finding, Verdict},
};

const RECORDS: u64 = 10;

fn key() -> SigningKey {
    SigningKey::from_seed("example.com/trail", &[4; 32]).unwrap()
}

fn salt(leaf: u64) -> Salt {
    [u8::try_from(leaf).unwrap() + 1; 16]
}

fn text(leaf: u64) -> String {
    format!(r#"{{"event":"act","request":"{leaf}","subject":"ü \" \\ {leaf}"}}"#)
}

/// An export of records with these texts, signed with this key at 5 and at the end.
fn export_of(texts: &[String], key: &SigningKey) -> Vec<Vec<u8>> {
    let mut writer = Writer::default();
    let mut tree = Frontier::new();
    let mut lines = vec![writer.head(&Head {
        format: FORMAT.into(),
        origin: "example.com/trail".into(),
        node: "n1".into(),
        key: key.verifying().to_string(),
        first: 0,
        frontier: Vec::new(),
        records: texts.len() as u64,
    })];
    for (leaf, text) in (0..).zip(texts) {
        let hash = Hash::of_leaf(&salt(leaf), text.as_bytes());
        tree.push(hash);
        lines.push(writer.record(leaf, &salt(leaf), hash, text.as_bytes()));
        if leaf == 4 || leaf + 1 == texts.len() as u64 {
            lines.push(writer.checkpoint(SignedCheckpoint::sign(tree.size(), tree.root(), key).note()));
        }
    }
    lines.push(writer.end());
    lines
}

fn texts() -> Vec<String> {
    (0..RECORDS).map(text).collect()
}

fn export() -> Vec<Vec<u8>> {
    export_of(&texts(), &key())
}

fn trusting_key() -> Trusted {
    Trusted { key: Some(key().verifying().clone()), checkpoint: None }
}

fn verify(lines: &[Vec<u8>], trusted: Trusted) -> Report {
    let mut verifier = Verifier::begin(&lines[0], trusted).unwrap();
    lines[1..].iter().for_each(|line| verifier.line(line));
    verifier.finish()
}

/// Sums the lines up anew, as somebody who tampers would.
fn resum(lines: &mut Vec<Vec<u8>>) {
    lines.pop();
    let mut writer = Writer::default();
    for line in lines.iter() {
        writer.sum.update(line);
        writer.lines += 1;
    }
    lines.push(writer.end());
}

fn places(report: &Report) -> Vec<(String, Option<u64>)> {
    report.findings.iter().map(|Finding { place, leaf, .. }| (place.clone(), *leaf)).collect()
}

#[test]
fn an_untouched_export_is_verified_with_a_key_or_a_checkpoint_and_self_consistent_without() {
    let report = verify(&export(), trusting_key());
    assert_eq!((report.verdict, report.size, report.covered), (Verdict::Verified, 10, 10), "{report}");

    let mut tree = Frontier::new();
    (0..5).for_each(|leaf| tree.push(Hash::of_leaf(&salt(leaf), text(leaf).as_bytes())));
    let older = SignedCheckpoint::sign(5, tree.root(), &key()).note().to_string();
    let report = verify(&export(), Trusted { key: None, checkpoint: Some(older.clone()) });
    assert_eq!(report.verdict, Verdict::Verified, "{report}");
    assert!(report.notes[0].contains("records 5 to 9 came after the checkpoint given"), "{report}");
    let both = Trusted { checkpoint: Some(older), ..trusting_key() };
    assert_eq!(verify(&export(), both).verdict, Verdict::Verified);

    let report = verify(&export(), Trusted::default());
    assert_eq!(report.verdict, Verdict::SelfConsistentOnly);
    assert!(
        report
            .to_string()
            .ends_with("self-consistent only: 10 records of `example.com/trail`; give --key or --checkpoint")
    );
}

#[test]
fn an_altered_record_is_named_and_the_others_are_still_compared() {
    let mut lines = export();
    let line = String::from_utf8(lines[4].clone()).unwrap().replace(r#"\"3\""#, r#"\"4\""#);
    lines[4] = line.into_bytes();
    resum(&mut lines);
    let report = verify(&lines, trusting_key());
    assert_eq!(report.verdict, Verdict::Failed);
    assert_eq!(places(&report), [("line 5".to_owned(), Some(3))], "{report}");
    assert_eq!(report.covered, 10, "the hashes still lead to the signed root");
}

#[test]
fn a_record_replaced_together_with_its_hash_is_narrowed_down_between_two_checkpoints() {
    for (replaced, range) in [(2, "records 0 to 4"), (7, "records 5 to 9")] {
        let mut texts = texts();
        texts[replaced] = text(99);
        let mut lines = export_of(&texts, &key());
        // The signed checkpoints are those of the true records.
        let honest = export();
        lines[6] = honest[6].clone();
        lines[12] = honest[12].clone();
        resum(&mut lines);
        let report = verify(&lines, trusting_key());
        assert_eq!(report.verdict, Verdict::Failed);
        assert_eq!(report.findings.len(), 1, "{report}");
        assert!(report.findings[0].what.contains(range), "{report}");
    }
}

#[test]
fn a_whole_rewritten_export_signed_by_another_key_is_found() {
    let impostor = SigningKey::from_seed("example.com/trail", &[5; 32]).unwrap();
    let mut texts = texts();
    texts[2] = text(99);
    let lines = export_of(&texts, &impostor);
    assert_eq!(verify(&lines, Trusted::default()).verdict, Verdict::SelfConsistentOnly, "nothing to compare with");
    let report = verify(&lines, trusting_key());
    assert_eq!(report.verdict, Verdict::Failed);
    assert!(report.findings[0].what.contains("names the key"), "{report}");
}

#[test]
fn a_cut_tail_is_found_however_it_was_cut() {
    // The last lines are gone.
    for keep in 1..13 {
        let report = verify(&export()[..keep], trusting_key());
        assert_eq!(report.verdict, Verdict::Failed, "{keep} lines");
        assert!(report.findings.iter().any(|finding| finding.what.contains("cut off")), "{report}");
    }
    // Records were removed and the end was written anew, but not the head.
    let mut lines = export();
    lines.drain(10..12);
    resum(&mut lines);
    let report = verify(&lines, trusting_key());
    assert!(report.findings.iter().any(|finding| finding.what.contains("records 8 to 9 are missing")), "{report}");

    // Cut back to an older checkpoint with a head to fit: only a later checkpoint from elsewhere can tell.
    let older = export_of(&texts()[..5], &key());
    let report = verify(&older, trusting_key());
    assert_eq!(report.verdict, Verdict::Verified);
    assert!(report.notes.iter().any(|note| note.contains("give --checkpoint")), "{report}");
    let CheckpointLine { checkpoint } = from_line(&export()[12]).unwrap();
    let report = verify(&older, Trusted { checkpoint: Some(checkpoint), ..trusting_key() });
    assert_eq!(report.verdict, Verdict::Failed);
    assert_eq!(report.findings[0].place, "the checkpoint given");
    assert!(report.findings[0].what.contains("records 5 to 9 are missing"), "{report}");
}

#[test]
fn reordered_and_repeated_records_are_named() {
    let mut lines = export();
    lines.swap(2, 3);
    resum(&mut lines);
    let report = verify(&lines, trusting_key());
    assert_eq!(places(&report)[0], ("line 3".to_owned(), Some(1)), "{report}");
    assert!(report.findings[0].what.contains("record 2 stands here"), "{report}");

    let mut lines = export();
    lines.insert(3, lines[2].clone());
    resum(&mut lines);
    let report = verify(&lines, trusting_key());
    assert_eq!(places(&report)[0], ("line 4".to_owned(), Some(2)), "{report}");

    // Moved and numbered anew: the root tells.
    let mut texts = texts();
    texts.swap(6, 7);
    let mut lines = export_of(&texts, &key());
    lines[12] = export()[12].clone();
    resum(&mut lines);
    let report = verify(&lines, trusting_key());
    assert!(report.findings[0].what.contains("records 5 to 9"), "{report}");
}

#[test]
fn a_checkpoint_of_another_trail_or_key_is_refused() {
    let other = SigningKey::from_seed("example.com/other", &[4; 32]).unwrap();
    let note = SignedCheckpoint::sign(5, Hash([0; 32]), &other).note().to_string();
    let report = verify(&export(), Trusted { checkpoint: Some(note), ..trusting_key() });
    assert_eq!(report.verdict, Verdict::Failed);
    let report = verify(&export(), Trusted { key: Some(other.verifying().clone()), checkpoint: None });
    assert_eq!(report.verdict, Verdict::Failed);
}

#[test]
fn bytes_that_are_not_text_are_exported_too() {
    let mut writer = Writer::default();
    let hash = Hash::of_leaf(&salt(0), &[0xff]);
    let line = writer.record(0, &salt(0), hash, &[0xff]);
    let (_, read_hash, bytes) = from_line::<RecordLine>(&line).unwrap().read().unwrap();
    assert_eq!((read_hash, bytes), (hash, vec![0xff]));
}

#[test]
fn something_else_is_no_export() {
    for bad in ["", "\n", "{}\n", "{\"format\":\"ambit-trail-export-2\"}\n", "not json"] {
        assert!(Verifier::begin(bad.as_bytes(), Trusted::default()).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn every_flipped_bit_is_found(line in 0_usize..14, at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut lines = export();
        let at = at.index(lines[line].len());
        lines[line][at] ^= 1 << bit;
        let whole: Vec<u8> = lines.concat();
        let lines: Vec<Vec<u8>> = whole.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        // A head that is none any more is refused, which is finding it as well.
        let Ok(mut verifier) = Verifier::begin(&lines[0], trusting_key()) else { return Ok(()) };
        lines[1..].iter().for_each(|line| verifier.line(line));
        let report = verifier.finish();
        prop_assert_eq!(report.verdict, Verdict::Failed, "line {} byte {}", line, at);
    }
}
