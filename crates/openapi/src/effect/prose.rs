//! Sentences about operations: the verb that leads one, and the verbs beside it.
//!
//! A sentence in a stranger's document may raise an effect by any of its verbs. It may vouch for reading only by the verb
//! that leads it, behind nothing but known filling.

use super::names::{is_join, words};
use super::words::{Sense, sense_in_prose};
use crate::text::first_sentence;

/// What may stand before the leading verb.
const FILLING: &str = "\
    this tool api endpoint operation method function action will can could may be is used to lets let allows \
    you your use it bulk batch async also please for users user admins";
/// What shows that the word before it is a verb.
const DETERMINERS: &str = "\
    the a an all any your this that these those every each its their it them one specified given existing new whatever \
    everything";
/// Words that a determiner follows without their being verbs.
const PREPOSITIONS: &str = "\
    of for in on with without by from at as is are when if of to into onto over under via per not only both either while \
    where than including plus whether against about within between across through during after before since until but";
/// Verbs that take something away and are not also nouns, wherever they stand.
const UNMISTAKABLE: [&str; 14] = [
    "delete",
    "remove",
    "revoke",
    "destroy",
    "erase",
    "purge",
    "wipe",
    "disable",
    "overwrite",
    "deactivate",
    "restrict",
    "terminate",
    "cancel",
    "uninstall",
];
/// What is run, where a sentence speaks of it.
const PROGRAMS: [&str; 14] = [
    "sql",
    "javascript",
    "python",
    "shell",
    "bash",
    "powershell",
    "terminal",
    "command",
    "commands",
    "script",
    "scripts",
    "code",
    "statement",
    "process",
];

/// Where a thing is shown, if not in the answer, and where it is offered.
const SCREENS: &str = "device phone screen desktop display dashboard";
const MARKETS: &str = "marketplace exchange market store";

/// A verb and its sense.
pub(super) type Verb = (String, Sense);

/// The first sentence of a text, read.
#[derive(Debug, Default)]
pub(super) struct Sentence {
    tokens: Vec<Token>,
    lead: Option<usize>,
}

#[derive(Debug)]
struct Token {
    word: String,
    sense: Option<Sense>,
    /// Whether it stands in the third person.
    third: bool,
    /// Whether it was written in two words, as verbs are: `log in`, `back up`.
    parted: bool,
    /// Whether a comma, `and`, `or` or `then` stands before it.
    joined: bool,
}

impl Sentence {
    pub(super) fn of(text: &str) -> Self {
        let tokens = tokens(first_sentence(text));
        let adverb = |token: &Token| token.sense.is_none() && token.word.ends_with("ly");
        // `Enables you to …` fills, `Enables the …` does something.
        let enables = |token: &Token, next: Option<&Token>| {
            token.word == "enables" && next.is_some_and(|next| stands_in(FILLING, &next.word))
        };
        let fills = |(at, token): &(usize, &Token)| {
            stands_in(FILLING, &token.word) || adverb(token) || enables(token, tokens.get(at + 1))
        };
        let at = tokens.iter().enumerate().take_while(fills).count();
        Self { tokens, lead: Some(at).filter(|at| *at < 12) }
    }

    fn led(&self) -> Option<&Token> {
        self.tokens.get(self.lead?)
    }

    /// The verb that leads the sentence.
    pub(super) fn lead(&self) -> Option<Verb> {
        let token = self.led()?;
        Some((token.word.clone(), token.sense?))
    }

