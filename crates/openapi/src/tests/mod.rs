//! The crate as its users see it: real documents, labelled effects, hostile input.

mod documents;
mod effects;
mod hostile;

use serde_json::Value;

use crate::{Compiled, Options, compile, parse};

/// A real document from `examples/`.
fn example(name: &str) -> Value {
    let path = format!("{}/../../examples/{name}/openapi.json", env!("CARGO_MANIFEST_DIR"));
    parse(&std::fs::read(path).unwrap()).unwrap()
}

fn compiled(document: &Value) -> Compiled {
    compile(document, &Options::default()).unwrap()
}
