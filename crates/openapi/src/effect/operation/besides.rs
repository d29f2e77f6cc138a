//! What is said besides the verb that an operation is called by, where the method may change something.
//!
//! A name that looks is not enough to read: what a sentence says happens, what a path ends in and where a thing goes are
//! heard here. They raise an effect and never lower it.

use http::Method;

use super::Reading;
use crate::effect::evidence;
use crate::effect::happens::{happens, pays, unclear};
use crate::effect::prose::Sentence;
use crate::effect::words::{self, Sense};

impl Reading<'_> {
    /// Everything that is said, the summary first.
    pub(super) fn all_said(&self) -> String {
        format!("{}\n{}", evidence::prepared(self.facts.summary), self.text)
    }

    /// What stands in the place that is written to, and is gone after.
    pub(super) fn writes_over(&self) -> Option<String> {
        let lead = self.summary.lead().map(|(verb, _)| verb).unwrap_or_default();
        let verb = self.id.verb().map(|(verb, _)| verb).unwrap_or_default();
        let restores = verb == "restore" || lead.starts_with("restore") || self.ending.alone() == Some("restore");
        if restores && !self.gives_back() {
            return Some("`restore` writes over what is there".to_owned());
        }
        let fills = |word: &str| {
            matches!(
                word,
                "write" | "writes" | "upload" | "uploads" | "put" | "puts" | "store" | "stores" | "save" | "saves"
            )
        };
        if *self.facts.method == Method::PUT
            && self.facts.path.trim_end_matches('/').ends_with('}')
            && (fills(verb) || fills(&lead))
        {
            return Some("the method `PUT` writes over what stands there".to_owned());
        }
        self.summary
            .changes_all()
            .map(|word| format!("the summary says that the `{word}` is changed, not one thing of it"))
    }

    /// Whether it speaks of what was taken away before, which it then gives back.
    fn gives_back(&self) -> bool {
        let spoken = |text: &str| evidence::is_of_what_is_gone(text);
        spoken(&self.all_said()) || spoken(&self.facts.path.to_lowercase())
    }

    /// Loss or payment that is said to happen, whatever the operation is called.
    pub(super) fn harm_happens(&self) -> Option<String> {
        let said = |word: &str| format!("it is said that something is `{word}`");
        let all = self.all_said();
        if let Some(word) = pays(&all) {
            return Some(said(&word));
        }
        let restores = self.id.verb().is_some_and(|(verb, _)| verb == "restore") && self.gives_back();
        match self.id.sense().or_else(|| self.summary.sense()) {
            _ if restores => None,
            Some(Sense::Make | Sense::Undo) => None,
            Some(Sense::Change | Sense::Act) => happens(&all).filter(|(_, sense)| *sense == Sense::Harm),
            _ => happens(&all)
                .filter(|(_, sense)| sense.is_harm())
                .or_else(|| Some((self.later(Sense::is_harm)?, Sense::Harm))),
        }
        .map(|(word, _)| said(&word))
    }

    /// A verb of a kind that leads a sentence of the description.
    pub(super) fn later(&self, kind: fn(Sense) -> bool) -> Option<String> {
        Sentence::later(&format!("\n{}", self.text), kind)
    }

    /// What an operation that is called by a looking verb adds or changes, if that is clear.
    pub(super) fn adds_besides(&self) -> Option<String> {
        let looks = matches!(self.id.sense(), Some(Sense::Read | Sense::Unsure));
        let unclear = self.id.is_another_verb()
            || self.id.is_joined_to_the_unknown()
            || self.summary.joined_unknown().is_some()
            || self.summary.unknown_command().is_some()
            || unclear(&self.all_said()).is_some();
        if !looks || unclear {
            return None;
        }
        if self.mints() {
            return Some("a `POST` that asks for it makes a new one".to_owned());
        }
        let ending = self.ending.verb().filter(|(_, sense)| sense.is_write()).map(|(verb, _)| verb.to_owned());
        let happening = || happens(&self.all_said()).filter(|(_, sense)| sense.is_write()).map(|(word, _)| word);
        let word = ending.or_else(|| self.later(Sense::is_write)).or_else(happening)?;
        Some(format!("`{word}` adds or changes something"))
    }

    /// Whether what is asked for is made by asking: `getAccessToken`.
    fn mints(&self) -> bool {
        self.id.reads()
            && self.id.last().is_some_and(words::is_minted)
            && matches!(self.id.verb(), Some(("get" | "fetch" | "retrieve", _)))
    }

    /// Whether something is said or named beside a looking verb that does more.
    pub(super) fn does_more_besides(&self) -> bool {
        let ends_in_an_act =
            self.ending.verb().is_some_and(|(verb, sense)| sense > Sense::Unsure && !words::is_noun(verb));
        ends_in_an_act
            || self.mints()
            || self.id.is_another_verb()
            || self.id.runs_what_looks()
            || self.summary.reaches_out().is_some()
            || happens(&self.all_said()).is_some()
            || unclear(&self.all_said()).is_some()
            || self.later(|sense| sense > Sense::Unsure).is_some()
    }

    /// Whether a verb that may reach out is vouched for.
    pub(super) fn stays(&self, verb: &str) -> bool {
        !words::reaches(verb)
            || self.summary.looks_at_something()
            || Sentence::answers(&self.text)
            || self.is_a_question()
    }
}
