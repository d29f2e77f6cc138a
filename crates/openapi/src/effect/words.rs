//! What verbs mean for what is there before: the vocabulary of the classifier.
//!
//! A word stands among those that only look ([`Sense::Read`]) if it has no other meaning for whoever writes names of
//! operations; a word that can go either way is [`Sense::Unsure`] and reads only where something else says so. A word that
//! is missing here says nothing, which is never taken for harmless in an operation that may change something.

use std::collections::HashMap;
use std::sync::LazyLock;

/// What a verb does to what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sense {
    /// Looks only.
    Read,
    /// Looks, or does something: `resolve`, `return`, `check`.
    Unsure,
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
    /// The same, but the word is as often a noun: counts only where a verb stands.
    HarmOrNoun,
    /// Does whatever it is told.
    Run,
}

impl Sense {
    pub(super) const fn is_harm(self) -> bool {
        matches!(self, Self::Harm | Self::HarmOrNoun)
    }

    pub(super) const fn is_write(self) -> bool {
        matches!(self, Self::Make | Self::Change | Self::Act | Self::Undo)
    }
}

const READ: &str = "\
    get list search find fetch show view browse lookup retrieve describe download count compare diff preview render \
    calculate compute estimate validate inspect introspect analyze analyse explain summarize whoami returns head \
    suggest autocomplete parse lint detect look greet echo translate peek screenshot scrape identify is has";
const UNSURE: &str = "\
    read query check resolve return scan poll ask display match filter discover extract exists tail monitor audit \
    convert classify crawl see simulate";
/// Verbs among those that look which also reach out: to a screen, a disk, another machine. Where nothing but a name vouches
/// for looking, they need an object and no destination.
const REACHES: &str = "\
    show fetch download browse greet echo screenshot scrape head translate peek";
/// What a request brings into being where it asks for one: the answer is a new one each time.
const MINTED: &str = "token tokens lock lease ticket session credential credentials";
const MAKE: &str = "\
    create add insert append register new invite fork clone copy duplicate upload generate mint issue \
    provision post compose draft import ingest enqueue make build grant allocate bulkcreate comment reply signup";
const CHANGE: &str = "\
    update set edit modify patch change upsert save store put configure rename move adjust customize write amend \
    map sort reorder reprioritize scope annotate fix reindex increment decrement";
const ACT: &str = "\
    enable start trigger send submit publish request assign attach connect link approve accept confirm star \
    follow pin watch subscribe like react mark ping test redeliver retry rerun rerequest dispatch restore \
    resume reopen reactivate reinstate undelete activate open join export refresh notify schedule \
    verify acknowledge ack login signin checkin allow authorize queue tag label share renew extend announce \
    deliver forward record track log report upvote vote rate bookmark favorite impersonate assume receive backup turn wake install";
const HARM: &str = "\
    delete remove destroy erase purge wipe drop revoke reset rotate disable deactivate cancel terminate kill \
    abort uninstall detach dismiss reject deny decline discard overwrite replace truncate clear flush evict \
    expire invalidate suspend ban kick expel unassign unlink unregister deregister unpublish unsubscribe unstack \
    unshare rollback revert prune trash archive transfer void refund decommission disconnect deprovision \
    withdraw del rm rmdir nuke shred redact scrub logout signout signoff optout regenerate regen cleanup offboard \
    delist undeploy dissolve disassociate dissociate untag unset quarantine deauthorize retire recall bulkdelete \
    batchdelete deleteall removeall empty demote downgrade annul rescind strip reverse pop dequeue toggle poweroff \
    turnoff switchoff teardown writeoff takedown down off eject redeem rid";
const HARM_OR_NOUN: &str = "\
    block lock merge close end stop complete finish finalize shutdown restrict force review leave pay \
    charge capture payout restart reboot halt quit exit release settle wire spend buy purchase sell trade unsafe \
    format freeze mute hide exclude isolate fail failover drain deploy promote checkout swap switch claim sync \
    book bill debit signal scale";
const RUN: &str = "execute exec eval evaluate run invoke interpret interact";
/// What `un…` gives back.
const UNDOABLE: &str = "\
    star follow pin block lock suspend ban mute watch like archive hide snooze freeze flag bookmark favorite \
    restrict trash delete dismiss quarantine pause exclude";
/// Verbs that are as often the name of a thing. Behind a verb that looks they are what is looked at: `get release`.
const NOUNS: &str = "\
    new book issue post comment draft copy fork clone import build grant invite reply register upload \
    patch change map sort scope store move \
    request link star pin watch like mark ping test retry open export schedule queue tag label share signal record track \
    log report vote rate bookmark favorite login forward trigger backup wake turn \
    reset archive transfer refund rollback void trash ban recall cleanup logout toggle \
    convert run query check return match filter display poll scan audit monitor view count search";
