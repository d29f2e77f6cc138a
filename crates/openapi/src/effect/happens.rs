//! What a text says happens, apart from the verbs that lead its sentences.
//!
//! `Messages are removed`, `…, replacing it`, `logs the user out`: a looking verb in front of such words is no witness. They
//! only ever raise an effect. What a sentence tells of the things looked at (`tasks that were deleted`, `if it is locked`)
//! is not what happens, and neither is what it denies.

use super::names::{is_join, words};
use super::words::{Sense, is_noun, sense, sense_in_prose};

/// Behind these words a sentence tells of a thing, or of a case.
const RELATIVE: &str = "\
    that which who whom whose if when where whether unless once until after before because how what while as since \
    should must can cannot could may might whenever";
const AUXILIARIES: &str = "do does did has have had is are was were not";
const BE: &str = "is are was were be been being";
/// Participles that tell how an answer comes about, or what a request may hold. Any other says that something happens.
const DESCRIPTIVE: &str = "\
    returned given found used included required supported limited sorted ordered grouped filtered matched paginated shown \
    displayed listed described based called named known needed specified documented formatted encoded expected provided \
    identified represented defined determined computed calculated measured expressed considered treated interpreted parsed \
    ignored omitted excluded restricted allowed permitted accepted derived extracted rounded ranked scored converted \
    retrieved fetched checked compared validated evaluated located associated related paged capped truncated counted \
    indicated referred mentioned recommended deprecated authenticated authorized designed intended applied separated \
    mapped scoped hidden connected linked installed configured needed recorded need speed indeed written performed \
    aggregated deployed organized structured detected populated owned assigned";
/// Participles of verbs that nobody knows, where the ending does not show it.
const UNCLEAR: &str = "taken held drawn cut burnt";
const DETERMINERS: &str = "the a an all any it them its their this that these those every each";
const PARTICLES: &str = "out off";
/// By what means something is looked at.
const MEANS: &str = "\
    including excluding using following depending matching giving containing calling providing passing specifying combining \
    traversing leveraging walking naming";
/// What a sentence about a request or an answer begins with, which does nothing.
const TELLING: &str = "\
    supports includes requires contains uses needs works accepts takes defaults applies provides allows gives covers \
    combines handles respects considers ignores omits excludes assumes expects depends refers represents indicates means \
    offers helps enables lets corresponds this is has its as was does always performs conducts";
const IRREGULAR: [(&str, &str); 16] = [
    ("sent", "send"),
    ("paid", "pay"),
    ("sold", "sell"),
    ("bought", "buy"),
    ("made", "make"),
    ("written", "write"),
    ("overwritten", "overwrite"),
    ("withdrawn", "withdraw"),
    ("spent", "spend"),
    ("built", "build"),
    ("put", "put"),
    ("set", "set"),
    ("reset", "reset"),
    ("broken", "destroy"),
    ("lost", "delete"),
    ("shut", "shutdown"),
];

/// The gravest thing that a text says happens.
pub(super) fn happens(text: &str) -> Option<(String, Sense)> {
    everything(text).max_by_key(|(_, sense)| *sense)
}

/// Whether a text says that somebody pays.
pub(super) fn pays(text: &str) -> Option<String> {
    everything(text).map(|(word, _)| word).find(|word| among("charged billed debited", word))
}

/// Whether a text says that something is gone after: `messages are removed`.
pub(super) fn takes_away(text: &str) -> Option<String> {
    let gone = "deleted removed revoked destroyed erased purged wiped cleared emptied";
    let sentences = text.split('\n').flat_map(|line| line.split(". ")).take(200).map(tokens);
    sentences
        .into_iter()
        .find_map(|said| behind_be(&said).into_iter().find(|word| among(gone, word)).map(str::to_owned))
}

/// A word of which nobody knows whether what it says happens is harmless: `the sample is consumed`, `…, applying it`.
pub(super) fn unclear(text: &str) -> Option<String> {
    let sentences = text.split('\n').flat_map(|line| line.split(". ")).take(200);
    let unknown =
        |said: Vec<Word>| unknown_passive(&said).or_else(|| unknown_gerund(&said)).or_else(|| unknown_lead(&said));
    sentences.map(tokens).find_map(unknown)
}

fn everything(text: &str) -> impl Iterator<Item = (String, Sense)> {
    text.split('\n').flat_map(|line| line.split(". ")).take(200).flat_map(in_sentence)
}

#[derive(Debug)]
struct Word {
    text: String,
    /// Whether a comma or a word that joins stands before it.
    joined: bool,
}

fn in_sentence(sentence: &str) -> Vec<(String, Sense)> {
    let said = tokens(sentence);
    let mut found = particle_apart(&said).into_iter().collect::<Vec<_>>();
    found.extend(gerunds(&said));
    found.extend(behind_be(&said).into_iter().filter_map(|word| Some((word.to_owned(), participle(word)?))));
    found.extend(third_persons(&said));
    found.extend(behind_a_subject(&said));
    found
}

