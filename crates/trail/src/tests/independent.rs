//! The export is checked by a program that shares nothing with this one.

use std::{
    path::Path,
    process::{Command, Output},
    sync::Arc,
};

use super::support::*;
use crate::{Disk, Durability, export};

fn recompute(file: &Path) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/verify_export.py");
    let output = Command::new("python3").arg(script).arg(file).output();
    output.unwrap_or_else(|error| panic!("python3 is needed for this test: {error}"))
}

#[tokio::test]
async fn python_recomputes_the_signed_roots_and_finds_an_altered_record() {
    let directory = tempfile::tempdir().unwrap();
    let trail = open_disk(&directory.path().join("trail"));
    for n in 0..23 {
        append(&trail, note(&format!("{n} ü \"\\ \u{7f} \u{2028}"), Durability::Written)).await;
    }
    trail.close().await;
    let mut out = Vec::new();
    export(Arc::new(Disk), &directory.path().join("trail"), &mut out).unwrap();
    let file = directory.path().join("export.jsonl");
    std::fs::write(&file, &out).unwrap();
    let honest = recompute(&file);
    let said = String::from_utf8_lossy(&honest.stdout);
    assert!(honest.status.success(), "{}", String::from_utf8_lossy(&honest.stderr));
    assert!(said.ends_with(&format!("23 records are those that {ORIGIN} signed for\n")), "{said}");

    let altered = String::from_utf8(out).unwrap().replace(r#"\"7 ü"#, r#"\"8 ü"#);
    std::fs::write(&file, altered).unwrap();
    let found = recompute(&file);
    assert!(!found.status.success());
    assert!(String::from_utf8_lossy(&found.stderr).contains("are not those that"), "{found:?}");
}
