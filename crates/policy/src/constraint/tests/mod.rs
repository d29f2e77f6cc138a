//! Tests over the whole module.

mod checking;
mod combining;
mod documents;
mod narrowing;
mod parsing;
mod properties;
mod worlds;

use serde_json::Value;

use super::{Allowed, Constraint, Contradiction, Factor};

/// A constraint of a grant by name.
fn constraint(origin: &str, fragment: &Value) -> Constraint {
    match Constraint::parse(fragment) {
        Ok(constraint) => constraint.from_origin(origin),
        Err(error) => panic!("{fragment}: {error}"),
    }
}

/// Factors of fragments: `null` is a grant without one. Grants are called `g1`, `g2`, … in the order they stand here.
fn across(factors: &Value) -> Result<Allowed, Contradiction> {
    let mut number = 0;
    let factors = factors.as_array().unwrap().iter().map(|grants| {
        Factor::of(grants.as_array().unwrap().iter().map(|fragment| {
            number += 1;
            (!fragment.is_null()).then(|| constraint(&format!("g{number}"), fragment))
        }))
    });
    Allowed::across(factors.collect::<Vec<_>>())
}

fn allowed(factors: &Value) -> Allowed {
    across(factors).unwrap_or_else(|error| panic!("{factors}: {error}"))
}

/// What a client's validator says.
fn is_valid(schema: &Value, arguments: &Value) -> bool {
    validator(schema).is_valid(arguments)
}

fn validator(schema: &Value) -> jsonschema::Validator {
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .with_pattern_options(jsonschema::PatternOptions::regex())
        .build(schema)
        .unwrap_or_else(|error| panic!("{schema}: {error}"))
}
