//! The effect of an operation, by meaning.
//!
//! The method is where reading starts, never where it ends: what the operation is called, what its path ends in, what its
//! summary and description say and what its arguments can choose are heard too, and the gravest answer wins. `POST` that
//! only searches reads; `POST` that removes destroys. What says nothing clearly is destructive until the server's owner
//! says otherwise. Every answer comes with the sentence that explains it. Hints of the document (`x-…`) are not heard: they
//! may be written by whoever profits from them.

mod evidence;
mod words;

use ambit_model::Effect;
use http::Method;
use serde_json::Value;

use crate::text::clean;
use words::{Sense, sense, sense_in_prose, verb_of};

/// What is known of an operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) operation_id: Option<&'a str>,
    pub(crate) summary: &'a str,
    pub(crate) description: &'a str,
    /// Arguments by wire name, with their converted schemas.
    pub(crate) arguments: &'a [(&'a str, &'a Value)],
}

/// An effect and why.
type Judged = (Effect, String);

/// The effect of an operation of a REST API.
pub(crate) fn classify(facts: &Facts<'_>) -> Judged {
    let reading = Reading::of(facts);
    match *facts.method {
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE => reading.of_safe_method(),
        Method::DELETE => reading.of_delete(),
        _ => reading.of_changing_method(),
    }
}

/// The effect of a tool known by its name and description only, as an MCP server lists it, and the sentence that
/// explains it.
pub fn classify_named(name: &str, description: &str) -> (Effect, String) {
    let all = words::words(name);
    let text = evidence::prepared(description);
    let shown = clean(name, 80);
    if let Some(word) = words::runs_anything(&all, verb_of(&all)) {
        return (Effect::Destructive, format!("`{word}` in the name `{shown}` runs whatever it is given"));
    }
    let verb = verb_of(&all).map(|(verb, sense)| (verb.to_owned(), sense));
    if let Some(reason) = harm_in_name(&all, verb.as_ref().map(|(_, sense)| *sense), "the name", &shown) {
        return (Effect::Destructive, reason);
    }
    let Some((verb, sense)) = verb.or_else(|| evidence::verb_of_prose(&text)) else {
        return (
            Effect::Destructive,
            format!("neither the name `{shown}` nor the description says clearly what it does"),
        );
    };
    if is_harm(sense) {
        return (Effect::Destructive, format!("`{verb}` takes something away or cannot be taken back"));
    }
    let said = evidence::loss(&text).or_else(|| match sense {
        Sense::Make | Sense::Undo => None,
        _ => evidence::harm_in_first_sentence(&text),
    });
    if let Some(said) = said {
        return (Effect::Destructive, format!("the description says `{said}`"));
    }
    let also = evidence::alternative(&all).filter(|(_, sense)| *sense != Sense::Read);
    match (sense, also) {
        (Sense::Read, None) => (Effect::Read, format!("`{verb}` only looks")),
        (Sense::Read, Some((also, _))) => (Effect::Write, format!("`{also}` in the name `{shown}` adds or changes")),
        _ => (Effect::Write, format!("`{verb}` adds or changes")),
    }
}

const fn is_harm(sense: Sense) -> bool {
    matches!(sense, Sense::Harm | Sense::HarmOrNoun)
}

/// A word of loss in a name, beside its verb. After a verb that reads or makes, other words are what is read or made.
fn harm_in_name(all: &[String], verb: Option<Sense>, place: &str, shown: &str) -> Option<String> {
    if let Some((word, sense)) = evidence::alternative(all)
        && is_harm(sense)
    {
        return Some(format!("`{word}` in {place} `{shown}` takes something away"));
    }
    if verb == Some(Sense::Read) {
        return None;
    }
    if let Some(noun) = all.last().filter(|word| words::is_harm_noun(word)) {
        return Some(format!("`{noun}` in {place} `{shown}` is a loss"));
    }
    if matches!(verb, Some(Sense::Make | Sense::Undo)) {
        return None;
    }
    let word = all.iter().find(|word| sense(word) == Some(Sense::Harm))?;
    Some(format!("`{word}` in {place} `{shown}` takes something away or cannot be taken back"))
}

/// The parts of an operation, read once.
struct Reading<'a> {
    facts: &'a Facts<'a>,
    id: Vec<String>,
    /// The operation id as shown in reasons.
    shown_id: String,
    verb: Option<(String, Sense)>,
    summary: Option<(String, Sense)>,
    /// The words of the last path segment, where it is no variable.
    ending: Vec<String>,
    text: String,
}

