//! The judge as specified: cases as data, the matrix as one readable file, and properties over random deployments.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::type_complexity,
    reason = "a test that cannot go on fails"
)]

mod any_rules;
mod cases;
mod constraining;
mod matrix;
mod oracle;
mod properties;
mod rules;
mod world;
