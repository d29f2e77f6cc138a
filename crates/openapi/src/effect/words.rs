//! Verbs and what they mean for what is there before: the vocabulary of the classifier, and how words are found in names.

use std::collections::HashMap;
use std::sync::LazyLock;

/// What a verb does to what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sense {
    /// Looks only.
    Read,
    /// Brings something new.
    Make,
    /// Changes something in its place.
    Change,
    /// Does something that adds or can be taken back.
    Act,
    /// Takes back a restriction or a mark.
    Undo,
    /// Takes away, ends, or cannot be taken back.
    Harm,
    /// The same, but the word is also a noun: counts only where a verb stands.
    HarmOrNoun,
}

const READ: &str = "\
    get list search find query fetch read show check view browse lookup retrieve describe download count compare \
    diff preview render calculate compute estimate validate inspect introspect evaluate analyze analyse explain \
    summarize poll peek whoami return returns head exists is has match filter suggest autocomplete resolve parse \
    simulate lint detect translate tail discover ask look display scan echo greet";
const MAKE: &str = "\
    create add insert append register new invite fork clone copy duplicate upload generate mint issue book \
    provision post compose draft import ingest enqueue make build grant allocate bulkcreate comment reply";
const CHANGE: &str = "\
    update set edit modify patch change upsert save store put configure rename move adjust customize write amend \
    alter map sort reorder reprioritize scope annotate";
const ACT: &str = "\
    enable start run trigger send submit publish request assign attach connect link approve accept confirm star \
    follow pin watch subscribe like react mark ping test redeliver retry rerun rerequest re dispatch restore \
    resume reopen reactivate reinstate undelete activate open join export sync refresh notify schedule sign \
    verify acknowledge login allow authorize queue process tag label share renew extend apply signal announce \
    deliver forward record track log report upvote vote rate bookmark favorite";
const HARM: &str = "\
    delete remove destroy erase purge wipe drop revoke reset rotate disable deactivate cancel terminate kill \
    abort uninstall detach dismiss reject deny decline discard overwrite replace truncate clear flush evict \
    expire invalidate suspend ban kick expel unassign unlink unregister deregister unpublish unsubscribe unstack \
    unshare rollback revert prune trash archive transfer void refund decommission disconnect deprovision \
    withdraw del rm rmdir nuke shred redact scrub logout regenerate regen cleanup offboard delist undeploy \
    dissolve disassociate dissociate untag unset quarantine deauthorize retire recall bulkdelete batchdelete \
    deleteall removeall empty demote downgrade annul rescind strip";
const HARM_OR_NOUN: &str = "\
    block lock merge close end stop complete finish finalize shutdown restrict force review convert leave pay \
    charge capture payout restart reboot halt quit exit release settle wire spend buy purchase sell trade unsafe \
    format freeze mute hide exclude isolate fail failover drain deploy promote";
/// What `un…` gives back.
const UNDOABLE: &str = "\
    star follow pin block lock suspend ban mute watch like archive hide snooze freeze flag bookmark favorite \
    restrict trash delete dismiss quarantine pause exclude";
/// Things whose making is a loss.
const HARM_NOUNS: &str = "\
    deletion deletions removal removals cancellation cancellations revocation revocations termination \
    terminations refund refunds reversal reversals chargeback dismissal dismissals rejection rejections \
    suspension suspensions deactivation invalidation invalidations eviction purges rollbacks payout payouts \
    erasure erasures expulsion";
/// Operations that run whatever they are given.
const INTERPRETERS: &str = "graphql rpc jsonrpc sql exec eval shell execute";
/// Verbs that fetch what is already there.
const FETCHES: &str = "get list search find fetch read show view lookup describe count retrieve browse";
/// Tools that run whatever they are given.
const RUNS_ANYTHING: &str = "execute exec eval shell bash sql script command cmd code invoke";