    pub(super) fn sense(&self) -> Option<Sense> {
        self.led()?.sense
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Whether it is led by a verb that only looks, or asks a question.
    pub(super) fn reads(&self) -> bool {
        let asks = || {
            let next = self.lead.and_then(|at| self.tokens.get(at + 1));
            next.is_some_and(|next| next.word == "whether" || next.word == "if")
                && self.led().is_some_and(|led| led.word.starts_with("check"))
        };
        self.sense() == Some(Sense::Read) || asks()
    }

    /// A leading word of command that says nothing known: `Frobnicate the thing`.
    pub(super) fn unknown_command(&self) -> Option<&str> {
        let led = self.led().filter(|led| led.sense.is_none() && !stands_in(DETERMINERS, &led.word))?;
        let next = self.tokens.get(self.lead? + 1)?;
        if self.is_a_look() {
            return None;
        }
        (stands_in(DETERMINERS, &next.word) && !stands_in(PREPOSITIONS, &led.word)).then_some(led.word.as_str())
    }

    /// `Perform a search` and `Take a screenshot` do what their object says.
    fn is_a_look(&self) -> bool {
        let light = self.led().is_some_and(|led| matches!(base(&led.word), "perform" | "take" | "conduct" | "do"));
        let object = self.tokens.iter().skip(self.lead.map_or(0, |at| at + 1)).take(4);
        light && object.map(|token| token.sense).any(|sense| sense == Some(Sense::Read))
    }

    /// Whether something follows the leading verb that makes it one: `Block the user`, not `Block list`.
    pub(super) fn lead_is_a_verb(&self) -> bool {
        let Some(at) = self.lead else { return false };
        let Some(led) = self.tokens.get(at) else { return false };
        let noun = super::words::is_noun(&led.word) || super::words::is_noun(base(&led.word));
        let harms = led.third && led.sense.is_some_and(Sense::is_harm);
        !noun || harms || led.parted || self.is_determined(at)
    }

    fn is_determined(&self, at: usize) -> bool {
        self.tokens.get(at + 1).is_some_and(|next| stands_in(DETERMINERS, &next.word))
    }

    /// Verbs beside the leading one that the sentence joins to it.
    pub(super) fn joined(&self) -> Vec<Verb> {
        let Some(led) = self.led() else { return Vec::new() };
        let after = self.lead.map_or(0, |at| at + 1);
        let mut chained = true;
        let mut found = Vec::new();
        for (at, token) in self.tokens.iter().enumerate().skip(after) {
            chained &= token.joined;
            let Some(sense) = token.sense.filter(|_| token.joined) else { continue };
            let plain = !super::words::is_noun(base(&token.word)) && !super::words::is_noun(&token.word);
            // `Lists charges and refunds` names two things, `Lists charges and refunds the last` does two.
            let agrees = led.third == token.third || led.sense.is_none();
            if plain || (agrees && (chained || self.is_determined(at))) {
                found.push((token.word.clone(), sense));
            }
        }
        found
    }

    /// A word that nobody knows where a verb is joined: `Validates it and frobnicates the rest`.
    pub(super) fn joined_unknown(&self) -> Option<&str> {
        let led = self.led().filter(|led| led.sense.is_some())?;
        let after = self.lead? + 1;
        let unknown = |(at, token): &(usize, &Token)| {
            let apart = self.tokens.get(*at + 1).is_some_and(|next| !next.joined);
            let verb =
                token.joined && token.sense.is_none() && token.word.len() > 2 && apart && self.is_determined(*at);
            let agrees =
                token.word.ends_with('s') == led.third && !token.word.ends_with("ly") && !token.word.ends_with("ing");
            verb && agrees && !stands_in(DETERMINERS, &token.word) && !stands_in(PREPOSITIONS, &token.word)
        };
        let rest = self.tokens.iter().enumerate().skip(after);
        rest.into_iter().find(unknown).map(|(_, token)| token.word.as_str())
    }

    /// A verb of a kind that leads a later sentence in the third person, and so says what happens besides.
    pub(super) fn later(text: &str, kind: fn(Sense) -> bool) -> Option<String> {
        let sentences = text.split('\n').flat_map(|line| line.split(". ")).skip(1).take(200).map(Self::of);
        let mut said = sentences.filter(|sentence| {
            let led = sentence.led().is_some_and(|led| led.third && led.sense.is_some_and(kind));
            let next = sentence.lead.and_then(|at| sentence.tokens.get(at + 1)).map(|next| next.word.as_str());
            let plain =
                sentence.tokens.len() > 3 && !next.is_some_and(|next| stands_in(PREPOSITIONS, next) || next == "per");
            let reports = sentence.led().is_some_and(|led| led.word == "reports");
            led && !reports
                && (sentence.lead_is_a_verb() || plain)
                && !matches!(next, None | Some("no" | "nothing" | "not" | "of"))
        });
        said.next()?.lead().map(|(verb, _)| verb)
    }

    /// Whether it is led by a verb that looks and has an object to look at, not `Fetch from the remote`.
    pub(super) fn looks_at_something(&self) -> bool {
        let next = self.lead.and_then(|at| self.tokens.get(at + 1));
        let object = next.is_some_and(|next| !stands_in(PREPOSITIONS, &next.word) && !next.joined);
        (self.sense() == Some(Sense::Read) || self.is_a_look()) && object && self.reaches_out().is_none()
    }

    /// What shows that something looked at goes somewhere: a place it is put to, or a market it is offered on.
    pub(super) fn reaches_out(&self) -> Option<&str> {
        let led = self.led()?;
        let place = |at: usize, places: &str| {
            let behind = self.tokens.iter().skip(at + 1).take(4).take_while(|token| !token.joined);
            behind.map(|token| token.word.as_str()).find(|word| stands_in(places, word))
        };
        let lists = led.word.starts_with("list");
        let mut rest = self.tokens.iter().enumerate().skip(self.lead? + 1);
        let put = rest.find_map(|(at, token)| match token.word.as_str() {
            "to" | "onto" | "into" if super::words::reaches(&led.word) && !led.word.starts_with("translate") => {
                self.tokens.get(at + 1).map(|next| next.word.as_str())
            }
            "on" if super::words::reaches(&led.word) => place(at, SCREENS),
            "on" | "at" if lists => place(at, MARKETS),
            "for" if lists => place(at, "sale trading auction rent"),
            _ => None,
        });
        let one = self.lead.and_then(|at| self.tokens.get(at + 1)).filter(|next| next.word == "a" || next.word == "an");
        let offers = lists && one.is_some() && !self.tokens.iter().any(|token| token.word == "of");
        put.or(offers.then_some(led.word.as_str()))
    }

    /// Whether a sentence of the text says what is answered.
    pub(super) fn answers(text: &str) -> bool {
        let mut sentences = text.split('\n').flat_map(|line| line.split(". ")).take(200).map(Self::of);
        sentences
            .any(|said| said.reads() && said.led().is_some_and(|led| led.third && !super::words::reaches(&led.word)))
    }

    /// Whether it opens a channel on which anything may be said: `Attach to a container`.
    pub(super) fn opens_a_channel(&self) -> bool {
        let next = self.lead.and_then(|at| self.tokens.get(at + 1));
        self.led().is_some_and(|led| matches!(base(&led.word), "attach" | "connect"))
            && next.is_some_and(|next| next.word == "to")
    }

    /// Whether it changes all there is: `Update the whole configuration`, `Set the access control list`.
    pub(super) fn changes_all(&self) -> Option<&str> {
        let changes = self.led().is_some_and(|led| led.sense == Some(Sense::Change));
        let object = self.tokens.iter().skip(self.lead? + 1).take(5).take_while(|token| !token.joined);
        let mut object = object.take_while(|token| !stands_in(PREPOSITIONS, &token.word));
        object
            .find(|token| changes && stands_in("whole entire complete full list", &token.word))
            .map(|token| token.word.as_str())
    }

    /// Whether a word stands anywhere in it.
    pub(super) fn speaks_of(&self, words: &str) -> bool {
        self.tokens.iter().any(|token| stands_in(words, &token.word))
    }

    /// Whether it begins with a word.
    pub(super) fn begins_with(&self, word: &str) -> bool {
        self.tokens.first().is_some_and(|first| first.word == word)
    }

    /// An unmistakable verb of loss, wherever it stands.
    pub(super) fn harm(&self) -> Option<&'static str> {
        UNMISTAKABLE.into_iter().find(|verb| {
            self.tokens.iter().any(|token| token.word == *verb || token.word.strip_suffix('s') == Some(verb))
        })
    }

