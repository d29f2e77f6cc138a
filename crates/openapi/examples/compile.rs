//! Compiles a document and says how long it took, how much memory it needed and what came out.
//!
//! ```text
//! cargo run -p ambit-openapi --profile ci --example compile -- examples/github/openapi.json [--effects]
//! ```

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::time::Instant;

use ambit_openapi::{Options, compile, parse};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("give the path of an OpenAPI document")?;
    let effects = arguments.any(|argument| argument == "--effects");
    let started = Instant::now();
    let document = parse(&std::fs::read(&path)?)?;
    let parsed = started.elapsed();
    let compiled = compile(&document, &Options::default())?;
    drop(document);
    let took = started.elapsed();
    for left in &compiled.left_out {
        println!("left out {}: {}", left.pointer, left.reason);
    }
    if effects {
        for tool in &compiled.tools {
            println!("{:12} {:6} {} {}: {}", tool.effect.as_str(), tool.method, tool.path, tool.name, tool.reason);
        }
    }
    let schemas: usize = compiled.tools.iter().map(|tool| tool.input_schema.to_string().len()).sum();
    let largest = compiled.tools.iter().map(|tool| tool.input_schema.to_string().len()).max().unwrap_or(0);
    println!("{} tools, {} left out", compiled.tools.len(), compiled.left_out.len());
    println!("parsed in {parsed:?}, compiled after {took:?}");
    println!("argument schemas: {schemas} bytes of JSON, the largest {largest}");
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines().filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS")) {
        println!("{line}");
    }
    Ok(())
}
