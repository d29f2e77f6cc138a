//! The effect of an operation of a REST API.
//!
//! All that is written about the operation is read once; then the method says how doubt is resolved. A safe method reads
//! unless something speaks against it, `DELETE` destroys unless it only gives something back, and whatever may change
//! something is destructive unless its words say clearly that it is not.

use ambit_model::Effect;
use http::Method;

use super::names::Name;
use super::prose::Sentence;
use super::words::{self, Sense};
use super::{Facts, Judged, evidence};
use crate::text::clean;

/// Verbs whose product is the answer itself, where the method is safe.
const ANSWERS: [&str; 6] = ["export", "generate", "render", "build", "compose", "mint"];
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
        let path = words_of(self.facts.path);
        let echoes = self.id.words().split_first().is_some_and(|(first, rest)| {
            first.eq_ignore_ascii_case(self.method()) && rest.iter().all(|word| path.contains(word))
        });
        self.id.reads() && !(echoes && self.ending.alone().is_some())
    }

    fn of_safe_method(&self) -> Judged {
        let method = self.method();
        let in_names = [("operation id", &self.id), ("path", &self.ending)].into_iter();
        let in_names = in_names.filter_map(|(place, name)| Some((place, self.against_looking(name)?)));
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
        match self.id.verb() {
            Some((verb, Sense::Read)) => (Effect::Read, format!("the method `{method}` and `{verb}` only look")),
            _ => (Effect::Read, format!("the method `{method}` only looks, and no word speaks against it")),
        }
    }

    /// The gravest word of a name that does more than look.
    fn against_looking<'n>(&self, name: &'n Name) -> Option<(&'n str, Sense)> {
        let is_id = std::ptr::eq(name, &self.id);
        let reads = self.id_reads() || self.summary.reads();
        let anything = name.words().iter().find(|word| words::is_interpreter(word));
        // A channel is opened where an operation says so first, or where a path ends.
        let channel =
            if is_id { name.verb().map(|(verb, _)| verb).filter(|verb| *verb != "attach") } else { name.last() };
        let channel = channel.filter(|word| CHANNELS.contains(word));
        let anything = anything.map(String::as_str).or(channel);
        if let Some(word) = anything.filter(|_| !(name.begins_by_reading() || self.id.begins_by_reading())) {
            return Some((word, Sense::Run));
        }
        let counts = |(verb, sense): &(&str, Sense)| does_more(verb, *sense) && !(reads && words::is_noun(verb));
        // A path names things, and an operation id that looks at them vouches for it.
        let verb = name.verb().filter(counts).filter(|_| is_id || !self.id_reads());
        let others = name.other_verbs().filter(counts).filter(|_| is_id);
        let joined = name.joined().filter(|(verb, sense)| does_more(verb, *sense) && (is_id || !words::is_noun(verb)));
        verb.into_iter().chain(others).chain(joined).max_by_key(|(_, sense)| *sense)
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

    fn of_changing_method(&self) -> Judged {
        if let Some(reason) = self.runs_anything().or_else(|| self.harm_in_words()).or_else(|| self.harm_in_meaning()) {
            return (Effect::Destructive, reason);
        }
        if *self.facts.method == Method::POST
            && let Some(reason) = self.keeps_nothing().or_else(|| self.only_reads())
        {
            return (Effect::Read, reason);
        }
        let mut id = self.id.verb().into_iter().chain(self.id.joined()).chain(self.id.other_verbs());
        let id = id.find(|(_, sense)| sense.is_write()).map(|(verb, sense)| (verb.to_owned(), sense));
        let named = id.or_else(|| {
            let unread = !matches!(self.id.sense(), Some(Sense::Unsure));
            self.summary.lead().filter(|(_, sense)| sense.is_write() && unread)
        });
        match named {
            Some(_) if self.id.is_joined_to_the_unknown() => (Effect::Destructive, self.unclear()),
            Some((verb, Sense::Make)) => (Effect::Write, format!("`{verb}` adds something")),
            Some((verb, Sense::Change)) => {
                (Effect::Write, format!("`{verb}` changes something that can be changed back"))
            }
            Some((verb, _)) => (Effect::Write, format!("`{verb}` takes nothing away")),
            None => (Effect::Destructive, self.unclear()),
        }
    }

    fn unclear(&self) -> String {
        let name = if self.shown_id.is_empty() {
            clean(&format!("{} {}", self.method(), self.facts.path), 100)
        } else {
            self.shown_id.clone()
        };
        format!("nothing says clearly what `{name}` does, and unclear counts as destructive")
    }

    fn runs_anything(&self) -> Option<String> {
        let runs = |word: &str| format!("`{word}` runs whatever it is given");
        let id = self.id.words().iter();
        if let Some(word) = id.chain(self.ending.words()).find(|word| words::is_interpreter(word)) {
            return Some(runs(word));
        }
        let verbs = self.id.verb().into_iter().chain(self.ending.verb());
        let beside = self.id.other_verbs().chain(self.ending.other_verbs());
        // `Run a search` of what is called `search` runs nothing else.
        let search = self.id.reads();
        if let Some((word, _)) = verbs.chain(beside).find(|(_, sense)| *sense == Sense::Run) {
            return Some(runs(word));
        }
        if let Some((word, Sense::Run)) = self.summary.lead().filter(|_| !search) {
            return Some(runs(&word));
        }
        let spared = search || self.id.sense().is_some_and(Sense::is_write);
        self.program().filter(|_| !spared).map(|name| format!("the argument `{name}` is a program"))
    }

    /// An argument that is a program.
    fn program(&self) -> Option<String> {
        let mut names = self.facts.arguments.iter().map(|(name, _)| *name);
        names.find(|name| evidence::is_program(name)).map(|name| clean(name, 60))
    }

    /// Loss named by a word: in the operation id, the summary or the end of the path.
    fn harm_in_words(&self) -> Option<String> {
        let loss =
            |verb: &str, place: &str| format!("`{verb}` in {place} takes something away or cannot be taken back");
        let id = || format!("the operation id `{}`", self.shown_id);
        let sense = self.id.sense();
        if let Some((verb, _)) = self.id.verb().into_iter().chain(self.id.joined()).find(|(_, sense)| sense.is_harm()) {
            return Some(loss(verb, &id()));
        }
        // What is made may be the means to an end: `create-remove-token`.
        let made = sense == Some(Sense::Make);
        if let Some((verb, _)) = self.id.other_verbs().find(|(_, sense)| !made && *sense == Sense::Harm) {
            return Some(loss(verb, &id()));
        }
        let undoes = sense == Some(Sense::Undo);
        let joined = self.summary.joined().into_iter();
        let mut said = self.summary.lead().into_iter().chain(joined).filter(|(_, sense)| sense.is_harm() && !undoes);
        if let Some((verb, _)) = said.next() {
            return Some(loss(&verb, "the summary"));
        }
        self.harm_in_nouns().or_else(|| {
            let means = self.ending.sense()?;
            let alone = self.ending.alone().is_some();
            let spared = sense == Some(Sense::Read) || undoes;
            let counts = match means {
                Sense::Harm => alone || !(spared || made),
                Sense::HarmOrNoun => alone && !spared,
                _ => false,
            };
            counts.then(|| loss(&self.ending.words().join("-"), "the path"))
        })
    }

    /// Things whose making is a loss, and money that is moved.
    fn harm_in_nouns(&self) -> Option<String> {
        let sense = self.id.sense().or_else(|| self.summary.sense());
        if sense == Some(Sense::Read) || sense == Some(Sense::Undo) {
            return None;
        }
        let last = [self.id.last(), self.ending.last()].into_iter().flatten();
        if let Some(noun) = last.clone().find(|word| words::is_harm_noun(word)) {
            return Some(format!("`{noun}` is a loss"));
        }
        let made = last.chain(self.ending.words().first().map(String::as_str));
        let money = match sense? {
            Sense::Make => made.into_iter().find(|word| words::is_money(word))?,
            Sense::Act => self.id.words().iter().map(String::as_str).find(|word| words::is_money(word))?,
            _ => return None,
        };
        Some(format!("`{money}` moves money"))
    }

    /// Loss by what is said or what can be chosen.
    fn harm_in_meaning(&self) -> Option<String> {
        let said = |phrase: &str| format!("the description says `{phrase}`");
        if let Some(phrase) = evidence::loss(&self.text) {
            return Some(said(phrase));
        }
        let upserts = self.id.joined().any(|(_, sense)| matches!(sense, Sense::Change | Sense::Harm));
        let sense = self.id.sense();
        if matches!(sense, Some(Sense::Read | Sense::Undo)) && !upserts {
            return None;
        }
        let makes = sense == Some(Sense::Make) && !upserts;
        if makes && *self.facts.method == Method::POST {
            return None;
        }
        let described = Sentence::of(&self.text);
        let resolves = described.joined().iter().any(|(verb, _)| verb.starts_with("resolve"));
        let first = || described.harm().or_else(|| self.summary.harm()).or(resolves.then_some("resolve"));
        if let Some(phrase) = evidence::replacement(&self.text).or_else(first) {
            return Some(said(phrase));
        }
        // What is only being made has nothing to force or archive, and a question may ask for what is archived.
        let asks = sense == Some(Sense::Unsure) && self.is_a_question();
        self.chosen_harm().filter(|_| !makes && !asks).or_else(|| self.replaces_a_list())
    }

    /// An argument that can take something away.
    fn chosen_harm(&self) -> Option<String> {
        let nested = self
            .facts
            .arguments
            .iter()
            .filter(|(name, _)| *name == "body")
            .flat_map(|(_, schema)| evidence::members(schema));
        let mut all = self.facts.arguments.iter().copied().chain(nested);
        all.find_map(|(name, schema)| evidence::harmful_argument(name, schema))
    }

    /// `PUT` of a whole list to where the list is.
    fn replaces_a_list(&self) -> Option<String> {
        let collection = self.ending.last().is_some_and(|word| word.ends_with('s') && !word.ends_with("ss"));
        let adds = matches!(self.summary.sense(), Some(Sense::Make | Sense::Act));
        let whole = self.facts.arguments.iter().filter(|(name, _)| *name == "body").any(|(_, schema)| {
            evidence::is_list(schema) || evidence::members(schema).iter().any(|(_, member)| evidence::is_list(member))
        });
        let lists = self.facts.arguments.iter().any(|(_, schema)| evidence::is_list(schema));
        (*self.facts.method == Method::PUT && collection && !adds && (whole || lists))
            .then(|| format!("the method `PUT` replaces the whole list `{}`", self.ending.words().join("-")))
    }

    /// A sentence that nothing is kept: it is believed of what looks or makes, never of what acts or changes.
    fn keeps_nothing(&self) -> Option<String> {
        let sense = self.id.sense().or_else(|| self.summary.sense());
        let mut verbs = self.id.other_verbs().chain(self.id.joined());
        let calm = matches!(sense, Some(Sense::Read | Sense::Unsure | Sense::Make))
            && verbs.all(|(_, sense)| matches!(sense, Sense::Read | Sense::Unsure | Sense::Make))
            && matches!(self.summary.sense(), None | Some(Sense::Read | Sense::Unsure | Sense::Make));
        let phrase = evidence::nothing_kept(&self.text).filter(|_| calm)?;
        Some(format!("the description says `{phrase}`"))
    }

    /// Whether `POST` only reads: its words agree that it looks.
    fn only_reads(&self) -> Option<String> {
        let mut beside = self.id.other_verbs().chain(self.id.joined()).map(|(_, sense)| sense);
        let said: Vec<_> = self.summary.joined().into_iter().map(|(_, sense)| sense).collect();
        let looks = |sense: Sense| matches!(sense, Sense::Read | Sense::Unsure);
        if beside.any(|sense| !looks(sense)) || said.into_iter().any(|sense| !looks(sense)) {
            return None;
        }
        if self.id.is_joined_to_the_unknown() || self.summary.joined_unknown().is_some() {
            return None;
        }
        let summary = self.summary.sense();
        match self.id.verb() {
            Some((verb, Sense::Read)) if matches!(summary, None | Some(Sense::Read | Sense::Unsure | Sense::Run)) => {
                Some(format!("`{verb}` only looks, `POST` only carries the question"))
            }
            Some((verb, Sense::Unsure)) if self.summary.reads() || self.description_reads() => {
                Some(format!("`{verb}` only looks, as the description says"))
            }
            Some((verb, Sense::Unsure)) if matches!(summary, None | Some(Sense::Unsure)) && self.is_a_question() => {
                Some(format!("`{verb}` is asked with what to filter and how to page, and only looks"))
            }
            None if self.summary.reads() => {
                let (verb, _) = self.summary.lead()?;
                Some(format!("`{verb}` in the summary only looks"))
            }
            None if summary.is_none() && self.id.words().is_empty() && self.ending.reads() => {
                Some(format!("the path ends in `{}`, which only looks", self.ending.words().join("-")))
            }
            _ => None,
        }
    }

    fn description_reads(&self) -> bool {
        let said = Sentence::of(&self.text);
        said.reads() && said.joined().into_iter().all(|(_, sense)| matches!(sense, Sense::Read | Sense::Unsure))
    }

    fn is_a_question(&self) -> bool {
        let nested = self.facts.arguments.iter().filter(|(name, _)| *name == "body");
        let nested = nested.flat_map(|(_, schema)| evidence::members(schema)).map(|(name, _)| name);
        self.facts.arguments.iter().map(|(name, _)| *name).chain(nested).any(evidence::asks)
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

fn is_answer(verb: &str) -> bool {
    ANSWERS.iter().any(|answer| verb == *answer || verb.strip_suffix('s') == Some(answer))
}

fn words_of(path: &str) -> Vec<String> {
    super::names::words(path)
}
