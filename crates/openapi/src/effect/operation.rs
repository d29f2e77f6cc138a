//! The effect of an operation of a REST API.
//!
//! All that is written about the operation is read once; then the method says how doubt is resolved. A safe method reads
//! unless something speaks against it, `DELETE` destroys unless it only gives something back, and whatever may change
//! something is destructive unless its words say clearly that it is not.

mod besides;
mod changing;

use ambit_model::Effect;
use http::Method;

use super::names::{self, Name};
use super::prose::Sentence;
use super::words::{self, Sense};
use super::{Facts, Judged, evidence, happens};
use crate::text::clean;

/// Verbs whose product is the answer itself, where the method is safe.
const ANSWERS: [&str; 6] = ["export", "generate", "render", "build", "compose", "mint"];
/// What stands before a thing and tells which: `dailyForecast`.
const WHICH: &str = "\
    next last first latest current daily weekly monthly yearly hourly recent all my own public private new popular top \
    active available upcoming trending random today yesterday default global total average max min";
/// How names of things end.
const OF_THINGS: [&str; 10] = ["s", "tion", "sion", "ment", "ity", "ness", "ance", "ence", "ship", "info"];
/// Channels on which anything may be said.
const CHANNELS: [&str; 4] = ["connect", "attach", "tunnel", "proxy"];

/// The parts of an operation, read once.
pub(super) struct Reading<'a> {
    facts: &'a Facts<'a>,
    id: Name,
    /// The operation id as shown in reasons.
    shown_id: String,
    /// The first sentence of the summary, and without one of the description.
    summary: Sentence,
    /// The last path segment, where it is no variable.
    ending: Name,
    text: String,
}

impl<'a> Reading<'a> {
    pub(super) fn of(facts: &'a Facts<'a>) -> Self {
        let full = facts.operation_id.unwrap_or_default();
        // `GET_DescribeInstances`: the method in front of the name.
        let bare = full.strip_prefix(facts.method.as_str()).and_then(|rest| rest.strip_prefix('_')).unwrap_or(full);
        // `tag/operation` and `resource.method`: the operation is behind the tag, unless only the tag says something.
        let behind = Name::of(bare.rsplit(['/', ':']).next().unwrap_or(bare));
        let id = if behind.verb().is_none() { Name::of(bare) } else { behind };
        let last = facts.path.rsplit(['/', ':']).find(|segment| !segment.is_empty()).unwrap_or_default();
        let ending = if last.contains('{') { Name::default() } else { Name::of(last) };
        let said = if facts.summary.trim().is_empty() { facts.description } else { facts.summary };
        Self {
            facts,
            shown_id: clean(full, 80),
            id,
            summary: Sentence::of(&clean(said, 2_000)),
            ending,
            text: evidence::prepared(facts.description),
        }
    }

    pub(super) fn effect(&self) -> Judged {
        match *self.facts.method {
            Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE => self.of_safe_method(),
            Method::DELETE => self.of_delete(),
            _ => self.of_changing_method(),
        }
    }

    fn method(&self) -> &str {
        self.facts.method.as_str()
    }

    /// Whether the operation id says that it only looks. One that only repeats method and path says nothing.
    fn id_reads(&self) -> bool {
        let path = names::words(self.facts.path);
        let echoes = self.id.words().split_first().is_some_and(|(first, rest)| {
            first.eq_ignore_ascii_case(self.method()) && rest.iter().all(|word| path.contains(word))
        });
        self.id.reads() && !(echoes && self.ending.alone().is_some())
    }

    fn of_safe_method(&self) -> Judged {
        let method = self.method();
        if self.summary.opens_a_channel() {
            return (Effect::Destructive, "on a channel anything may be said".to_owned());
        }
        let in_names = [("operation id", self.id_against_looking()), ("path", self.path_against_looking())];
        let in_names = in_names.into_iter().filter_map(|(place, found)| Some((place, found?)));
        let in_names = in_names.map(|(place, (word, sense))| (place, word.to_owned(), sense));
        let in_summary = self.said_against_looking().map(|(word, sense)| ("summary", word, sense));
        if let Some((place, word, sense)) = in_names.chain(in_summary).max_by_key(|(.., sense)| *sense) {
            let effect = if sense.is_write() { Effect::Write } else { Effect::Destructive };
            return (effect, format!("`{word}` in the {place} does more than look, though the method is `{method}`"));
        }
        let unknown = self.summary.unknown_command().filter(|_| !self.id_reads());
        if let Some(word) = unknown.or_else(|| self.summary.joined_unknown()) {
            let word = clean(word, 40);
            return (
                Effect::Destructive,
                format!("the summary says `{word}`, which is unclear and counts as destructive"),
            );
        }
        if let Some(name) = self.program().filter(|_| !self.id.reads()) {
            return (Effect::Destructive, format!("the argument `{name}` is a program"));
        }
        if let Some(word) = happens::takes_away(&self.all_said()) {
            return (
                Effect::Destructive,
                format!("it is said that something is `{word}`, though the method is `{method}`"),
            );
        }
        if let Some(word) = self.unknown_action() {
            let word = clean(word, 40);
            return (
                Effect::Destructive,
                format!("`{word}` names no resource and is unclear, which counts as destructive"),
            );
        }
        match self.id.verb() {
            Some((verb, Sense::Read)) => (Effect::Read, format!("the method `{method}` and `{verb}` only look")),
            _ if self.summary.reads() => {
                (Effect::Read, format!("the method `{method}` and the summary say that it only looks"))
            }
            _ => {
                let reason =
                    format!("only the method `{method}` says that it looks: no verb that is known, for or against it");
                (Effect::Read, reason)
            }
        }
    }

