//! Breaking the glass: a named person uses a toolset for a short while without waiting for others. It gives a reveal and
//! stands in for approvals; it lifts no `forbid`, block, pending definition or audience, and somebody else looks at it later.

use std::collections::BTreeSet;

use crate::ids::{Millis, ToolsetSlug, UserKey};

/// The longest the glass stays broken.
pub const MAX_BROKEN_MS: Millis = 3_600_000;

/// Who may break the glass, and for what. Nobody, if empty.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BreakGlass {
    /// The people.
    pub people: BTreeSet<UserKey>,
    /// What they may use then.
    pub toolsets: BTreeSet<ToolsetSlug>,
}

impl BreakGlass {
    /// Whether a person is named, and anything is named to break it for.
    pub fn names(&self, person: &UserKey) -> bool {
        !self.toolsets.is_empty() && self.people.contains(person)
    }

    /// Whether it may be broken by this person for this toolset.
    pub fn admits(&self, person: &UserKey, toolset: &ToolsetSlug) -> bool {
        self.people.contains(person) && self.toolsets.contains(toolset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_and_what_is_named_counts() {
        let (alice, bob) = (UserKey::parse("alice").unwrap(), UserKey::parse("okta:alice").unwrap());
        let (named, other) = (ToolsetSlug::parse("cleanup").unwrap(), ToolsetSlug::parse("more").unwrap());
        let rule = BreakGlass { people: [alice.clone()].into(), toolsets: [named.clone()].into() };
        assert!(rule.names(&alice) && rule.admits(&alice, &named));
        assert!(!rule.names(&bob) && !rule.admits(&bob, &named) && !rule.admits(&alice, &other));
        assert!(!BreakGlass::default().names(&alice));
        let of_nothing = BreakGlass { toolsets: BTreeSet::new(), ..rule };
        assert!(!of_nothing.names(&alice));
    }
}