fn unknown_passive(said: &[Word]) -> Option<String> {
    let unknown = |word: &&str| {
        let shaped = word.ends_with("ed") || among(UNCLEAR, word);
        let known = || {
            word.strip_suffix("ed")
                .into_iter()
                .flat_map(stems)
                .any(|base| sense(&base).is_some_and(|sense| sense != Sense::Run))
        };
        shaped && !among(DESCRIPTIVE, word) && participle(word).is_none() && !known()
    };
    behind_be(said).into_iter().find(unknown).map(str::to_owned)
}

/// `Casts the vote`: a word of the third person that nobody knows, with an object or alone.
fn unknown_lead(said: &[Word]) -> Option<String> {
    let (lead, rest) = said.split_first()?;
    let third =
        lead.text.len() > 3 && lead.text.ends_with('s') && !lead.text.ends_with("ss") && !lead.text.ends_with("us");
    let object = rest.first().is_none_or(|next| among(DETERMINERS, &next.text));
    let known = sense_in_prose(&lead.text).is_some() || among(TELLING, &lead.text);
    (third && object && !known).then(|| lead.text.clone())
}

fn unknown_gerund(said: &[Word]) -> Option<String> {
    let told = |base: String| sense(&base).is_some();
    let unknown = |word: &&Word| word.text.strip_suffix("ing").is_some_and(|stem| !stems(stem).any(told));
    let harmless = |word: &&Word| among(MEANS, &word.text);
    determined_gerunds(said).filter(|word| !harmless(word)).find(unknown).map(|word| word.text.clone())
}

/// `The robot stops`, `the doors lock`: a sentence's own verb, behind a subject of two words.
fn behind_a_subject(said: &[Word]) -> Option<(String, Sense)> {
    let [article, subject, verb, ..] = said else { return None };
    let plural = subject.text.ends_with('s');
    let base = if plural { Some(verb.text.as_str()) } else { verb.text.strip_suffix('s') }?;
    let own = among(DETERMINERS, &article.text) && sense(&subject.text).is_none() && !verb.joined;
    Some((verb.text.clone(), does(base).filter(|_| own)?))
}

/// `The letter destroys itself`.
fn third_persons(said: &[Word]) -> Vec<(String, Sense)> {
    let verbs = said.iter().enumerate().skip(1).filter(|(at, word)| !word.joined && !tells_of_a_thing(said, *at));
    let harm = verbs.filter_map(|(_, word)| Some((word.text.clone(), does(word.text.strip_suffix('s')?)?)));
    harm.filter(|(word, sense)| *sense == Sense::Harm && !is_noun(word.trim_end_matches('s'))).collect()
}

/// What stands where a participle may: `are removed`, `is queued and billed`, `will be reset`.
fn behind_be(said: &[Word]) -> Vec<&str> {
    if said.first().is_some_and(|word| matches!(word.text.as_str(), "nothing" | "no" | "none")) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let is = |(at, word): &(usize, &Word)| {
        among(BE, &word.text) || (*at > 1 && matches!(word.text.as_str(), "gets" | "get"))
    };
    for (at, _) in said.iter().enumerate().filter(is) {
        let denied =
            at.checked_sub(1).and_then(|before| said.get(before)).is_some_and(|word| among("not never", &word.text));
        if denied || tells_of_a_thing(said, at) {
            continue;
        }
        let rest = said.get(at + 1..).unwrap_or_default();
        let adverbs =
            rest.iter().take_while(|word| word.text.ends_with("ly") || among("then also now being be", &word.text));
        let behind = rest.get(adverbs.count()..).unwrap_or_default();
        for (place, word) in behind.iter().enumerate().take_while(|(place, word)| *place == 0 || word.joined) {
            if place > 0 && !word.text.ends_with("ed") {
                break;
            }
            found.push(word.text.as_str());
        }
    }
    found
}

/// Whether the verb at a place belongs to a word that tells of a thing, with no other verb between.
fn tells_of_a_thing(said: &[Word], at: usize) -> bool {
    // `whether it is queued or was cancelled`: the second verb belongs to the first.
    let chained = said.get(at).is_some_and(|word| word.joined);
    let from = if chained { 0 } else { at.saturating_sub(5) };
    let before = said.get(from..at).unwrap_or_default();
    // `a job, which is billed` tells what happens; `jobs which are billed` tells which.
    let relative = |word: &Word| among(RELATIVE, &word.text) && !(word.joined && word.text == "which");
    let Some(relative) = before.iter().rposition(relative) else { return false };
    let between = before.get(relative + 1..).unwrap_or_default();
    // `that have been` is one verb.
    let between = match between.split_last() {
        Some((last, rest)) if among(AUXILIARIES, &last.text) => rest,
        _ => between,
    };
    chained || !between.iter().any(|word| among(AUXILIARIES, &word.text))
}

fn participle(word: &str) -> Option<Sense> {
    if among(DESCRIPTIVE, word) {
        return None;
    }
    let irregular = IRREGULAR.iter().find(|(form, _)| *form == word).map(|(_, base)| (*base).to_owned());
    let regular = word.strip_suffix("ed").into_iter().flat_map(stems);
    let tied = word.strip_suffix("ied").map(|stem| format!("{stem}y"));
    irregular.into_iter().chain(tied).chain(regular).find_map(|base| does(&base))
}