/// The sense of a word in its base form.
pub(super) fn sense(word: &str) -> Option<Sense> {
    static SENSES: LazyLock<HashMap<&'static str, Sense>> = LazyLock::new(|| {
        // Where a word stands in two tables, the graver sense counts: it is put in last.
        let tables = [
            (ACT, Sense::Act),
            (CHANGE, Sense::Change),
            (MAKE, Sense::Make),
            (READ, Sense::Read),
            (HARM_OR_NOUN, Sense::HarmOrNoun),
            (HARM, Sense::Harm),
        ];
        tables.into_iter().flat_map(|(words, sense)| words.split_whitespace().map(move |word| (word, sense))).collect()
    });
    if word.strip_prefix("un").is_some_and(|verb| stands_in(UNDOABLE, verb)) {
        return Some(Sense::Undo);
    }
    SENSES.get(word).copied()
}

fn stands_in(table: &str, word: &str) -> bool {
    table.split_whitespace().any(|known| known == word)
}

/// The sense of a word of prose, also in its third person: `Deletes`, `Lists`, `Replies`.
pub(super) fn sense_in_prose(word: &str) -> Option<Sense> {
    sense(word).or_else(|| base_forms(word).find_map(|base| sense(&base)))
}

fn base_forms(word: &str) -> impl Iterator<Item = String> {
    let without = |ending: &str, instead: &str| word.strip_suffix(ending).map(|stem| format!("{stem}{instead}"));
    [without("ies", "y"), without("s", ""), without("es", "")].into_iter().flatten()
}

pub(super) fn is_harm_noun(word: &str) -> bool {
    stands_in(HARM_NOUNS, word)
}

/// The word of a tool's name that says it runs whatever it is given. After a verb that only fetches, makes or changes,
/// such a word is what is fetched: `search_code`, and not `evaluate_script`.
pub(super) fn runs_anything<'w>(all: &'w [String], verb: Option<(&str, Sense)>) -> Option<&'w String> {
    match verb {
        Some((_, Sense::Make | Sense::Change)) => None,
        Some((verb, Sense::Read)) if stands_in(FETCHES, verb) => None,
        _ => all.iter().find(|word| stands_in(RUNS_ANYTHING, word)),
    }
}

/// The same for an operation of an API, where some of these words also name things.
pub(super) fn is_interpreter(word: &str) -> bool {
    stands_in(INTERPRETERS, word)
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

/// The verb of a name and its sense: the first word that is not noise; else the last (`channel.close`); else the first
/// that can only be a verb.
pub(super) fn verb_of(words: &[String]) -> Option<(&str, Sense)> {
    const NOISE: [&str; 14] =
        ["post", "put", "api", "v1", "v2", "v3", "bulk", "batch", "async", "do", "the", "admin", "on", "multi"];
    let meaning = |word: &String| !NOISE.contains(&word.as_str());
    let only_a_verb = |word: &&String| !matches!(sense(word), None | Some(Sense::HarmOrNoun)) && meaning(word);
    let first = words.iter().find(|word| meaning(word));
    let found = first
        .filter(|word| sense(word).is_some())
        .or_else(|| words.last().filter(|word| words.len() > 1 && meaning(word) && sense(word).is_some()))
        .or_else(|| words.iter().find(only_a_verb))
        // `chat.postMessage`: noise only where it stands first or last.
        .or_else(|| words.iter().rev().skip(1).rev().skip(1).find(|word| *word == "post"))?;
    sense(found).map(|sense| (found.as_str(), sense))
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
            ("", vec![]),
        ] {
            assert_eq!(words(name), expected, "{name}");
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
        ] {
            let words = words(name);
            assert_eq!(verb_of(&words).map(|(verb, _)| verb), Some(verb), "{name}");
        }
        assert_eq!(verb_of(&words("codeowners-errors")), None);
        assert_eq!(sense("unstar"), Some(Sense::Undo));
        assert_eq!(sense_in_prose("replies"), Some(Sense::Make));
        assert_eq!(sense_in_prose("deletes"), Some(Sense::Harm));
        assert_eq!(sense_in_prose("blocks"), Some(Sense::HarmOrNoun));
    }
}
