//! The effect of a tool known by its name and description only, as an MCP server lists it.
//!
//! The gravest word of the name counts, wherever it stands; the description's first sentence may raise what the name says
//! and never lowers it. Only where the name has no verb does the description speak for it, by the verb that leads it.

use ambit_model::Effect;

use super::happens::{happens, pays, unclear};
use super::names::Name;
use super::prose::Sentence;
use super::words::{self, Sense};
use super::{Judged, evidence};
use crate::text::clean;

/// The effect of a tool by its name and description, and the sentence that explains it.
pub fn classify_named(name: &str, description: &str) -> (Effect, String) {
    let tool = Tool {
        shown: clean(name, 80),
        name: Name::of(name),
        said: Sentence::of(&clean(description, 20_000)),
        text: evidence::prepared(description),
    };
    tool.destructive().map_or_else(|| tool.milder(), |reason| (Effect::Destructive, reason))
}

struct Tool {
    name: Name,
    shown: String,
    said: Sentence,
    text: String,
}

impl Tool {
    /// The verb of the name, and only without one that of the description.
    fn verb(&self) -> Option<(String, Sense)> {
        self.name.verb().map(|(verb, sense)| (verb.to_owned(), sense)).or_else(|| self.said.lead())
    }

    fn destructive(&self) -> Option<String> {
        self.runs_anything().or_else(|| self.harm_in_name()).or_else(|| self.harm_in_description())
    }

    fn runs_anything(&self) -> Option<String> {
        let in_name = |word: &str| format!("`{word}` in the name `{}` runs whatever it is given", self.shown);
        if let Some((verb, Sense::Run)) = self.name.verb() {
            return Some(in_name(verb));
        }
        if let Some((verb, _)) =
            self.name.other_verbs().chain(self.name.joined()).find(|(_, sense)| *sense == Sense::Run)
        {
            return Some(in_name(verb));
        }
        // Behind a verb that looks, makes or changes, a language is what is found or made: `search_code`.
        let object = matches!(self.name.sense(), Some(Sense::Read | Sense::Make | Sense::Change));
        if let Some(word) = self.name.words().iter().find(|word| !object && words::is_language(word)) {
            return Some(in_name(word));
        }
        let types =
            |words: &[String]| words.iter().any(|word| word == "send") && words.iter().any(|word| word == "keys");
        if let Some(word) = self.name.words().iter().find(|word| !self.name.reads() && words::is_prompt(word)) {
            return Some(in_name(word));
        }
        if types(self.name.words()) {
            return Some(in_name("keys"));
        }
        let http = ["http", "https", "api", "rest", "curl"];
        if self.name.last() == Some("request") && self.name.words().iter().any(|word| http.contains(&word.as_str())) {
            return Some(in_name("request"));
        }
        if let Some(phrase) = evidence::anything_goes(&self.text) {
            return Some(format!("the description says `{phrase}`, which is whatever it is given"));
        }
        if let Some((verb, Sense::Run)) = self.said.lead() {
            return Some(format!("the description says `{verb}`, which runs whatever it is given"));
        }
        let looks = self.said.lead().is_some_and(|(lead, _)| lead.starts_with("read"));
        let given = !(object || looks || self.said.reads());
        let program = self.said.program().filter(|_| given)?;
        Some(format!("the description speaks of `{program}`, and what runs it can do anything"))
    }

    fn harm_in_name(&self) -> Option<String> {
        let harm =
            |word: &str| format!("`{word}` in the name `{}` takes something away or cannot be taken back", self.shown);
        let verb = self.name.verb();
        let mut others = self.name.other_verbs().chain(self.name.joined()).chain(verb);
        if let Some((word, _)) = others.find(|(_, sense)| sense.is_harm()) {
            return Some(harm(word));
        }
        let sense = verb.map(|(_, sense)| sense);
        if let Some(last) = self.name.last().filter(|last| words::is_harm_noun(last) && sense != Some(Sense::Read)) {
            return Some(harm(last));
        }
        let word = self.name.last().unwrap_or_default();
        if sense == Some(Sense::Change) && matches!(word, "password" | "passwords" | "passphrase") {
            return Some(format!("the old `{word}` stops working"));
        }
        let pays = sense.is_some_and(Sense::is_write);
        let money = self.name.words().iter().find(|word| words::is_money(word)).filter(|money| {
            // Of what is made or changed, only the thing itself is money: not `create_payment_link`.
            let thing = !matches!(sense, Some(Sense::Make | Sense::Change));
            pays && (thing || self.name.last() == Some(money.as_str()))
        })?;
        Some(format!("`{money}` in the name `{}` moves money", self.shown))
    }