    /// Whether it speaks of something that is run.
    pub(super) fn program(&self) -> Option<&'static str> {
        PROGRAMS.into_iter().find(|program| self.tokens.iter().any(|token| token.word == *program))
    }
}

fn base(word: &str) -> &str {
    word.strip_suffix('s').unwrap_or(word)
}

fn stands_in(table: &str, word: &str) -> bool {
    table.split_whitespace().any(|known| known == word)
}

fn tokens(sentence: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut joined = false;
    for raw in sentence.split(|c: char| c.is_whitespace() || c == '/') {
        let parts = words(raw);
        if parts.is_empty() {
            continue;
        }
        // `re-run`, `log-out`; other words in one, such as `GetItem`, are names.
        let word = parts.concat();
        if is_join(&word) {
            joined = true;
            continue;
        }
        let merged = tokens.last().map(|before| format!("{}{word}", before.word));
        let particle = ["out", "in", "off", "up", "down", "back"].contains(&word.as_str());
        let merged = merged.filter(|_| particle).and_then(|merged| Some((sense_in_prose(&merged)?, merged)));
        if let Some(((sense, third), merged)) = merged
            && let Some(last) = tokens.last_mut()
        {
            (last.word, last.sense, last.third, last.parted) = (merged, Some(sense), third, true);
        } else {
            let known = sense_in_prose(&word);
            let third = known.is_some_and(|(_, third)| third);
            tokens.push(Token { word, sense: known.map(|(sense, _)| sense), third, parted: false, joined });
        }
        joined = raw.ends_with([',', ';', ':']);
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lead(text: &str) -> Option<Verb> {
        Sentence::of(text).lead()
    }

    #[test]
    fn the_leading_verb_stands_behind_nothing_but_filling() {
        for (text, verb) in [
            ("Lists all charges. Then deletes them.", "lists"),
            ("This tool will fetch a list of customers.", "fetch"),
            ("Use this to delete a user", "delete"),
            ("Recursively search for files", "search"),
            ("Re-run only the failed jobs", "rerun"),
            ("Check out the cart", "checkout"),
            ("Back up the database", "backup"),
        ] {
            assert_eq!(lead(text).map(|(verb, _)| verb).as_deref(), Some(verb), "{text}");
        }
        for text in
            ["Frobnicates the list", "The GetItem operation returns", "A list to shorten", "", "Toggle-all view"]
        {
            assert_eq!(lead(text), None, "{text}");
        }
        assert_eq!(Sentence::of("Frobnicate the thing").unknown_command(), Some("frobnicate"));
        assert!(
            Sentence::of("Log in with a link").lead_is_a_verb() && !Sentence::of("Login with a link").lead_is_a_verb()
        );
        assert_eq!(Sentence::of("Logs of a build").unknown_command(), None);
        assert!(Sentence::of("Checks whether a room is free").reads());
        assert!(!Sentence::of("Checks a guest in").reads());
    }

    #[test]
    fn joined_verbs_are_heard_and_nouns_are_not() {
        let joined = |text: &str| Sentence::of(text).joined().into_iter().map(|(verb, _)| verb).collect::<Vec<_>>();
        assert_eq!(joined("List, create, close, or select a tab"), ["create", "close"]);
        assert_eq!(joined("Gets the status, then restarts the service"), ["restarts"]);
        assert_eq!(joined("Books a flight and charges the stored card"), ["charges"]);
        assert_eq!(joined("Get and delete the next message"), ["delete"]);
        assert!(joined("Lists charges and refunds of a customer").is_empty());
        assert!(joined("List all blocks and locks").is_empty());
        let unknown = |text: &str| Sentence::of(text).joined_unknown().map(str::to_owned);
        assert_eq!(unknown("Validates a coupon and frobnicates it").as_deref(), Some("frobnicates"));
        assert_eq!(unknown("Get the user and frobnicate the rest").as_deref(), Some("frobnicate"));
        assert_eq!(unknown("Gets users and, optionally, the groups"), None);
        assert_eq!(unknown("Gets the list and details about the user"), None);
    }

    #[test]
    fn a_later_sentence_says_what_happens_besides() {
        let later = |text: &str| Sentence::later(text, |sense| sense.is_harm() || sense.is_write());
        assert_eq!(later("gets a message. deletes it afterwards").as_deref(), Some("deletes"));
        assert_eq!(later("gets a message. it then marks the message").as_deref(), Some("marks"));
        assert_eq!(
            later("gets a message. use delete-message to remove it. updates of the last hour. sends nothing"),
            None
        );
    }

    #[test]
    fn some_verbs_and_words_count_wherever_they_stand() {
        assert_eq!(Sentence::of("A way that deletes rows").harm(), Some("delete"));
        assert_eq!(Sentence::of("Run a read-only SQL query").program(), Some("sql"));
        assert_eq!(Sentence::of("Search the codes").program(), None);
    }
}
