//! Properties over random worlds, with a JSON Schema validator as the judge of what a schema admits.
//!
//! For every call: the check says what the grants say; what grants and tool allow is valid under the shown schema; where the
//! schema is exact, nothing else is that the grants would refuse; the shown schema is never wider than the tool's own.

use std::cell::Cell;

use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseResult, TestRunner},
};
use serde_json::{Value, json};

use super::super::{Allowed, Constraint, Factor, narrow};
use super::{
    validator,
    worlds::{World, strict, world},
};

const COMPOSITION: [&str; 8] = ["anyOf", "oneOf", "allOf", "not", "if", "then", "else", "$ref"];
const CALLS: usize = 10;
/// How many worlds, each with [`CALLS`] calls. Without optimisation the validators take most of the time, so fewer there.
const WORLDS: u32 = if cfg!(debug_assertions) { 4_000 } else { 100_000 };

/// How often what a property speaks of came up. A property that is never tried says nothing.
#[derive(Default)]
struct Tried {
    allowed: Cell<u32>,
    refused: Cell<u32>,
    exact: Cell<u32>,
    noted: Cell<u32>,
    contradictions: Cell<u32>,
    valid: Cell<u32>,
}

fn count(cell: &Cell<u32>) {
    cell.set(cell.get() + 1);
}

#[test]
fn what_is_shown_is_what_is_granted() {
    let config = Config { cases: WORLDS, source_file: Some(file!()), failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let tried = Tried::default();
    let outcome = runner.run(&world(CALLS), |world| holds(&world, &tried));
    if let Err(error) = outcome {
        panic!("{error}");
    }
    for (what, cell, least) in [
        ("allowed calls that the tool takes", &tried.allowed, WORLDS / 20),
        ("calls that grants refuse and the tool takes", &tried.refused, WORLDS / 4),
        ("calls valid under an exact schema", &tried.valid, WORLDS / 20),
        ("exact schemas", &tried.exact, WORLDS / 10),
        ("notes", &tried.noted, WORLDS / 50),
        ("contradictions", &tried.contradictions, WORLDS / 10),
    ] {
        println!("{} {what} in {WORLDS} worlds", cell.get());
        assert!(cell.get() >= least, "only {} {what} in {WORLDS} worlds", cell.get());
    }
}

fn holds(world: &World, tried: &Tried) -> TestCaseResult {
    // Grants that are refused at the door never count.
    let mut factors = Vec::new();
    let mut meaning = Vec::new();
    for grants in &world.factors {
        let read: Vec<_> =
            grants.iter().map(|fragment| (!fragment.is_null()).then(|| Constraint::parse(fragment))).collect();
        let usable: Vec<_> = grants.iter().zip(&read).filter(|(_, read)| !matches!(read, Some(Err(_)))).collect();
        if usable.is_empty() {
            continue;
        }
        let schema = |fragment: &Value| if fragment.is_null() { json!(true) } else { strict(fragment).0 };
        meaning.push(json!({"anyOf": usable.iter().map(|(fragment, _)| schema(fragment)).collect::<Vec<_>>()}));
        factors.push(Factor::of(
            read.into_iter().filter(|read| !matches!(read, Some(Err(_)))).map(|read| read.and_then(Result::ok)),
        ));
    }
    let grants = validator(&if meaning.is_empty() { json!(true) } else { json!({"allOf": meaning}) });
    let own = validator(&world.tool);
    let allows = |call: &Value| grants.is_valid(call);
    let none_is_left = |why: String| {
        count(&tried.contradictions);
        for call in &world.calls {
            prop_assert!(!(allows(call) && own.is_valid(call)), "{why}, but {call} is allowed");
        }
        Ok(())
    };
    let allowed = match Allowed::across(factors) {
        Ok(allowed) => allowed,
        Err(contradiction) => return none_is_left(contradiction.to_string()),
    };
    let narrowed = match narrow(&world.tool, &allowed) {
        Ok(narrowed) => narrowed,
        Err(contradiction) => return none_is_left(contradiction.to_string()),
    };
    let root = narrowed.schema.as_object().unwrap();
    prop_assert_eq!(&root["type"], &json!("object"));
    prop_assert!(COMPOSITION.iter().all(|keyword| !root.contains_key(*keyword)), "{}", narrowed.schema);
    prop_assert_eq!(narrowed.exact, narrowed.note.is_none());
    count(if narrowed.exact { &tried.exact } else { &tried.noted });
    prop_assert_eq!(&narrow(&world.tool, &allowed).unwrap(), &narrowed);
    let shown = validator(&narrowed.schema);
    let base = validator(&narrow(&world.tool, &Allowed::anything()).unwrap().schema);
    let composed = COMPOSITION.iter().any(|keyword| world.tool.get(*keyword).is_some());
    for call in &world.calls {
        let (granted, taken, is_shown) = (allows(call), own.is_valid(call), shown.is_valid(call));
        prop_assert_eq!(allowed.check(call).is_ok(), granted, "{}", call);
        if let Err(violation) = allowed.check(call) {
            let place = violation.pointer.split('/').nth(1).unwrap_or_default();
            prop_assert!(violation.sentence.contains(&format!("`{place}`")) || place.is_empty(), "{violation}");
        }
        if granted && taken {
            count(&tried.allowed);
            prop_assert!(is_shown, "{call} is allowed, but not by {}", narrowed.schema);
        }
        if taken && !granted {
            count(&tried.refused);
        }
        if is_shown && narrowed.exact {
            count(&tried.valid);
            prop_assert!(granted, "{call} is not granted, but valid under {}", narrowed.schema);
        }
        prop_assert!(!is_shown || base.is_valid(call), "{call} is not the tool's, but valid under {}", narrowed.schema);
        prop_assert!(!taken || base.is_valid(call), "{call}");
        prop_assert!(composed || taken || !base.is_valid(call), "{call}");
    }
    Ok(())
}