/// Things whose making is a loss, or moves money.
const HARM_NOUNS: &str = "\
    deletion deletions removal removals cancellation cancellations revocation revocations termination \
    terminations refund refunds reversal reversals chargeback dismissal dismissals rejection rejections \
    suspension suspensions deactivation invalidation invalidations eviction evictions purges rollback rollbacks \
    erasure erasures expulsion shutdown";
/// Money on its way.
const MONEY: &str = "\
    charge charges payment payments payout payouts transfer transfers topup topups withdrawal withdrawals purchase \
    purchases funds money remittance expense expenses salary salaries wage wages donation donations";
/// What an operation of an API is called that does whatever it is told.
const INTERPRETERS: &str = "graphql rpc jsonrpc sql shell repl";
/// The same for a tool, where these words name what it takes rather than what it is about.
const LANGUAGES: &str = "sql script command code python javascript js rpc graphql";
/// Where whatever is written is run.
const PROMPTS: &str = "shell bash cmd terminal repl powershell keystrokes";
/// What has a mark of having been read.
const MARKABLE: &str = "\
    message messages mail mails email emails notification notifications alert alerts conversation conversations \
    thread threads chat chats inbox";

/// The sense of a word in its base form.
pub(super) fn sense(word: &str) -> Option<Sense> {
    static SENSES: LazyLock<HashMap<&'static str, Sense>> = LazyLock::new(|| {
        // Where a word stands in two tables, the graver sense counts: it is put in last.
        let tables = [
            (READ, Sense::Read),
            (ACT, Sense::Act),
            (CHANGE, Sense::Change),
            (MAKE, Sense::Make),
            (UNSURE, Sense::Unsure),
            (HARM_OR_NOUN, Sense::HarmOrNoun),
            (HARM, Sense::Harm),
            (RUN, Sense::Run),
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

/// The sense of a word of prose, and whether it stands in the third person: `Deletes`, `Lists`, `Replies`.
pub(super) fn sense_in_prose(word: &str) -> Option<(Sense, bool)> {
    let base = sense(word).filter(|_| word != "is" && word != "has").map(|sense| (sense, word == "returns"));
    base.or_else(|| base_forms(word).find_map(|base| sense(&base)).map(|sense| (sense, true)))
}

fn base_forms(word: &str) -> impl Iterator<Item = String> {
    let without = |ending: &str, instead: &str| word.strip_suffix(ending).map(|stem| format!("{stem}{instead}"));
    [without("ies", "y"), without("s", ""), without("es", "")].into_iter().flatten()
}

/// Whether a verb is as often the name of a thing.
pub(super) fn is_noun(word: &str) -> bool {
    sense(word) == Some(Sense::HarmOrNoun) || stands_in(NOUNS, word)
}

pub(super) fn is_harm_noun(word: &str) -> bool {
    stands_in(HARM_NOUNS, word)
}

pub(super) fn is_money(word: &str) -> bool {
    stands_in(MONEY, word)
}

pub(super) fn is_interpreter(word: &str) -> bool {
    stands_in(INTERPRETERS, word)
}

pub(super) fn is_language(word: &str) -> bool {
    stands_in(LANGUAGES, word)
}

pub(super) fn is_prompt(word: &str) -> bool {
    stands_in(PROMPTS, word)
}

/// Whether a verb that looks may also reach out.
pub(super) fn reaches(word: &str) -> bool {
    stands_in(REACHES, word) || base_forms(word).any(|base| stands_in(REACHES, &base))
}

pub(super) fn is_minted(word: &str) -> bool {
    stands_in(MINTED, word)
}

pub(super) fn is_markable(word: &str) -> bool {
    stands_in(MARKABLE, word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_in_two_tables_has_its_graver_sense() {
        assert_eq!(sense("convert"), Some(Sense::Unsure));
        assert_eq!(sense("unstar"), Some(Sense::Undo));
        assert_eq!(sense("unsubscribe"), Some(Sense::Harm));
        assert_eq!(sense("frobnicate"), None);
    }

    #[test]
    fn prose_has_a_third_person() {
        assert_eq!(sense_in_prose("replies"), Some((Sense::Make, true)));
        assert_eq!(sense_in_prose("deletes"), Some((Sense::Harm, true)));
        assert_eq!(sense_in_prose("block"), Some((Sense::HarmOrNoun, false)));
        assert_eq!(sense_in_prose("return"), Some((Sense::Unsure, false)));
        assert_eq!(sense_in_prose("returns"), Some((Sense::Read, true)));
        assert_eq!(sense_in_prose("is"), None);
    }
}
