//! The classifier against labels that people gave before it was written.

use ambit_model::Effect;

use super::{compiled, example};

/// A line of a label file.
struct Label {
    method: String,
    path: String,
    effect: String,
}

fn labels(name: &str) -> Vec<Label> {
    let path = format!("{}/tests/labels/{name}.tsv", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().skip(1).map(|line| {
        let mut cells = line.split('\t').map(str::to_owned);
        let (method, path, _id, effect) = (cells.next(), cells.next(), cells.next(), cells.next());
        Label { method: method.unwrap(), path: path.unwrap(), effect: effect.unwrap() }
    });
    lines.collect()
}

/// Judged effects beside labels.
fn judged() -> Vec<(Effect, Effect, String)> {
    let mut all = Vec::new();
    for name in ["mux", "github"] {
        let compiled = compiled(&example(name));
        for label in labels(name) {
            let tool =
                compiled.tools.iter().find(|tool| tool.method.as_str() == label.method && tool.path == label.path);
            let tool = tool.unwrap_or_else(|| panic!("{} {} is a tool", label.method, label.path));
            let meant = Effect::ALL.into_iter().find(|effect| effect.as_str() == label.effect).unwrap();
            all.push((meant, tool.effect, format!("{} {}: {}", label.method, label.path, tool.reason)));
        }
    }
    all
}

#[test]
fn every_labelled_destructive_operation_is_found_and_reads_stay_reads() {
    let judged = judged();
    assert_eq!(judged.len(), 98 + 300);
    let of = |meant: Effect| judged.iter().filter(move |(label, ..)| *label == meant);
    let missed: Vec<_> = of(Effect::Destructive).filter(|(_, found, _)| *found != Effect::Destructive).collect();
    assert!(missed.is_empty(), "{missed:#?}");
    let lost: Vec<_> = of(Effect::Read).filter(|(_, found, _)| *found != Effect::Read).collect();
    assert!(lost.len() * 20 <= of(Effect::Read).count(), "{lost:#?}");
    // Careful, but of use: most ordinary writes are not hidden behind a reveal.
    let raised: Vec<_> = of(Effect::Write).filter(|(_, found, _)| *found != Effect::Write).collect();
    assert!(
        raised.len() * 10 <= of(Effect::Write).count(),
        "{} of {}: {raised:#?}",
        raised.len(),
        of(Effect::Write).count()
    );
    let lowered: Vec<_> =
        judged.iter().filter(|(label, found, _)| *found == Effect::Read && *label != Effect::Read).collect();
    assert!(lowered.is_empty(), "{lowered:#?}");
}
