//! What a grant says about arguments, as it is written and stored: which tools, and a JSON Schema fragment for each. What a
//! fragment means is decided by the judge; here it is only carried. Budgets say by the same patterns which tools they limit.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    ids::{InvalidId, ServerSlug, ToolId},
    toolset::Selector,
};

/// The tools a fragment or a limit is about: `*` for every tool there is to it, `server/tool`, or `server/prefix*`. Unlike the
/// `*` of a toolset it means destructive tools as well: it takes away.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ToolPattern {
    /// Every tool, of a fragment every one of its toolset.
    All,
    /// Those that are selected, whatever their effect.
    Of(Selector),
}

impl ToolPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`InvalidId`] naming the rule.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        if text == "*" { Ok(Self::All) } else { Selector::try_from(text.to_owned()).map(Self::Of) }
    }

    /// Whether it is about a tool.
    pub fn fits(&self, tool: &ToolId) -> bool {
        match self {
            Self::All => true,
            Self::Of(selector) => selector.names(tool),
        }
    }

    /// The server whose tools are meant, unless it is every server.
    pub fn server(&self) -> Option<&ServerSlug> {
        match self {
            Self::All => None,
            Self::Of(selector) => Some(selector.server()),
        }
    }

    /// How exactly it says which tool is meant: a name before a long prefix before a short one before all.
    pub fn precision(&self) -> usize {
        match self {
            Self::All => 0,
            Self::Of(Selector::Wildcard { prefix, .. }) => prefix.len().saturating_add(1),
            Self::Of(Selector::Tool(_)) => usize::MAX,
        }
    }

    /// Whether some tool could be meant by both.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => true,
            (Self::Of(one), Self::Of(other)) => one.overlaps(other),
        }
    }
}

impl fmt::Display for ToolPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Of(selector) => f.write_str(&String::from(selector.clone())),
        }
    }
}

impl TryFrom<String> for ToolPattern {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}

impl From<ToolPattern> for String {
    fn from(pattern: ToolPattern) -> String {
        pattern.to_string()
    }
}

/// The argument constraints of one grant.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Constraints(BTreeMap<ToolPattern, Value>);

/// Two patterns of one grant that could mean the same tool: which fragment counts there would be a guess.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{one}` and `{other}` can both mean one tool: write patterns that share no tool")]
pub struct Overlapping {
    /// One of them.
    pub one: ToolPattern,
    /// The other.
    pub other: ToolPattern,
}

impl Constraints {
    /// Takes fragments whose patterns share no tool.
    ///
    /// # Errors
    /// [`Overlapping`].
    pub fn new(all: BTreeMap<ToolPattern, Value>) -> Result<Self, Overlapping> {
        let constraints = Self(all);
        constraints.check()?;
        Ok(constraints)
    }

    /// Checks again what came from a store or over a wire, and so not from [`Self::new`].
    ///
    /// # Errors
    /// [`Overlapping`].
    pub fn check(&self) -> Result<(), Overlapping> {
        for (index, one) in self.0.keys().enumerate() {
            if let Some(other) = self.0.keys().skip(index + 1).find(|other| one.overlaps(other)) {
                return Err(Overlapping { one: one.clone(), other: other.clone() });
            }
        }
        Ok(())
    }

    /// Whether nothing is constrained.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// Every pattern with its fragment, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&ToolPattern, &Value)> {
        self.0.iter()
    }

    /// The fragments that hold for a tool. One at most, if they were made by [`Self::new`].
    pub fn of(&self, tool: &ToolId) -> impl Iterator<Item = (&ToolPattern, &Value)> {
        self.0.iter().filter(move |(pattern, _)| pattern.fits(tool))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pattern(text: &str) -> ToolPattern {
        ToolPattern::parse(text).unwrap()
    }

    #[test]
    fn a_pattern_fits_what_it_names() {
        let tool = ToolId::parse("mux/create-asset").unwrap();
        for (text, fits) in [
            ("*", true),
            ("mux/*", true),
            ("mux/create-*", true),
            ("mux/create-asset", true),
            ("mux/create", false),
            ("mux/delete-*", false),
            ("other/*", false),
        ] {
            assert_eq!(pattern(text).fits(&tool), fits, "{text}");
            assert_eq!(pattern(text).to_string(), text);
        }
    }

    #[test]
    fn the_more_exact_pattern_is_the_more_precise() {
        let texts = ["*", "mux/*", "mux/g*", "mux/get-*", "mux/get-asset"];
        assert!(texts.windows(2).all(|pair| pattern(pair[0]).precision() < pattern(pair[1]).precision()));
    }

    #[test]
    fn patterns_that_could_mean_one_tool_overlap() {
        for (one, other, overlap) in [
            ("*", "mux/a", true),
            ("mux/a", "mux/a*", true),
            ("mux/a*", "mux/ab*", true),
            ("mux/*", "mux/z", true),
            ("mux/a", "mux/b", false),
            ("mux/a*", "mux/b*", false),
            ("mux/*", "other/*", false),
        ] {
            assert_eq!(pattern(one).overlaps(&pattern(other)), overlap, "{one} {other}");
            assert_eq!(pattern(other).overlaps(&pattern(one)), overlap, "{other} {one}");
            let both = [(pattern(one), json!({})), (pattern(other), json!({}))].into();
            assert_eq!(Constraints::new(both).is_err(), overlap);
        }
    }
}