    /// Whether a reading effect rests on the method and on no word.
    pub(super) fn is_by_method_alone(&self, effect: Effect) -> bool {
        let said = self.id.sense() == Some(Sense::Read) || self.summary.reads();
        effect == Effect::Read && self.facts.method.is_safe() && !said
    }

    /// A word that leads the operation id as a verb would, which nobody knows: `armDevice` of `/device/arm`. A thing is
    /// named in the path too, or is told apart from others of its kind, or ends as names of things do; and a summary that
    /// says more than the name is heard instead.
    fn unknown_action(&self) -> Option<&str> {
        let (first, rest) = self.id.words().split_first()?;
        if self.id.verb().is_some() || !(self.summary.is_empty() || self.summary.begins_with(first)) {
            return None;
        }
        let which = WHICH.split_whitespace().any(|word| word == first);
        if which || OF_THINGS.iter().any(|ending| first.ends_with(ending)) {
            return None;
        }
        let plural = format!("{first}s");
        let in_path = names::words(self.facts.path).iter().any(|word| word == first || *word == plural);
        let acts = !rest.is_empty() && self.ending.alone() == Some(first);
        (acts || !in_path).then_some(first)
    }

    /// The gravest word of the operation id that does more than look.
    fn id_against_looking(&self) -> Option<(&str, Sense)> {
        // A channel is opened where an operation says so first; a volume is attached.
        let verb = self.id.verb().map(|(verb, _)| verb).filter(|verb| *verb != "attach");
        if let Some(word) = anything(&self.id, verb).filter(|_| !self.id.begins_by_reading()) {
            return Some((word, Sense::Run));
        }
        let reads = self.id_reads() || self.summary.reads();
        let counts = |(verb, sense): &(&str, Sense)| does_more(verb, *sense) && !(reads && words::is_noun(verb));
        // `bookById` names a book.
        let verb = self.id.verb().filter(|(verb, _)| !(words::is_noun(verb) && self.id.is_found_by()));
        let words = verb.into_iter().chain(self.id.other_verbs()).filter(counts);
        let joined = self.id.joined().filter(|(verb, sense)| does_more(verb, *sense));
        words.chain(joined).max_by_key(|(_, sense)| *sense)
    }

    /// The gravest word of the last path segment that does more than look. A path names things, and an operation id that
    /// looks at them vouches for it.
    fn path_against_looking(&self) -> Option<(&str, Sense)> {
        let vouched = self.id.begins_by_reading() || self.ending.begins_by_reading();
        if let Some(word) = anything(&self.ending, self.ending.last()).filter(|_| !vouched) {
            return Some((word, Sense::Run));
        }
        let counts =
            |(verb, sense): &(&str, Sense)| does_more(verb, *sense) && !(self.summary.reads() && words::is_noun(verb));
        let verb = self.ending.verb().filter(|(verb, _)| !is_answer(verb) || self.ending.alone().is_some_and(makes));
        let verb = verb.filter(|found| counts(found) || makes(found.0)).filter(|_| !self.id_reads());
        let joined = self.ending.joined().filter(|(verb, sense)| does_more(verb, *sense) && !words::is_noun(verb));
        verb.into_iter().chain(joined).max_by_key(|(_, sense)| *sense)
    }

    /// The gravest verb of the summary that does more than look.
    fn said_against_looking(&self) -> Option<(String, Sense)> {
        let verb = self.summary.lead_is_a_verb();
        let lead = self.summary.lead().filter(|(word, _)| verb && !(words::is_noun(word) && self.id_reads()));
        let lead = lead.filter(|(word, _)| !is_answer(word));
        let joined = self.summary.joined().into_iter().filter(|(word, sense)| does_more(word, *sense));
        let all = lead.into_iter().chain(joined).filter(|(_, sense)| !matches!(sense, Sense::Read | Sense::Unsure));
        all.max_by_key(|(_, sense)| *sense)
    }

    fn of_delete(&self) -> Judged {
        let graver = self.id.joined().any(|(_, sense)| sense.is_harm());
        match self.id.verb() {
            Some((verb, Sense::Undo)) if !graver => (Effect::Write, format!("`{verb}` only gives something back")),
            _ => (Effect::Destructive, "the method `DELETE` takes something away".to_owned()),
        }
    }
}

/// Whether a word does more than look where the method is safe: a harm always, another verb only where it is no noun.
fn does_more(verb: &str, sense: Sense) -> bool {
    match sense {
        Sense::Read | Sense::Unsure => false,
        Sense::Make | Sense::Change | Sense::Act | Sense::Undo => !words::is_noun(verb) && !is_answer(verb),
        Sense::Harm | Sense::HarmOrNoun | Sense::Run => true,
    }
}

/// A word for what does whatever it is told: an interpreter, or a channel at the given place.
fn anything<'n>(name: &'n Name, channel: Option<&'n str>) -> Option<&'n str> {
    let interpreter = name.words().iter().map(String::as_str).find(|word| words::is_interpreter(word));
    interpreter.or_else(|| channel.filter(|word| CHANNELS.contains(word)))
}

/// Whether a verb makes something where a path ends in it alone: `/reports/generate`, not `/reports/export`.
fn makes(verb: &str) -> bool {
    matches!(verb, "generate" | "build" | "compose" | "mint")
}

fn is_answer(verb: &str) -> bool {
    ANSWERS.iter().any(|answer| verb == *answer || verb.strip_suffix('s') == Some(answer))
}
