//! Argument constraints: what a grant says about the arguments of a call, the schema a caller is shown for it, and the check
//! of one call.
//!
//! A grant may carry a JSON Schema fragment ([`Constraint::parse`]). Grants of one factor add up, so their constraints are
//! united; factors are intersected, and so are theirs ([`Factor`], [`Allowed`]). [`narrow`] writes what is left into a
//! tool's `inputSchema`; [`Allowed::check`] holds a call to it, whatever the schema showed.
//!
//! What a fragment means, where it says less than its author meant:
//!
//! - A constrained argument must be given. JSON Schema lets it be left out, and then the server's own default would count,
//!   which no grant allows. `"x-may-be-absent": true` beside the constraint lifts that. What only forbids requires nothing.
//! - A constrained argument has the type its keywords speak of: `pattern` admits no number, `properties` no text. JSON Schema
//!   lets other types pass.
//! - `items` holds for every element; an empty list passes unless `minItems` says otherwise.
//! - A pattern matches anywhere in the text unless it is anchored; see [`Constraint::advice`].
//! - Numbers are compared by value (`1.0` is `1`), lengths are counted in code points, objects and lists as wholes.
//!
//! Pure, deterministic and bounded. It never widens: whatever cannot be said, combined or bounded is an error that hides the
//! tool, and whatever a schema cannot show is told in words and still enforced.

mod allowed;
mod alternatives;
mod check;
mod error;
mod meet;
mod narrow;
mod node;
mod number;
mod parse;
mod pattern;
mod render;
mod types;
mod value;
mod words;

pub use allowed::{Allowed, Contradiction, Factor};
pub use check::Violation;
pub use error::{ConstraintError, Fault};
pub use narrow::{Narrowed, narrow};
pub use parse::Constraint;

#[cfg(test)]
mod tests;
