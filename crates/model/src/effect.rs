//! What a tool does to the world, by Ambit's own classification.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The effect of a tool, by meaning. The order is the order of harm, so `max` is the careful choice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Observes only.
    Read,
    /// Adds or changes in a way that can be taken back.
    Write,
    /// Deletes, revokes, resets, disables, overwrites, or cannot be taken back. Also everything unclear.
    Destructive,
}

impl Effect {
    /// Every effect, mildest first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Destructive];

    /// The word of configuration, trail and pages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Destructive => "destructive",
        }
    }

    /// What an upstream's own annotations say, as an effect that may raise ours and never lower it.
    ///
    /// The specification reads an absent `destructiveHint` as true, but hints are untrusted and most servers leave them
    /// out, so only what is said outright counts: an explicit `destructiveHint: true` or `readOnlyHint: false`.
    #[must_use]
    pub fn raised_by_hints(self, read_only: Option<bool>, destructive: Option<bool>) -> Self {
        let said = match (destructive, read_only) {
            (Some(true), _) => Self::Destructive,
            (_, Some(false)) => Self::Write,
            (Some(false) | None, Some(true) | None) => Self::Read,
        };
        self.max(said)
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_raise_and_never_lower() {
        for ours in Effect::ALL {
            for read_only in [None, Some(true), Some(false)] {
                for destructive in [None, Some(true), Some(false)] {
                    assert!(ours.raised_by_hints(read_only, destructive) >= ours);
                }
            }
        }
        assert_eq!(Effect::Read.raised_by_hints(Some(true), Some(true)), Effect::Destructive);
        assert_eq!(Effect::Read.raised_by_hints(Some(false), None), Effect::Write);
    }
}