/// `…, replacing it` and `… and clearing the rest`.
fn gerunds(said: &[Word]) -> Vec<(String, Sense)> {
    determined_gerunds(said)
        .filter_map(|word| {
            let sense = word.text.strip_suffix("ing").into_iter().flat_map(stems).find_map(|base| does(&base))?;
            Some((word.text.clone(), sense))
        })
        .collect()
}

fn determined_gerunds(said: &[Word]) -> impl Iterator<Item = &Word> {
    let pairs = said.iter().zip(said.iter().skip(1));
    let determined = pairs.filter(|(word, next)| word.joined && among(DETERMINERS, &next.text));
    determined.map(|(word, _)| word)
}

/// `logs the user out`: verb and particle with their object between them.
fn particle_apart(said: &[Word]) -> Option<(String, Sense)> {
    let lead = said.first()?;
    let base = lead.text.strip_suffix('s').unwrap_or(&lead.text);
    let particle = said.iter().skip(2).take(3).find(|word| among(PARTICLES, &word.text))?;
    let verb = format!("{base}{}", particle.text);
    let sense = does(&verb)?;
    Some((verb, sense))
}

/// What a verb does, if it does more than look.
fn does(base: &str) -> Option<Sense> {
    sense(base).filter(|sense| sense.is_write() || sense.is_harm())
}

/// What a form may come from: `stopp`, `remov`, `clear`.
fn stems(stem: &str) -> impl Iterator<Item = String> {
    let doubled = stem.chars().rev().take(2).collect::<Vec<_>>();
    let single = match doubled.as_slice() {
        [last, before] if last == before => stem.strip_suffix(*last).map(str::to_owned),
        _ => None,
    };
    [Some(format!("{stem}e")), Some(stem.to_owned()), single].into_iter().flatten()
}

fn among(table: &str, word: &str) -> bool {
    table.split_whitespace().any(|known| known == word)
}

fn tokens(sentence: &str) -> Vec<Word> {
    let mut said = Vec::new();
    let mut joined = false;
    for raw in sentence.split_whitespace() {
        let text = words(raw).concat();
        if text.is_empty() {
            continue;
        }
        if is_join(&text) {
            joined = true;
            continue;
        }
        said.push(Word { text, joined });
        // `by rolling it out` joins a means that may be a deed.
        joined = raw.ends_with([',', ';', ':']) || said.last().is_some_and(|word| word.text == "by");
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Option<Sense> {
        happens(text).map(|(_, sense)| sense)
    }

    #[test]
    fn what_happens_is_heard_behind_any_verb() {
        for (text, sense) in [
            ("fetches new mail. messages are removed from the server.", Sense::Harm),
            ("renders a video. a job is queued and revoked", Sense::Harm),
            ("messages that were seen are marked as read", Sense::Act),
            ("hosts that do not answer are dropped from the inventory", Sense::Harm),
            ("any attribute that is not provided will be reset", Sense::Harm),
            ("downloads a file, replacing it", Sense::Harm),
            ("logs the user out everywhere", Sense::Harm),
            ("detects intruders. the doors lock if there is one", Sense::HarmOrNoun),
            ("lists keys. keys older than a year get deleted on the way", Sense::Harm),
            ("views a letter. the letter destroys itself", Sense::Harm),
            ("queues a job, which is billed", Sense::HarmOrNoun),
        ] {
            assert_eq!(said(text), Some(sense), "{text}");
        }
    }

    #[test]
    fn what_is_told_of_a_thing_or_denied_does_not_happen() {
        for text in [
            "lists tasks that were deleted",
            "reports whether a branch is deleted",
            "lists hosts, including those that have been removed",
            "nothing is stored",
            "the report is not sent",
            "results are sorted by name",
            "shows how a mail will look, without sending it",
            "gets a status: whether a job is queued, running or was cancelled",
        ] {
            assert_eq!(said(text), None, "{text}");
        }
        assert_eq!(pays("tokens are counted, you will not be charged"), None);
        assert_eq!(pays("the card is charged").as_deref(), Some("charged"));
    }

    #[test]
    fn what_happens_by_a_verb_that_nobody_knows_is_unclear() {
        for (text, word) in [
            ("analyzes a sample. the sample is frobnicated", Some("frobnicated")),
            ("validates a license. a seat is taken", Some("taken")),
            ("parses the text, frobnicating it", Some("frobnicating")),
            ("validates a vote. casts the vote when it is valid", Some("casts")),
            ("previews a release by frobnicating it", Some("frobnicating")),
            ("gets an order by giving its number", None),
            ("validates code. the code is executed on the host", Some("executed")),
            ("lists samples that were frobnicated", None),
            ("results are sorted by name and rendered as text", None),
            ("describes an instance, including its tags", None),
        ] {
            assert_eq!(unclear(text).as_deref(), word, "{text}");
        }
    }
}
