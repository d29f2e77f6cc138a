//! Names of operations and tools: their words, their verb, and what else they say.

use super::words::{self, Sense, sense};

/// Words that stand around a verb and say nothing.
const NOISE: [&str; 15] =
    ["post", "put", "api", "v1", "v2", "v3", "bulk", "batch", "async", "do", "the", "admin", "on", "multi", "mcp"];
const JOINS: [&str; 3] = ["and", "or", "then"];
/// Verbs that, first in a name, are its tag as often as its verb.
const THINGS: [&str; 9] = ["issue", "comment", "draft", "request", "log", "report", "record", "label", "tag"];
const PARTICLES: [&str; 6] = ["out", "in", "off", "up", "down", "back"];

/// A name, read.
#[derive(Debug, Default)]
pub(super) struct Name {
    words: Vec<String>,
    verb: Option<(usize, Sense)>,
}

impl Name {
    pub(super) fn of(name: &str) -> Self {
        let words = joined_particles(words(name));
        let verb = verb_at(&words).and_then(|at| Some((at, sense(words.get(at)?)?)));
        Self { words, verb }
    }

    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    /// The verb and its sense.
    pub(super) fn verb(&self) -> Option<(&str, Sense)> {
        let (at, sense) = self.verb?;
        Some((self.words.get(at)?, sense))
    }

    pub(super) fn sense(&self) -> Option<Sense> {
        self.verb.map(|(_, sense)| sense)
    }

    /// Whether it begins with a verb that looks, so that other words are what is looked at.
    pub(super) fn begins_by_reading(&self) -> bool {
        let first = self.words.iter().position(|word| !is_noise(word));
        self.verb.is_some_and(|(at, sense)| sense == Sense::Read && Some(at) == first)
    }

    /// Whether its verb only looks.
    pub(super) fn reads(&self) -> bool {
        self.sense() == Some(Sense::Read)
    }

    /// The only word.
    pub(super) fn alone(&self) -> Option<&str> {
        match self.words.as_slice() {
            [word] => Some(word),
            _ => None,
        }
    }

    pub(super) fn last(&self) -> Option<&str> {
        self.words.last().map(String::as_str)
    }

    /// Verbs after `and`, `or`, `then`: `enable-or-disable`, `create_or_update`.
    pub(super) fn joined(&self) -> impl Iterator<Item = (&str, Sense)> {
        let pairs = self.words.iter().zip(self.words.iter().skip(1));
        pairs.filter(|(join, _)| is_join(join)).filter_map(|(_, verb)| Some((verb.as_str(), sense(verb)?)))
    }

    /// Words beside the verb that can only be verbs.
    pub(super) fn other_verbs(&self) -> impl Iterator<Item = (&str, Sense)> {
        let at = self.verb.map(|(at, _)| at);
        let beside = self.words.iter().enumerate().filter(move |(here, word)| Some(*here) != at && !is_noise(word));
        beside.filter(|(_, word)| !words::is_noun(word)).filter_map(|(_, word)| Some((word.as_str(), sense(word)?)))
    }

    /// Whether a particle makes the verb another one that nobody knows: `count_up`, `get_out_of`.
    pub(super) fn is_another_verb(&self) -> bool {
        let looks = self.sense().is_some_and(|sense| sense <= Sense::Unsure);
        let next = self.verb.and_then(|(at, _)| self.words.get(at + 1));
        looks && next.is_some_and(|next| matches!(next.as_str(), "out" | "off" | "up" | "down" | "away"))
    }

    /// Whether `by` follows the verb, which is then a thing that is found: `bookById`.
    pub(super) fn is_found_by(&self) -> bool {
        self.verb.is_some_and(|(at, _)| self.words.get(at + 1).is_some_and(|next| next == "by"))
    }

    /// Whether it says that something is run, and behind that what looks: `run_lint`.
    pub(super) fn runs_what_looks(&self) -> bool {
        let at = self.verb.map_or(0, |(at, _)| at);
        self.words.iter().take(at).any(|word| word == "run")
    }

    /// Whether the verb is joined to a word that says nothing known: `scan_and_frobnicate`, `frobnicate_and_list`.
    pub(super) fn is_joined_to_the_unknown(&self) -> bool {
        let Some((at, _)) = self.verb else { return false };
        let word = |at: Option<usize>| at.and_then(|at| self.words.get(at));
        let joins = |at: Option<usize>| word(at).is_some_and(|word| is_join(word));
        let unknown = |at: Option<usize>| word(at).is_some_and(|word| sense(word).is_none());
        (joins(at.checked_add(1)) && unknown(at.checked_add(2)))
            || (joins(at.checked_sub(1)) && self.words.iter().take(at).all(|word| sense(word).is_none()))
    }
}

pub(super) fn is_join(word: &str) -> bool {
    JOINS.contains(&word)
}

fn is_noise(word: &str) -> bool {
    NOISE.contains(&word)
}