    fn harm_in_description(&self) -> Option<String> {
        let said = |phrase: &str| format!("the description says `{phrase}`");
        if let Some(phrase) = evidence::loss(&self.text) {
            return Some(said(phrase));
        }
        let lead = self.said.lead();
        let lead = lead.filter(|(_, sense)| sense.is_harm() && self.name.sense() != Some(Sense::Undo));
        let harm = lead.or_else(|| self.said.joined().into_iter().find(|(_, sense)| sense.is_harm()));
        if let Some((word, _)) = harm {
            return Some(said(&word));
        }
        if let Some(reason) = self.writes_over() {
            return Some(reason);
        }
        if let Some(word) = pays(&self.text) {
            return Some(said(&word));
        }
        let acts = |(_, sense): &(String, Sense)| *sense == Sense::Act;
        let sends = self.said.lead().into_iter().chain(self.said.joined()).find(acts);
        if let Some((verb, _)) = sends.filter(|_| self.said.speaks_of("transaction transactions")) {
            return Some(format!("the description says `{verb}` of a transaction, which moves money"));
        }
        let changes = matches!(self.name.sense(), Some(Sense::Change | Sense::Act));
        if let Some(phrase) = evidence::replacement(&self.text).filter(|_| changes) {
            return Some(said(phrase));
        }
        let later = Sentence::later(&self.text, Sense::is_harm).filter(|_| self.name.sense() != Some(Sense::Undo));
        if let Some(verb) = later {
            return Some(said(&verb));
        }
        // What is made or given back may speak of the end it has one day.
        let upserts = self.name.joined().any(|(_, sense)| sense == Sense::Change);
        let spared = matches!(self.name.sense(), Some(Sense::Make | Sense::Undo)) && !upserts;
        let plain = self.name.sense().is_some_and(Sense::is_write);
        let happening =
            || happens(&self.text).filter(|(_, sense)| sense.is_harm() && !(plain && *sense != Sense::Harm));
        let harm = self.said.harm().filter(|_| !matches!(self.name.sense(), Some(Sense::Make | Sense::Undo)));
        harm.map(str::to_owned)
            .or_else(|| happening().filter(|_| !spared).map(|(word, _)| word))
            .map(|word| said(&word))
    }

    /// What stands in the place that is written to, and is gone after.
    fn writes_over(&self) -> Option<String> {
        let verb = self.name.verb().map(|(verb, _)| verb).unwrap_or_default();
        let lead = self.said.lead().map(|(verb, _)| verb).unwrap_or_default();
        let named = self.name.words().join(" ");
        let gone = evidence::is_of_what_is_gone(&self.text) || evidence::is_of_what_is_gone(&named);
        if !gone && (verb == "restore" || matches!(lead.as_str(), "restore" | "restores")) {
            return Some("`restore` writes over what is there".to_owned());
        }
        if verb == "write" && self.name.words().iter().any(|word| word == "file" || word == "files") {
            return Some("writing a file writes over what it held".to_owned());
        }
        self.said
            .changes_all()
            .map(|word| format!("the description says that the `{word}` is changed, not one thing of it"))
    }

    /// What is not destructive by any word.
    fn milder(&self) -> Judged {
        let Some((verb, sense)) = self.verb() else {
            return (
                Effect::Destructive,
                format!("neither the name `{}` nor the description says clearly what it does", self.shown),
            );
        };
        if self.name.is_another_verb() {
            return (Effect::Destructive, format!("`{verb}` means something else in the name `{}`", self.shown));
        }
        if self.name.is_joined_to_the_unknown() {
            return (Effect::Destructive, format!("the name `{}` says only half of what it does", self.shown));
        }
        if sense.is_write() {
            return (Effect::Write, format!("`{verb}` adds or changes"));
        }
        let mut others = self.name.other_verbs().chain(self.name.joined());
        if let Some((also, _)) = others.find(|(_, sense)| sense.is_write()) {
            return (Effect::Write, format!("`{also}` in the name `{}` adds or changes", self.shown));
        }
        if let Some(word) = self.said.joined_unknown().or_else(|| self.said.unknown_command()) {
            let word = clean(word, 40);
            return (
                Effect::Destructive,
                format!("the description says `{word}`, which is unclear and counts as destructive"),
            );
        }
        let said = self.said.lead().into_iter().chain(self.said.joined()).find(|(_, sense)| sense.is_write());
        let besides = || happens(&self.text).filter(|(_, sense)| sense.is_write()).map(|(word, _)| word);
        let said = said.map(|(verb, _)| verb).or_else(|| Sentence::later(&self.text, Sense::is_write)).or_else(besides);
        if let Some(also) = said {
            return (Effect::Write, format!("the description says `{also}`, which adds or changes"));
        }
        if let Some(word) = unclear(&self.text) {
            let word = clean(&word, 40);
            return (
                Effect::Destructive,
                format!("the description says `{word}`, which is unclear and counts as destructive"),
            );
        }
        if let Some(word) = self.said.reaches_out() {
            return (
                Effect::Destructive,
                format!("the description speaks of `{word}`, so more is done than looked at"),
            );
        }
        if words::reaches(&verb) && !self.said.looks_at_something() && !Sentence::answers(&self.text) {
            return (
                Effect::Destructive,
                format!("nothing says that `{verb}` only looks, and unclear counts as destructive"),
            );
        }
        if sense == Sense::Read || self.said.reads() || self.reads_a_thing(&verb) {
            return (Effect::Read, format!("`{verb}` only looks"));
        }
        (Effect::Destructive, format!("nothing says whether `{verb}` only looks, and unclear counts as destructive"))
    }

    /// `read` looks, unless it may leave a mark on what was read.
    fn reads_a_thing(&self, verb: &str) -> bool {
        let leads = self.said.is_empty() || self.said.lead().is_some_and(|(lead, _)| lead.starts_with("read"));
        verb == "read" && leads && !self.name.words().iter().any(|word| words::is_markable(word))
    }
}