impl<'a> Reading<'a> {
    fn of(facts: &'a Facts<'a>) -> Self {
        let full = facts.operation_id.unwrap_or_default();
        // `tag/operation` and `resource.method`: the operation is behind the tag, unless only the tag says something.
        let id = words::words(full.rsplit(['/', ':']).next().unwrap_or(full));
        let id = if verb_of(&id).is_none() { words::words(full) } else { id };
        let verb = verb_of(&id).map(|(verb, sense)| (verb.to_owned(), sense));
        let last = facts.path.rsplit('/').find(|segment| !segment.is_empty()).unwrap_or_default();
        Self {
            facts,
            shown_id: clean(full, 80),
            verb,
            id,
            summary: evidence::verb_of_prose(facts.summary),
            ending: if last.contains('{') { Vec::new() } else { words::words(last) },
            text: evidence::prepared(facts.description),
        }
    }

    fn sense(&self) -> Option<Sense> {
        self.verb.as_ref().map(|(_, sense)| *sense)
    }

    fn method(&self) -> &str {
        self.facts.method.as_str()
    }

    /// A safe method reads, unless the name says outright that it does not.
    fn of_safe_method(&self) -> Judged {
        let method = self.method();
        // A single word may be the thing itself: `archive` with the summary `Returns the archive`.
        if let (1, Some((verb, Sense::Read))) = (self.id.len(), &self.summary) {
            return (Effect::Read, format!("the method `{method}` and `{verb}` in the summary only look"));
        }
        let named = self.verb.as_ref().or(self.summary.as_ref());
        match named {
            Some((verb, Sense::Harm)) => {
                (Effect::Destructive, format!("`{verb}` takes something away, though the method is `{method}`"))
            }
            // What a safe method generates, renders or exports is its answer.
            Some((verb, Sense::Change)) if self.verb.is_some() => {
                (Effect::Write, format!("`{verb}` changes something, though the method is `{method}`"))
            }
            Some((verb, Sense::Make)) if verb == "create" || verb == "add" || verb == "insert" => {
                (Effect::Write, format!("`{verb}` adds something, though the method is `{method}`"))
            }
            Some((verb, Sense::Act))
                if matches!(verb.as_str(), "send" | "trigger" | "enable" | "approve" | "publish" | "submit") =>
            {
                (Effect::Write, format!("`{verb}` does something, though the method is `{method}`"))
            }
            None if self.ending.len() == 1 && self.ending.iter().any(|word| sense(word) == Some(Sense::Harm)) => (
                Effect::Destructive,
                format!("the path ends in `{}`, though the method is `{method}`", self.ending.join("-")),
            ),
            Some((verb, Sense::Read)) => (Effect::Read, format!("the method `{method}` and `{verb}` only look")),
            _ => (Effect::Read, format!("the method `{method}` only looks, and nothing speaks against it")),
        }
    }

    fn of_delete(&self) -> Judged {
        match &self.verb {
            Some((verb, Sense::Undo)) => (Effect::Write, format!("`{verb}` only gives something back")),
            _ => (Effect::Destructive, "the method `DELETE` takes something away".to_owned()),
        }
    }

    fn of_changing_method(&self) -> Judged {
        if let Some(word) = self.id.iter().chain(&self.ending).find(|word| words::is_interpreter(word)) {
            return (Effect::Destructive, format!("`{word}` runs whatever it is given"));
        }
        if let Some(reason) = self.harm_in_words().or_else(|| self.harm_in_meaning()) {
            return (Effect::Destructive, reason);
        }
        if let Some(phrase) = evidence::nothing_kept(&self.text) {
            return (Effect::Read, format!("the description says `{phrase}`"));
        }
        if *self.facts.method == Method::POST
            && let Some(reason) = self.reads()
        {
            return (Effect::Read, reason);
        }
        let named = self.verb.as_ref().filter(|(_, sense)| *sense != Sense::Read).or(self.summary.as_ref());
        match named {
            Some((verb, Sense::Make)) => (Effect::Write, format!("`{verb}` adds something")),
            Some((verb, Sense::Change)) => {
                (Effect::Write, format!("`{verb}` changes something that can be changed back"))
            }
            Some((verb, Sense::Act | Sense::Undo)) => (Effect::Write, format!("`{verb}` takes nothing away")),
            Some((_, Sense::Read | Sense::Harm | Sense::HarmOrNoun)) | None if *self.facts.method == Method::PATCH => {
                (Effect::Write, "the method `PATCH` changes parts, and nothing speaks of loss".to_owned())
            }
            Some(_) | None => (
                Effect::Destructive,
                format!("nothing says clearly what `{}` does, and unclear counts as destructive", self.name()),
            ),
        }
    }