/// Where the verb stands: the first word that is not noise; else the last (`channel.close`); else the first that can only
/// be a verb.
fn verb_at(words: &[String]) -> Option<usize> {
    let known = |at: &usize| words.get(*at).is_some_and(|word| sense(word).is_some() && !is_noise(word));
    let only_a_verb = |at: &usize| known(at) && words.get(*at).is_some_and(|word| !words::is_noun(word));
    let harms = |at: &usize| words.get(*at).and_then(|word| sense(word)).is_some_and(|sense| sense >= Sense::Harm);
    let first = words.iter().position(|word| !is_noise(word));
    let last = words.len().checked_sub(1).filter(|last| *last > 0);
    // `issue_read`: a first word that names a thing gives way to a last one that is plainly a verb.
    let thing = first.filter(|at| words.get(*at).is_some_and(|word| THINGS.contains(&word.as_str())));
    let plain = |at: &usize| {
        words.get(*at).is_some_and(|word| matches!(word.as_str(), "read" | "get" | "fetch" | "write") || harms(at))
    };
    let behind = last.filter(|at| thing.is_some() && plain(at));
    behind
        .or_else(|| first.filter(known))
        .or_else(|| last.filter(|at| only_a_verb(at) || (known(at) && harms(at)) || is_question(words, *at)))
        .or_else(|| gravest_verb(words))
        // `chat.postMessage`: noise only where it stands first or last.
        .or_else(|| (1..words.len().saturating_sub(1)).find(|at| words.get(*at).is_some_and(|word| word == "post")))
}

/// The gravest word that can only be a verb, of equals the first; nothing if it only looks and another word may do more.
fn gravest_verb(words: &[String]) -> Option<usize> {
    let known = words.iter().enumerate().filter(|(_, word)| !is_noise(word));
    let known: Vec<_> = known.filter_map(|(at, word)| Some((at, sense(word)?, words::is_noun(word)))).collect();
    let find = |wanted: fn(Sense) -> bool| known.iter().find(|(_, sense, noun)| !noun && wanted(*sense));
    let more = known.iter().any(|(_, sense, _)| *sense > Sense::Unsure);
    let found = find(|sense| sense >= Sense::Harm).or_else(|| find(Sense::is_write));
    found.or_else(|| find(|_| true).filter(|_| !more)).map(|(at, ..)| *at)
}

/// `freebusy.query`, `issues.search`: nouns too, but the last word of a name that has no other verb.
fn is_question(words: &[String], at: usize) -> bool {
    let word = words.get(at).map(String::as_str);
    matches!(word, Some("query" | "check" | "search" | "count" | "view"))
        && !(0..at).any(|before| words.get(before).is_some_and(|word| sense(word).is_some() && !words::is_noun(word)))
}

/// `check out` is one verb, and so is `re-run`.
fn joined_particles(words: Vec<String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(words.len());
    for word in words {
        let merged = out.last().map(|before| format!("{before}{word}"));
        let parts = PARTICLES.contains(&word.as_str()) || out.last().is_some_and(|before| before == "re");
        match merged.filter(|merged| parts && sense(merged).is_some()) {
            Some(merged) => {
                out.pop();
                out.push(merged);
            }
            None => out.push(word),
        }
    }
    out
}

/// The words of a name in lower case: split at case changes, and at whatever is no letter or digit.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut characters = name.chars().peekable();
    let mut before: Option<char> = None;
    while let Some(character) = characters.next() {
        let next_lower = characters.peek().is_some_and(|next| next.is_lowercase());
        let starts = character.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase() || before.is_numeric() || (before.is_uppercase() && next_lower)
            });
        if (starts || !character.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if character.is_alphanumeric() {
            word.extend(character.to_lowercase());
        }
        before = Some(character);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_split_into_words() {
        for (name, expected) in [
            ("delete-app_token", vec!["delete", "app", "token"]),
            ("deleteCoreV1PodsHTTPProxy", vec!["delete", "core", "v1", "pods", "http", "proxy"]),
            ("users.admin.invite", vec!["users", "admin", "invite"]),
            ("check-out", vec!["checkout"]),
            ("re-run-workflow", vec!["rerun", "workflow"]),
            ("list_sign_in_methods", vec!["list", "signin", "methods"]),
            ("", vec![]),
        ] {
            assert_eq!(Name::of(name).words(), expected, "{name}");
        }
    }

    #[test]
    fn the_verb_stands_first_last_or_alone() {
        for (name, verb) in [
            ("delete-app-token", "delete"),
            ("channels.close", "close"),
            ("PostChargesChargeRefund", "refund"),
            ("bulk-list", "list"),
            ("custom-properties-for-repos-create-or-update-definitions", "create"),
            ("chat.postMessage", "post"),
            ("issue_read", "read"),
            ("mark-notifications-as-read", "mark"),
            ("log_delete", "delete"),
            ("freebusy.query", "query"),
            ("spreadsheets.getByDataFilter", "get"),
        ] {
            assert_eq!(Name::of(name).verb().map(|(verb, _)| verb), Some(verb), "{name}");
        }
        for name in ["codeowners-errors", "transition-issue", "frobnicate"] {
            assert_eq!(Name::of(name).verb(), None, "{name}");
        }
        // A list of what is shared is not the sharing of a list, and the graver reading counts.
        assert_eq!(Name::of("share_list").sense(), Some(Sense::Act));
    }

    #[test]
    fn what_is_joined_to_a_verb_counts() {
        assert_eq!(Name::of("get_and_remove").joined().collect::<Vec<_>>(), [("remove", Sense::Harm)]);
        assert!(Name::of("scan_and_frobnicate").is_joined_to_the_unknown());
        assert!(Name::of("frobnicate_and_list").is_joined_to_the_unknown());
        assert!(!Name::of("list_issues_and_pull_requests").is_joined_to_the_unknown());
        assert_eq!(Name::of("search_replace").words(), ["search", "replace"]);
    }
}
