//! Operations that may change something: `POST`, `PUT`, `PATCH`.
//!
//! Loss is looked for first, in words and then in meaning; then `POST` may turn out to look only; then the words must say
//! clearly that something is added or changed. Whatever is left is destructive.

use ambit_model::Effect;
use http::Method;

use super::Reading;
use crate::effect::prose::Sentence;
use crate::effect::words::{self, Sense};
use crate::effect::{Judged, evidence};
use crate::text::clean;

impl Reading<'_> {
    pub(super) fn of_changing_method(&self) -> Judged {
        let harm = self.runs_anything().or_else(|| self.harm_in_words()).or_else(|| self.harm_in_meaning());
        if let Some(reason) = harm.or_else(|| self.writes_over()).or_else(|| self.harm_happens()) {
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
            None => match self.adds_besides() {
                Some(reason) => (Effect::Write, reason),
                None => (Effect::Destructive, self.unclear()),
            },
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
        let command = [self.id.last(), self.ending.alone()].into_iter().flatten();
        let sent = self.id.sense().is_none_or(|sense| sense == Sense::Act);
        if let Some(word) = command.into_iter().find(|word| sent && matches!(*word, "command" | "commands")) {
            return Some(runs(word));
        }
        let verbs = self.id.verb().into_iter().chain(self.ending.verb());
        let beside = self.id.other_verbs().chain(self.ending.other_verbs());
        // `Run a search` of what is called `search` runs nothing else.
        let search = self.id.reads();
        if let Some((word, _)) = verbs.chain(beside).find(|(_, sense)| *sense == Sense::Run) {
            return Some(runs(word));
        }
        if self.summary.opens_a_channel() {
            return Some("on a channel anything may be said".to_owned());
        }
        if let Some((word, Sense::Run)) = self.summary.lead().filter(|_| !search) {
            return Some(runs(&word));
        }
        let spared = search || self.id.sense().is_some_and(Sense::is_write);
        self.program().filter(|_| !spared).map(|name| format!("the argument `{name}` is a program"))
    }

    /// An argument that is a program.
    pub(super) fn program(&self) -> Option<String> {
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
            Sense::Act => {
                let binds = |word: &&str| words::is_money(word) || matches!(*word, "order" | "orders");
                self.id.words().iter().map(String::as_str).find(binds)?
            }
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
        let unknown = self.summary.joined_unknown().or_else(|| self.summary.unknown_command());
        if self.id.is_joined_to_the_unknown() || unknown.is_some() || self.does_more_besides() {
            return None;
        }
        let summary = self.summary.sense();
        match self.id.verb() {
            Some((verb, Sense::Read))
                if matches!(summary, None | Some(Sense::Read | Sense::Unsure | Sense::Run)) && self.stays(verb) =>
            {
                Some(format!("`{verb}` only looks, `POST` only carries the question"))
            }
            Some((verb, Sense::Unsure)) if self.summary.reads() || self.description_reads() => {
                Some(format!("`{verb}` only looks, as the description says"))
            }
            Some((verb, Sense::Unsure)) if matches!(summary, None | Some(Sense::Unsure)) && self.is_a_question() => {
                Some(format!("`{verb}` is asked with what to filter and how to page, and only looks"))
            }
            None if self.summary.reads() => {
                let (verb, _) = self.summary.lead().filter(|(verb, _)| self.stays(verb))?;
                Some(format!("`{verb}` in the summary only looks"))
            }
            None if summary.is_none()
                && self.id.words().is_empty()
                && self.ending.verb().is_some_and(|(verb, sense)| sense == Sense::Read && self.stays(verb)) =>
            {
                Some(format!("the path ends in `{}`, which only looks", self.ending.words().join("-")))
            }
            _ => None,
        }
    }

    fn description_reads(&self) -> bool {
        let said = Sentence::of(&self.text);
        said.reads() && said.joined().into_iter().all(|(_, sense)| matches!(sense, Sense::Read | Sense::Unsure))
    }

    pub(super) fn is_a_question(&self) -> bool {
        let nested = self.facts.arguments.iter().filter(|(name, _)| *name == "body");
        let nested = nested.flat_map(|(_, schema)| evidence::members(schema)).map(|(name, _)| name);
        self.facts.arguments.iter().map(|(name, _)| *name).chain(nested).any(evidence::asks)
    }
}