    fn name(&self) -> String {
        if self.shown_id.is_empty() {
            clean(&format!("{} {}", self.method(), self.facts.path), 100)
        } else {
            self.shown_id.clone()
        }
    }

    /// Loss named by a word: in the operation id, the summary or the end of the path.
    fn harm_in_words(&self) -> Option<String> {
        let loss =
            |verb: &str, place: &str| format!("`{verb}` in {place} takes something away or cannot be taken back");
        if let Some((verb, sense)) = &self.verb
            && is_harm(*sense)
        {
            return Some(loss(verb, &format!("the operation id `{}`", self.shown_id)));
        }
        if let Some(reason) = harm_in_name(&self.id, self.sense(), "the operation id", &self.shown_id) {
            return Some(reason);
        }
        if let Some((verb, sense)) = &self.summary
            && is_harm(*sense)
            && self.sense() != Some(Sense::Undo)
        {
            return Some(loss(verb, "the summary"));
        }
        let first = self.ending.first()?;
        let means = sense(first);
        let alone = self.ending.len() == 1;
        let reads = self.sense() == Some(Sense::Read) || self.sense() == Some(Sense::Undo);
        let made = self.sense() == Some(Sense::Make);
        let counts = match means {
            Some(Sense::Harm) => alone || !(reads || made),
            Some(Sense::HarmOrNoun) => alone && !reads,
            _ => self.ending.last().is_some_and(|word| words::is_harm_noun(word)) && !reads,
        };
        counts.then(|| loss(&self.ending.join("-"), "the path"))
    }

    /// Loss by what is said or what can be chosen.
    fn harm_in_meaning(&self) -> Option<String> {
        let said = |phrase: &str| format!("the description says `{phrase}`");
        if let Some(phrase) = evidence::loss(&self.text) {
            return Some(said(phrase));
        }
        if matches!(self.sense(), Some(Sense::Read | Sense::Undo)) && !self.upserts() {
            return None;
        }
        let makes = self.sense() == Some(Sense::Make) && !self.upserts();
        if makes && *self.facts.method == Method::POST {
            return None;
        }
        if let Some(phrase) = evidence::replacement(&self.text) {
            return Some(said(phrase));
        }
        // What is only being made has nothing to force or archive.
        self.chosen_harm().filter(|_| !makes).or_else(|| self.replaces_a_list())
    }

    fn upserts(&self) -> bool {
        evidence::alternative(&self.id).is_some_and(|(_, sense)| matches!(sense, Sense::Change | Sense::Harm))
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
        let adds = matches!(self.summary, Some((_, Sense::Make | Sense::Act)));
        let whole = self.facts.arguments.iter().filter(|(name, _)| *name == "body").any(|(_, schema)| {
            evidence::is_list(schema) || evidence::members(schema).iter().any(|(_, member)| evidence::is_list(member))
        });
        let lists = self.facts.arguments.iter().any(|(_, schema)| evidence::is_list(schema));
        (*self.facts.method == Method::PUT && collection && !adds && (whole || lists))
            .then(|| format!("the method `PUT` replaces the whole list `{}`", self.ending.join("-")))
    }

    /// Whether `POST` only reads: its name and its summary agree, or its path ends in a word of reading.
    fn reads(&self) -> Option<String> {
        let summary = self.summary.as_ref().map(|(_, sense)| *sense);
        let agrees = matches!(summary, None | Some(Sense::Read));
        if let Some((verb, Sense::Read)) = &self.verb
            && agrees
            && evidence::alternative(&self.id).is_none_or(|(_, sense)| sense == Sense::Read)
        {
            return Some(format!("`{verb}` only looks, `POST` only carries the question"));
        }
        let ending = self.ending.last().and_then(|word| sense_in_prose(word).map(|sense| (word, sense)));
        match (&self.verb, &self.summary, ending) {
            (None, Some((verb, Sense::Read)), _) => Some(format!("`{verb}` in the summary only looks")),
            (None, None, Some((word, Sense::Read))) => Some(format!("the path ends in `{word}`, which only looks")),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
