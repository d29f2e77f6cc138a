//! The classifier against labels that people gave before it was written: two described APIs, and operations and tools of
//! others, known by their words alone.

use ambit_model::Effect;
use http::Method;

use super::{compiled, example};
use crate::effect::{Facts, classify, classify_named};

/// A line of a label file: method, path, operation id, effect, why, and where given summary and description.
fn labels(name: &str) -> Vec<Vec<String>> {
    let path = format!("{}/tests/labels/{name}.tsv", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .skip(1)
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect()
}

/// What was meant, what was found, and the operation with the reason.
type Row = (Effect, Effect, String);

fn meant(label: &str) -> Effect {
    Effect::ALL.into_iter().find(|effect| effect.as_str() == label).unwrap()
}

/// The operations of an API that is described in full.
fn described(name: &str) -> Vec<Row> {
    let compiled = compiled(&example(name));
    let judge = |label: &Vec<String>| {
        let [method, path, _id, effect, ..] = label.as_slice() else { panic!("{label:?}") };
        let tool = compiled.tools.iter().find(|tool| tool.method.as_str() == method && tool.path == *path);
        let tool = tool.unwrap_or_else(|| panic!("{method} {path} is a tool"));
        (meant(effect), tool.effect, format!("{method} {path}: {}", tool.reason))
    };
    labels(name).iter().map(judge).collect()
}

/// Operations and tools known by their words.
fn known_by_words(name: &str) -> Vec<Row> {
    let judge = |label: &Vec<String>| {
        let [method, path, id, effect, _why, summary, description] = label.as_slice() else { panic!("{label:?}") };
        let (found, reason) = if method == "TOOL" {
            classify_named(id, description)
        } else {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let operation_id = (!id.is_empty()).then_some(id.as_str());
            let facts = Facts { method: &method, path, operation_id, summary, description, arguments: &[] };
            let found = classify(&facts);
            (found.effect, found.reason)
        };
        (meant(effect), found, format!("{method} {path} {id}: {reason}"))
    };
    labels(name).iter().map(judge).collect()
}

fn wrong(rows: &[Row], label: Effect) -> Vec<&Row> {
    rows.iter().filter(|(meant, found, _)| *meant == label && *found != label).collect()
}

/// How many of `label` are found, in per mille.
fn recall(rows: &[Row], label: Effect) -> usize {
    let all = rows.iter().filter(|(meant, ..)| *meant == label).count();
    (all - wrong(rows, label).len()) * 1000 / all
}

/// How many that are called `label` are, in per mille.
fn precision(rows: &[Row], label: Effect) -> usize {
    let called = rows.iter().filter(|(_, found, _)| *found == label);
    let right = called.clone().filter(|(meant, ..)| *meant == label).count();
    right * 1000 / called.count()
}

/// Nothing that changes something is called a read, and nothing destructive anything else.
fn fails_closed(rows: &[Row]) {
    let missed = wrong(rows, Effect::Destructive);
    assert!(missed.is_empty(), "{missed:#?}");
    let lowered: Vec<_> = rows.iter().filter(|(meant, found, _)| found < meant && *found == Effect::Read).collect();
    assert!(lowered.is_empty(), "{lowered:#?}");
}

#[test]
fn every_labelled_destructive_operation_is_found_and_reads_stay_reads() {
    let rows: Vec<Row> = ["mux", "github"].into_iter().flat_map(described).collect();
    assert_eq!(rows.len(), 98 + 300);
    fails_closed(&rows);
    assert!(recall(&rows, Effect::Read) >= 950, "{:#?}", wrong(&rows, Effect::Read));
    // Careful, but of use: most ordinary writes are not hidden behind a reveal.
    assert!(recall(&rows, Effect::Write) >= 900, "{:#?}", wrong(&rows, Effect::Write));
}

#[test]
fn operations_of_other_apis_fail_closed() {
    let rows = known_by_words("heldout");
    assert_eq!(rows.len(), 507);
    fails_closed(&rows);
    // Words alone leave much unclear, and what is unclear is raised, as far as it stays of use.
    assert!(recall(&rows, Effect::Read) >= 890, "{:#?}", wrong(&rows, Effect::Read));
    assert!(recall(&rows, Effect::Write) >= 890, "{:#?}", wrong(&rows, Effect::Write));
    assert!(precision(&rows, Effect::Destructive) >= 870, "{}", precision(&rows, Effect::Destructive));
}

/// Destructive operations of the second set that pass for less, and why. It may only shrink.
const MISSED: [(&str, &str); 5] = [
    (
        "admin_conversations_setTeams",
        "`set the workspaces` replaces who shares a channel, and says so in the schema only",
    ),
    ("admin_users_setRegular", "that `a regular user` is less than an owner is knowledge of the product"),
    ("CreateIncomingPhoneNumberLocal", "that a number is bought by creating it stands nowhere in the operation"),
    ("registry_update_garbageCollection", "the sentence that says it cancels stands in another operation"),
    ("ignite", "under `GET` one word that is also its path is taken for the name of a resource"),
];

/// When it was labelled, before the classifier was looked at, the classifier found 66.4 % of what is destructive in it and
/// 89.6 % of what reads, and called 50 operations reads that are none. It has been tuned against since: it guards what was
/// found then, and says nothing any more of how well other APIs fare.
#[test]
fn operations_that_misled_once_fail_closed() {
    let mut rows = known_by_words("second");
    assert_eq!(rows.len(), 570);
    let missed =
        |(meant, found, what): &Row| found < meant && MISSED.iter().any(|(id, _)| what.contains(&format!(" {id}: ")));
    assert_eq!(
        rows.iter().filter(|row| missed(row)).count(),
        MISSED.len(),
        "a miss that is none any more is struck out"
    );
    assert!(recall(&rows, Effect::Read) >= 900, "{:#?}", wrong(&rows, Effect::Read));
    assert!(recall(&rows, Effect::Write) >= 770, "{:#?}", wrong(&rows, Effect::Write));
    rows.retain(|row| !missed(row));
    fails_closed(&rows);
}

/// The operations of an API as somebody wrote them who gave them no name, or no sentence.
#[test]
fn what_is_described_badly_fails_closed() {
    for name in ["mux", "github"] {
        let document = example(name);
        for label in labels(name) {
            let [method, path, id, effect, ..] = label.as_slice() else { panic!("{label:?}") };
            let operation = &document["paths"][path][method.to_lowercase()];
            let text = |member: &str| operation[member].as_str().unwrap_or_default();
            let http = Method::from_bytes(method.as_bytes()).unwrap();
            let bare = |operation_id, summary, description| {
                let facts = Facts { method: &http, path, operation_id, summary, description, arguments: &[] };
                let found = classify(&facts);
                (found.effect, found.reason)
            };
            for (found, reason) in [
                bare(None, text("summary"), text("description")),
                bare(None, text("summary"), ""),
                bare(Some(id.as_str()), "", ""),
                bare(None, "", ""),
                classify_named("tool", text("summary")),
                classify_named(id, text("summary")),
            ] {
                let lowered = found == Effect::Read && meant(effect) != Effect::Read;
                assert!(!lowered, "{method} {path}: {reason}");
            }
        }
    }
}
