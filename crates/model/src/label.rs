//! What passes through a tool, in the owner's words. Three words are enough for one question: whether something that strangers
//! wrote and something private can meet where they can leave.

use serde::{Deserialize, Serialize};

/// A label of a tool.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// Its result may hold what strangers wrote: web pages, mail, tickets of customers.
    UntrustedContent,
    /// Its result may hold what strangers must not read.
    PrivateData,
    /// Its arguments may reach strangers: mail, a public ticket, a request to any address.
    PublicSink,
}

impl Label {
    /// Every label.
    pub const ALL: [Self; 3] = [Self::UntrustedContent, Self::PrivateData, Self::PublicSink];

    /// The word of configuration, policies and trail.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UntrustedContent => "untrusted_content",
            Self::PrivateData => "private_data",
            Self::PublicSink => "public_sink",
        }
    }

    /// The label of a word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|label| label.as_str() == text)
    }

    /// Whether a caller that called such a tool carries the label on. A sink only takes.
    pub const fn is_carried(self) -> bool {
        match self {
            Self::UntrustedContent | Self::PrivateData => true,
            Self::PublicSink => false,
        }
    }
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_has_one_word_everywhere() {
        for label in Label::ALL {
            assert_eq!(Label::parse(label.as_str()), Some(label));
            assert_eq!(serde_json::to_value(label).unwrap(), label.as_str());
        }
        assert_eq!(Label::parse("untrusted-content"), None);
    }
}
